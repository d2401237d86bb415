"""Whatever dies, jobs finish, nodes recover, and nothing is launched twice or left over."""
import os
import signal
import time
import unittest

import harness


class Failures(harness.E2E):
    def test_daemon_killed_during_a_resume_of_50_nodes(self):
        with harness.Cluster() as c:
            c.slipway("chaos", "boot", "--delay", "1s")
            job = c.sbatch("-N50", script="srun hostname | sort -u | wc -l")
            c.wait(lambda: len(c.instances()) >= 10, 30, "the first machines")
            for _ in range(3):
                pid = c.daemon_pid()
                os.kill(pid, signal.SIGKILL)
                c.wait(lambda: c.daemon_pid() not in (None, pid), 20, "the daemon's return")
                time.sleep(0.5)
            c.slipway("chaos", "clear")
            c.wait_job(job)
            self.assertEqual("50", (c.state / f"shared/home/user/slurm-{job}.out").read_text().strip())
            launched = [m for m in c.machines() if m["role"] == "compute"]
            self.assertEqual(50, len(launched), "each wanted node got exactly one machine")
            bound = [n["instance"] for n in c.nodes().values() if n["instance"]]
            self.assertEqual(len(bound), len(set(bound)))
            self.assertEqual("0", c.job(job)["Restarts"])

    def test_hints_lost_with_a_dead_daemon(self):
        with harness.Cluster() as c:
            os.kill(c.daemon_pid(), signal.SIGSTOP)  # its socket accepts nobody
            job = c.sbatch("-N2")
            time.sleep(4)  # slurmctld's program has run against a daemon that doesn't answer
            os.kill(c.daemon_pid(), signal.SIGKILL)
            c.wait_job(job)

    def test_machine_killed_while_its_job_runs(self):
        with harness.Cluster() as c:
            job = c.sbatch("--requeue", script="sleep 8; echo done on $(hostname)")
            c.wait_job(job, "RUNNING", 30)
            node = c.job(job)["NodeList"]
            dead = c.instance_of(node)
            c.slipway("chaos", "kill", node)
            c.wait(lambda: c.job(job).get("Restarts") == "1", 30, lambda: f"requeue of {c.job(job)}")
            c.wait_job(job, timeout=120)
            self.assertIn("done on", (c.state / f"shared/home/user/slurm-{job}.out").read_text())
            self.assertIn("instance_died", {e["kind"] for e in c.events("--node", node)})
            # The node is usable again, with another machine.
            again = c.login(f"srun -w {node} hostname")
            self.assertEqual(node, again.strip())
            self.assertNotEqual(dead, c.instance_of(node))

    def test_frozen_and_cut_off_machines_are_replaced(self):
        with harness.Cluster() as c:
            jobs = [c.sbatch("--requeue", "--exclusive", script="sleep 6; hostname") for _ in range(2)]
            for job in jobs:
                c.wait_job(job, "RUNNING", 30)
            nodes = [c.job(job)["NodeList"] for job in jobs]
            dead = [c.instance_of(n) for n in nodes]
            c.slipway("chaos", "freeze", nodes[0])
            c.slipway("chaos", "cut-off", nodes[1])
            for job in jobs:
                c.wait_job(job, timeout=240)
            c.wait(lambda: not {m["id"] for m in c.instances()} & set(dead), 90, "the end of the lost machines")

    def test_machine_that_never_boots(self):
        text = harness.SMALL.replace("cpus: 2", "cpus: 2, boot_timeout: 6s")
        with harness.Cluster(text) as c:
            c.slipway("chaos", "boot", "--never", "1")
            job = c.sbatch("-N5", "--exclusive", script="srun hostname | sort -u | wc -l")
            alone = c.sbatch("-N1", "--exclusive")
            c.wait_job(alone, timeout=30)  # others aren't held up
            c.wait_job(job, timeout=60)
            self.assertEqual("5", (c.state / f"shared/home/user/slurm-{job}.out").read_text().strip())
            self.assertIn("boot_failed", {e["kind"] for e in c.events()})
            self.assertEqual("0", c.job(job)["Restarts"])
            # 6 nodes wanted, one machine lost.
            self.assertEqual(7, len([m for m in c.machines() if m["role"] == "compute"]))

    def test_capacity_refused_then_there(self):
        with harness.Cluster() as c:
            c.slipway("chaos", "boot", "--refuse", "3")
            job = c.sbatch("-N3")
            c.wait(lambda: "launch_refused" in {e["kind"] for e in c.events()}, 20, "the refusal")
            self.assertIn("refused", c.slipway("explain", str(job)).lower())
            c.wait_job(job, timeout=60)

    def test_prep_script_that_fails_says_why(self):
        text = harness.SMALL.replace("cpus: 2", "cpus: 2, prep: prep.sh")
        cluster = harness.Cluster(text)
        (cluster.base / "prep.sh").write_text("#!/bin/sh\n[ -e /home/fixed ] && exit 0\necho the license server is away >&2\nexit 3\n")
        with cluster as c:
            job = c.sbatch()
            c.wait(lambda: any("license server is away" in e["message"] for e in c.events()), 30, "the reason in the events")
            (c.state / "shared/home/fixed").write_text("")
            c.wait_job(job, timeout=120)

    def test_job_cancelled_while_its_nodes_boot(self):
        text = harness.SMALL.replace("idle_reclaim: 20s", "idle_reclaim: 3s")
        with harness.Cluster(text) as c:
            c.slipway("chaos", "boot", "--delay", "3s")
            job = c.sbatch("-N10")
            c.wait(lambda: len(c.instances()) == 10, 30, "10 machines")
            c.login(f"scancel {job}")
            c.slipway("chaos", "clear")
            c.wait(lambda: not c.instances(), 60, lambda: f"machines that nobody wants: {c.instances()}")
            c.wait(lambda: all("POWERED_DOWN" in n["state"] and "DOWN+" not in n["state"].split("POWERED")[0]
                               for n in c.nodes().values()), 30, lambda: str(c.nodes()))
            self.assertEqual(10, len([m for m in c.machines() if m["role"] == "compute"]))
            c.wait_job(c.sbatch("-N10"))  # the same nodes work

    def test_slurmctld_restarted_while_nodes_boot(self):
        for how in (signal.SIGTERM, signal.SIGKILL):
            with self.subTest(how=how.name), harness.Cluster() as c:
                c.slipway("chaos", "boot", "--delay", "2s")
                job = c.sbatch("-N10", script="srun hostname | sort -u | wc -l")
                c.wait(lambda: len(c.instances()) >= 5, 30, "the first machines")
                pid = c.pid_on_controller("slurmctld")
                os.kill(pid, how)
                c.wait(lambda: c.pid_on_controller("slurmctld") not in (None, pid), 30, "slurmctld's return")
                c.slipway("chaos", "clear")
                c.wait_job(job, timeout=120)
                self.assertEqual("10", (c.state / f"shared/home/user/slurm-{job}.out").read_text().strip())

    def test_machine_host_killed_and_back(self):
        with harness.Cluster() as c:
            job = c.sbatch("-N2", script="sleep 5; srun hostname")
            c.wait_job(job, "RUNNING", 30)
            before, pid = {m["id"] for m in c.instances()}, c.host_pid()
            os.kill(pid, signal.SIGKILL)
            c.wait(lambda: c.host_pid() not in (None, pid) and len(c.host_pids()) == 2, 10, "the machine host's return")
            c.wait_job(job)
            self.assertEqual(before, {m["id"] for m in c.instances()})  # it found them again and launched no others
            c.wait_job(c.sbatch("-N4"))


if __name__ == "__main__":
    unittest.main()
