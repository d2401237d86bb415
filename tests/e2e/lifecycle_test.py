"""Up, warm, reclaim, side by side, and down without a trace."""
import os
import signal
import subprocess
import time
import unittest

import harness


def network():
    text = subprocess.run(["ip", "-br", "link"], capture_output=True, text=True, check=True).stdout
    return {line.split()[0].split("@")[0] for line in text.splitlines()}


class Lifecycle(harness.E2E):
    def test_down_after_everything_was_killed(self):
        links = network()
        c = harness.Cluster()
        with c:
            c.login("srun -N6 hostname")
            victims = c.processes() + c.stray_processes()
            self.assertGreater(len(victims), 20)
            for pid in c.host_pids() + victims:
                try:
                    os.kill(pid, signal.SIGKILL)
                except OSError:
                    pass
            c.slipway("down")
            self.assertEqual([], c.leftovers())
            self.assertFalse([l for l in network() - links if c.name in l])

    def test_down_with_a_dead_host_and_living_machines(self):
        c = harness.Cluster()
        with c:
            c.login("srun -N6 hostname")
            bridge = c.json("status")["bridge"]
            own = lambda: {link for link in network() if link == bridge or link.startswith("sw" + bridge[3:])}
            self.assertEqual(9, len(own()))  # bridge, controller, login, six nodes
            for pid in c.host_pids():
                os.kill(pid, signal.SIGKILL)
            c.slipway("down")
            self.assertEqual([], c.leftovers())
            self.assertEqual(set(), own())
            c.slipway("down")  # twice is fine

    def test_mounts_stay_inside(self):
        with harness.Cluster() as c:
            c.login("srun -N2 hostname")
            with open("/proc/self/mountinfo") as f:
                self.assertFalse([line for line in f if str(c.base) in line])

    def test_warm_nodes_and_reclaim(self):
        text = """
pools:
  cpu: {max: 10, warm: 2, idle_reclaim: 3s}
  slow: {max: 4, idle_reclaim: 1h}
partitions:
  batch: {pools: [cpu], default: true}
  slow: {pools: [slow]}
idle_reclaim: 3s
reclaim_exclude: ["cpu-0007"]
"""
        with harness.Cluster(text) as c:
            c.wait(lambda: len(c.instances()) == 2, 30, "two warm machines without a job")
            c.login("srun -N6 hostname")
            c.login("srun -p slow hostname")
            c.login("srun -w cpu-0007 hostname")
            up = lambda pool: sorted(m["id"] for m in c.instances() if m["pool"] == pool)
            c.wait(lambda: len(up("cpu")) <= 3, 60, lambda: f"reclaim: {up('cpu')}")
            time.sleep(6)
            names = {n["node"] for n in c.nodes().values() if n["instance"] and n["pool"] == "cpu"}
            self.assertIn("cpu-0007", names)  # excluded
            self.assertGreaterEqual(len(names), 2)  # warm
            self.assertLessEqual(len(names), 3)
            self.assertEqual(1, len(up("slow")))  # its own, longer time

    def test_two_clusters_side_by_side(self):
        with harness.Cluster() as a, harness.Cluster() as b:
            a.login("srun -N3 hostname")
            b.login("srun -N3 hostname")
            one = {m["address"] for m in a.machines()}
            two = {m["address"] for m in b.machines()}
            self.assertFalse(one & two)
            a.slipway("down")
            self.assertEqual(3, len(set(b.login("srun -N3 hostname").split())))

    def test_users_and_secrets(self):
        with harness.Cluster() as c:
            job = c.sbatch("-N1", script="cat /run/slipway/boot.json /etc/munge/munge.key; ls /var/lib/slipway; echo end")
            c.wait_job(job)
            out = (c.state / f"shared/home/user/slurm-{job}.out").read_text()
            self.assertEqual(2, out.count("Permission denied"), out)
            self.assertIn("end", out)
            # Root of a compute machine sees neither the cluster's keys nor another machine's secret.
            node = c.job(job)["NodeList"]
            seen = c.on(node, f"find / -xdev -name master.key 2>/dev/null; ls {c.state} 2>&1; grep -rl secret /run/slipway", check=False)
            own = [line for line in seen.splitlines() if "slipway-test-" not in line]  # unit tests' clusters, elsewhere on the box
            self.assertFalse([line for line in own if "master.key" in line], seen)
            self.assertNotIn("machines", seen)
            # An ordinary user can neither wake the daemon nor ask it.
            said = c.on("controller", "for s in hook api; do python3 -c \"import socket;s=socket.socket(socket.AF_UNIX);"
                                      "s.connect('/run/slipway/$s.sock');s.sendall(b'\\0\\0\\0\\2{}');print(s.recv(9))\"; done", user="user", check=False)
            self.assertNotIn("ok", said)
            self.assertEqual(0o700, os.stat(c.state).st_mode & 0o777)
            self.assertEqual(0o600, os.stat(c.state / "keys/master.key").st_mode & 0o777)

    def test_commands(self):
        with harness.Cluster() as c:
            status = c.json("status")
            self.assertEqual(c.name, status["cluster"])
            self.assertTrue(status["slurm"]["known"])
            job = c.sbatch(script="sleep 3")
            self.assertIn(job, [j["job"] for j in c.json("jobs")])
            self.assertIn(str(job), c.slipway("explain", str(job)))
            c.wait_job(job)
            node = c.job(job)["NodeList"]
            self.assertEqual(node, c.on(node, "hostname").strip())
            self.assertIn("slurmd", c.slipway("logs", node))
            self.assertIn("slurmctld", c.slipway("logs", "slurmctld"))
            c.slipway("exec", "controller", "--", "sh", "-c", "exit 7", check=False)
            self.assertEqual(7, c.returncode)
            c.slipway("explain", "nobody-0001", check=False)
            self.assertEqual(1, c.returncode)
            self.assertIn("nobody-0001", c.stderr)


if __name__ == "__main__":
    unittest.main()
