"""Machines that can't be had, that never come up, or that are taken away: jobs run elsewhere or wait quietly, and everything opens again by itself."""
import concurrent.futures
import contextlib
import os
import signal
import time
import unittest

import harness

SPOT_FIRST = """
pools:
  cpu: {max: 8, cpus: 2, memory: 512MiB, market: spot_then_on_demand}
partitions:
  batch: {pools: [cpu], default: true}
idle_reclaim: 10m
"""

# Slurm prefers a for its weight.
TWO_POOLS = """
pools:
  a: {max: 4, cpus: 2, memory: 512MiB, features: [first], weight: 1}
  b: {max: 4, cpus: 2, memory: 512MiB, features: [second], weight: 100}
partitions:
  batch: {pools: [a, b], default: true}
idle_reclaim: 10m
"""

SPOT = """
pools:
  cpu: {max: 4, cpus: 2, memory: 512MiB, market: spot, eviction: {signal: USR1, lead: 10s}}
partitions:
  batch: {pools: [cpu], default: true}
idle_reclaim: 10m
"""

# Counts, saves the count at USR1, goes on from what it saved, ends when it is told to.
CHECKPOINTING = """#!/bin/bash
cd /home/user
state=count-$SLURM_JOB_ID
n=$(cat $state 2>/dev/null || echo 0)
save() { echo $n >$state; echo "saved $n on $(hostname)" >>log-$SLURM_JOB_ID; }
trap save USR1
echo "began at $n on $(hostname)" >>log-$SLURM_JOB_ID
while [ ! -e enough ]; do n=$((n + 1)); sleep 0.1; done 2>/dev/null
echo "ended at $n on $(hostname)" >>log-$SLURM_JOB_ID
"""


def kinds(cluster):
    return [event["kind"] for event in cluster.events()]


def launches(cluster):
    return kinds(cluster).count("launch_requested")


def slurm_nodes(cluster, pool):
    """{node: {field: value}} of `scontrol show node`, those of one pool; `Reason` is whole."""
    found = {}
    for line in cluster.on("controller", "scontrol -o show node").splitlines():
        fields = dict(part.split("=", 1) for part in line.split(" Reason=")[0].split() if "=" in part)
        fields["Reason"] = line.partition(" Reason=")[2].strip()
        if fields.get("NodeName", "").startswith(pool + "-"):
            found[fields["NodeName"]] = fields
    return found


def states(cluster, pool):
    return {name: f"{fields['State']} {fields['Reason']}" for name, fields in slurm_nodes(cluster, pool).items()}


def is_held(cluster, pool):
    return all(n["State"].startswith("DOWN") and n["Reason"].startswith("slipway:") for n in slurm_nodes(cluster, pool).values())


def is_usable(cluster, pool):
    return all(n["State"].split("+")[0] in ("IDLE", "MIXED", "ALLOCATED") and "DRAIN" not in n["State"] and "POWERING_DOWN" not in n["State"]
               for n in slurm_nodes(cluster, pool).values())


def comment(cluster, job):
    """The job's AdminComment, whole; "" when it has none."""
    line = next((line for line in cluster.on("controller", f"scontrol show job {job}", check=False).splitlines() if "AdminComment=" in line), "")
    return line.partition("AdminComment=")[2].split(" OverSubscribe=")[0].strip()


def output(cluster, job):
    return (cluster.state / f"shared/home/user/slurm-{job}.out").read_text()


def home(cluster, name):
    path = cluster.state / "shared/home/user" / name
    return path.read_text() if path.exists() else ""


def started(cluster, job, since, timeout=60):
    """Waits until the job runs (or has run); returns the seconds since `since` and its fields."""
    ran = lambda: cluster.job(job) if cluster.job(job).get("JobState") in ("RUNNING", "COMPLETED") else None
    fields = cluster.wait(ran, timeout, lambda: f"the start of {cluster.job(job)}\nevents: {history(cluster)}")
    return time.monotonic() - since, fields


def history(cluster):
    return "\n".join(f"{e['at'][11:]} {e['kind']} {e['node']} {e['message']}" for e in cluster.events()[-40:])


def submit(cluster, name, text, *options):
    """sbatch of a script of several lines."""
    path = cluster.state / "shared/home/user" / name
    path.write_text(text)
    path.chmod(0o755)
    return int(cluster.login(f"sbatch --parsable {' '.join(options)} {name}").strip())


@contextlib.contextmanager
def in_background(*call, **options):
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        yield pool.submit(*call, **options)


class Capacity(harness.E2E):
    def test_spot_refused_then_on_demand(self):
        with harness.Cluster(SPOT_FIRST) as c:
            c.slipway("chaos", "capacity", "0", "--market", "spot")
            begun = time.monotonic()
            job = c.sbatch("-N2", script="srun hostname | sort -u | wc -l")
            seconds, _ = started(c, job, begun)
            self.assertLess(seconds, 10, history(c))
            c.wait_job(job)
            self.assertEqual("2", output(c, job).strip())
            self.assertEqual("0", c.job(job)["Restarts"])
            self.assertEqual(["on_demand"] * 2, [m["market"] for m in c.machines() if m["role"] == "compute"])
            events = c.events()
            steps = [e["kind"] for e in events if e["kind"].startswith("launch_")]
            self.assertEqual(["launch_requested", "launch_refused", "launch_requested", "launch_accepted"], steps[:4], history(c))
            refusal = next(e for e in events if e["kind"] == "launch_refused")
            self.assertIn("spot", refusal["message"])
            self.assertFalse({"node_down", "node_given_back", "pool_short"} & {e["kind"] for e in events}, history(c))
            self.assertEqual([], [s for s in states(c, "cpu").values() if s.startswith("DOWN")])

    def test_types_and_zones_in_order_of_preference(self):
        text = SPOT_FIRST.replace("market:", "machines: [big, small], zones: [x, y], market:")
        with harness.Cluster(text) as c:
            c.slipway("chaos", "capacity", "1", "--market", "spot")
            c.slipway("chaos", "capacity", "0", "--machine", "big", "--zone", "x")
            c.slipway("chaos", "capacity", "2", "--machine", "big", "--zone", "y", "--market", "on_demand")
            begun = time.monotonic()
            job = c.sbatch("-N4", script="srun hostname | sort -u | wc -l")
            seconds, _ = started(c, job, begun)
            self.assertLess(seconds, 10, history(c))
            c.wait_job(job)
            self.assertEqual("4", output(c, job).strip())
            got = sorted((m["market"], m["machine"], m["zone"]) for m in c.machines() if m["role"] == "compute")
            self.assertEqual([("on_demand", "big", "y")] * 2 + [("on_demand", "small", "x"), ("spot", "big", "y")], got, history(c))
            self.assertEqual("0", c.job(job)["Restarts"])

    def test_second_pool_takes_the_job(self):
        with harness.Cluster(TWO_POOLS) as c:
            c.slipway("chaos", "capacity", "0", "--pool", "a")
            begun = time.monotonic()
            job = c.sbatch("-N2", script="srun hostname | sort -u; sleep 4")
            told = c.wait(lambda: comment(c, job) or c.job(job)["JobState"] == "RUNNING", 20, lambda: f"a comment on {c.job(job)}")
            seconds, fields = started(c, job, begun)
            self.assertLess(seconds, 12, history(c))
            self.assertTrue(fields["NodeList"].startswith("b-"), fields)
            if told is not True:
                self.assertTrue(told.startswith("slipway:"), told)
                self.assertIn("pool a", told)
            c.wait(lambda: is_held(c, "a"), 15, lambda: f"pool a's nodes DOWN with our reason: {states(c, 'a')}")
            self.assertTrue(is_usable(c, "b"), states(c, "b"))
            self.assertIn("no_capacity", c.slipway("explain", "a-0001"))
            c.wait(lambda: not comment(c, job), 10, lambda: f"an end of the comment {comment(c, job)}")
            c.wait_job(job)
            self.assertEqual({"b-0001", "b-0002"}, set(output(c, job).split()))
            # Nobody waits for pool a: it opens when its pause is over.
            c.slipway("chaos", "clear")
            c.wait(lambda: is_usable(c, "a"), 30, lambda: f"usable nodes in pool a: {states(c, 'a')}\n{history(c)}")
            self.assertIn("pool_open", kinds(c))
            self.assertTrue(c.login("srun -C first hostname").startswith("a-"))

    def test_no_pool_has_machines(self):
        with harness.Cluster(TWO_POOLS) as c:
            c.slipway("chaos", "capacity", "0")
            job = c.sbatch("-N2", script="srun hostname | sort -u | wc -l")
            told = c.wait(lambda: comment(c, job), 20, lambda: f"a comment on {c.job(job)}\n{history(c)}")
            self.assertTrue(told.startswith("slipway:"), told)
            c.wait(lambda: is_held(c, "a") and is_held(c, "b"), 15, lambda: f"both pools held: {states(c, 'a')} {states(c, 'b')}\n{history(c)}")
            before, begun = launches(c), time.monotonic()
            while time.monotonic() < begun + 15:
                self.assertIn(c.job(job)["JobState"], ("PENDING", "CONFIGURING"))
                time.sleep(0.5)
            self.assertEqual("PENDING", c.job(job)["JobState"])
            self.assertTrue(comment(c, job).startswith("slipway:"), c.job(job))
            self.assertIn("no_capacity", c.slipway("explain", str(job)))
            self.assertLessEqual(int(c.job(job)["Restarts"]), 3, history(c))
            self.assertLessEqual(launches(c) - before, 6, history(c))
            self.assertEqual([], c.instances())
            restarts = c.job(job)["Restarts"]
            c.slipway("chaos", "clear")
            c.wait_job(job, timeout=40)
            self.assertEqual("2", output(c, job).strip())
            self.assertEqual(restarts, c.job(job)["Restarts"], history(c))
            c.wait(lambda: not comment(c, job), 10, lambda: f"an end of the comment {comment(c, job)}")
            c.wait(lambda: is_usable(c, "a") and is_usable(c, "b"), 40, lambda: f"usable nodes: {states(c, 'a')} {states(c, 'b')}\n{history(c)}")
            self.assertLessEqual(len([m for m in c.machines() if m["role"] == "compute"]), 4, history(c))

    def test_srun_waits_until_there_are_machines(self):
        with harness.Cluster(TWO_POOLS) as c:
            c.slipway("chaos", "capacity", "0")
            with in_background(c.login, "srun -N2 hostname") as srun:
                c.wait(lambda: "launch_refused" in kinds(c), 20, lambda: f"the refusal: {history(c)}")
                time.sleep(8)
                self.assertFalse(srun.done(), srun)
                self.assertLessEqual(launches(c), 10, history(c))
                c.slipway("chaos", "clear")
                self.assertEqual(2, len(set(srun.result(45).split())), history(c))
            self.assertLessEqual(len(c.instances()), 4)

    def test_half_of_a_job_gets_no_machines(self):
        text = SPOT_FIRST.replace(", market: spot_then_on_demand", "")
        with harness.Cluster(text) as c:
            c.slipway("chaos", "capacity", "2")
            large = c.sbatch("-N4", script="srun hostname | sort -u | wc -l")
            c.wait(lambda: "launch_refused" in kinds(c), 20, lambda: f"the refusal: {history(c)}")
            self.assertEqual([], [m for m in c.instances() if m["state"] == "running"])
            begun = time.monotonic()
            small = [c.sbatch("-N1", "--exclusive", script="sleep 1; hostname") for _ in range(2)]
            for job in small:
                c.wait_job(job, timeout=max(1, begun + 25 - time.monotonic()))
            self.assertIn(c.job(large)["JobState"], ("PENDING", "CONFIGURING"))
            self.assertEqual(2, len([m for m in c.machines() if m["role"] == "compute"]), history(c))
            self.assertLessEqual(int(c.job(large)["Restarts"]), 4, history(c))
            c.slipway("chaos", "clear")
            c.wait_job(large, timeout=30)
            self.assertEqual("4", output(c, large).strip())

    def test_job_that_may_not_be_requeued_keeps_its_nodes(self):
        with harness.Cluster(TWO_POOLS) as c:
            c.slipway("chaos", "capacity", "0", "--pool", "a")
            job = c.sbatch("-N2", "--exclusive", "--no-requeue", script="srun hostname | sort -u")
            c.wait(lambda: comment(c, job).startswith("slipway:"), 20, lambda: f"a comment on {c.job(job)}\n{history(c)}")
            other = c.sbatch("-N2", script="srun hostname | sort -u")
            c.wait_job(other, timeout=15)
            self.assertTrue(output(c, other).startswith("b-"), output(c, other))
            self.assertEqual("CONFIGURING", c.job(job)["JobState"])
            c.slipway("chaos", "clear")
            c.wait_job(job, timeout=30)
            self.assertTrue(output(c, job).startswith("a-"), output(c, job))
            self.assertEqual("0", c.job(job)["Restarts"])
            c.wait(lambda: not comment(c, job), 10, lambda: f"an end of the comment {comment(c, job)}")

    def test_daemon_killed_while_a_pool_is_held(self):
        with harness.Cluster(TWO_POOLS) as c:
            c.slipway("chaos", "capacity", "0")
            job = c.sbatch("-N2", script="sleep 3; srun hostname | sort -u | wc -l")
            held = lambda: is_held(c, "a") and is_held(c, "b")
            c.wait(held, 20, lambda: f"both pools held: {states(c, 'a')} {states(c, 'b')}\n{history(c)}")
            os.kill(c.daemon_pid(), signal.SIGKILL)
            c.slipway("chaos", "clear")
            c.wait_job(job, timeout=40)
            self.assertEqual("2", output(c, job).strip())
            c.wait(lambda: not comment(c, job), 10, lambda: f"an end of the comment {comment(c, job)}")
            c.wait(lambda: is_usable(c, "a") and is_usable(c, "b"), 20, lambda: f"usable nodes: {states(c, 'a')} {states(c, 'b')}\n{history(c)}")

    def test_throttled_is_no_shortage(self):
        with harness.Cluster(TWO_POOLS) as c:
            c.slipway("chaos", "capacity", "0", "--error", "throttled")
            job = c.sbatch("-N2", script="srun hostname | sort -u")
            c.wait(lambda: "launch_refused" in kinds(c), 20, lambda: f"the refusal: {history(c)}")
            time.sleep(8)
            self.assertLessEqual(launches(c), 6, history(c))  # ever longer pauses
            c.slipway("chaos", "clear")
            c.wait_job(job, timeout=20)
            self.assertTrue(output(c, job).startswith("a-"), output(c, job))
            self.assertEqual("0", c.job(job)["Restarts"])
            self.assertNotIn("pool_short", kinds(c))

    def test_machines_that_never_boot(self):
        text = TWO_POOLS.replace("cpus: 2", "cpus: 2, boot_timeout: 3s")
        with harness.Cluster(text) as c:
            c.slipway("chaos", "boot", "--never", "1000", "--pool", "a")
            begun = time.monotonic()
            job = c.sbatch("-N2", script="srun hostname | sort -u; sleep 2")
            seconds, fields = started(c, job, begun, 50)
            self.assertTrue(fields["NodeList"].startswith("b-"), fields)
            self.assertLess(seconds, 30, history(c))
            self.assertIn("boot_failed", kinds(c))
            self.assertLessEqual(len([m for m in c.machines() if m["pool"] == "a"]), 12, history(c))
            c.wait(lambda: is_held(c, "a"), 15, lambda: f"pool a's nodes DOWN with our reason: {states(c, 'a')}")
            self.assertIn("never joined", c.slipway("explain", "a-0003"))
            c.slipway("chaos", "clear")
            c.wait(lambda: is_usable(c, "a"), 40, lambda: f"usable nodes in pool a: {states(c, 'a')}\n{history(c)}")
            self.assertTrue(c.login("srun -C first hostname", timeout=40).startswith("a-"))

    def test_prep_that_fails_in_one_pool(self):
        cluster = harness.Cluster(TWO_POOLS.replace("weight: 1}", "weight: 1, prep: prep.sh}"))
        (cluster.base / "prep.sh").write_text("#!/bin/sh\n[ -e /home/fixed ] && exit 0\necho the license server is away >&2\nexit 3\n")
        with cluster as c:
            job = c.sbatch("-N2", script="srun hostname | sort -u; sleep 2")
            _, fields = started(c, job, time.monotonic(), 40)
            self.assertTrue(fields["NodeList"].startswith("b-"), fields)
            c.wait(lambda: is_held(c, "a"), 15, lambda: f"pool a's nodes DOWN with our reason: {states(c, 'a')}")
            self.assertIn("the prep script ended with status 3", c.slipway("explain", "a-0003"))
            self.assertTrue(any("license server is away" in e["message"] for e in c.events()), history(c))
            (c.state / "shared/home/fixed").write_text("")
            c.wait(lambda: is_usable(c, "a"), 50, lambda: f"usable nodes in pool a: {states(c, 'a')}\n{history(c)}")
            self.assertTrue(c.login("srun -C first hostname", timeout=40).startswith("a-"))


class Evictions(harness.E2E):
    def evict(self, *notice):
        """Evicts the machine of a job that counts; returns when the job has gone on elsewhere and ended."""
        with harness.Cluster(SPOT) as c:
            job = submit(c, "count.sh", CHECKPOINTING, "--requeue")
            c.wait_job(job, "RUNNING", 30)
            first = c.job(job)["NodeList"]
            lost = c.instance_of(first)
            self.assertEqual("spot", next(m["market"] for m in c.machines() if m["id"] == lost))
            time.sleep(1)  # it has counted to something
            evicted = time.monotonic()
            c.slipway("chaos", "evict", first, *notice)
            self.look_at_notice(c, job, first, lost, evicted)
            c.wait(lambda: lost not in [m["id"] for m in c.instances()], 30, "the machine's end")
            ended = time.monotonic()
            again = lambda: len([l for l in home(c, f"log-{job}").splitlines() if l.startswith("began")]) == 2
            c.wait(again, 30, lambda: f"its second beginning: {home(c, f'log-{job}')}{c.job(job)}\n{history(c)}")
            self.assertLess(time.monotonic() - ended, 10, history(c))
            (c.state / "shared/home/user/enough").write_text("")
            c.wait_job(job, timeout=20)
            (c.state / "shared/home/user/enough").unlink()
            fields = c.job(job)
            self.assertEqual("1", fields["Restarts"])
            log = home(c, f"log-{job}").splitlines()
            self.assertIn(f"began at 0 on {first}", log)
            second = fields["NodeList"]
            self.assertNotEqual(lost, c.instance_of(second))
            self.assertEqual(2, len([m for m in c.machines() if m["role"] == "compute"]), history(c))
            # The evicted node works again, with another machine.
            self.assertEqual(first, c.login(f"srun -w {first} hostname", timeout=40).strip(), history(c))
            self.assertNotEqual(lost, c.instance_of(first))
            self.assertTrue(is_usable(c, "cpu"), states(c, "cpu"))
            return log, first, second

    def look_at_notice(self, c, job, node, lost, evicted):
        pass

    def test_evicted_with_notice(self):
        def look(c, job, node, lost, evicted):
            drained = lambda: "DRAIN" in slurm_nodes(c, "cpu")[node]["State"]
            c.wait(drained, 8, lambda: f"a drained node: {states(c, 'cpu')}\n{history(c)}")
            self.assertTrue(slurm_nodes(c, "cpu")[node]["Reason"].startswith("slipway:"), states(c, "cpu"))
            c.wait(lambda: len(c.instances()) == 2, 5, lambda: f"another machine before the end of this one: {history(c)}")
            c.wait(lambda: "saved" in home(c, f"log-{job}"), 16, lambda: f"the signal: {history(c)}")
            self.assertGreater(time.monotonic() - evicted, 9, "the signal comes `lead` before the end, not with the notice")
        self.look_at_notice = look
        log, first, second = self.evict("--notice", "20s")
        saved = next(line for line in log if line.startswith("saved"))
        count = int(saved.split()[1])
        self.assertGreater(count, 0)
        self.assertIn(f"saved {count} on {first}", log)
        self.assertIn(f"began at {count} on {second}", log)
        self.assertGreater(int(log[-1].split()[2]), count)

    def test_evicted_without_notice(self):
        log, first, _ = self.evict("--notice", "0")
        self.assertEqual(2, len([line for line in log if line.startswith("began at 0")]), log)  # nothing could be saved
        self.assertFalse([line for line in log if line.startswith("saved")], log)

    def test_one_of_two_machines_of_a_job_evicted(self):
        text = SPOT.replace(", eviction: {signal: USR1, lead: 10s}", "")
        with harness.Cluster(text) as c:
            job = c.sbatch("-N2", script="srun hostname; while [ ! -e enough ]; do sleep 0.2; done; echo ended")
            c.wait_job(job, "RUNNING", 30)
            evicted = c.job(job)["NodeList"].replace("[", "").replace("]", "")[:8]
            lost = c.instance_of(evicted)
            c.slipway("chaos", "evict", evicted, "--notice", "10s")
            c.wait(lambda: c.job(job).get("Restarts") == "1", 20, lambda: f"its requeue: {c.job(job)}\n{history(c)}")
            c.wait_job(job, "RUNNING", 20)
            (c.state / "shared/home/user/enough").write_text("")
            c.wait_job(job, timeout=20)
            self.assertIn("ended", output(c, job))
            c.wait(lambda: lost not in [m["id"] for m in c.instances()], 20, "the machine's end")
            # The other machine stayed, one was launched for the lost one, once.
            self.assertEqual(3, len([m for m in c.machines() if m["role"] == "compute"]), history(c))
            c.wait(lambda: is_usable(c, "cpu"), 20, lambda: f"usable nodes: {states(c, 'cpu')}\n{history(c)}")
            self.assertEqual("1", c.job(job)["Restarts"])

    def test_daemon_killed_after_the_notice(self):
        with harness.Cluster(SPOT) as c:
            job = submit(c, "count.sh", CHECKPOINTING, "--requeue")
            c.wait_job(job, "RUNNING", 30)
            node = c.job(job)["NodeList"]
            c.slipway("chaos", "evict", node, "--notice", "18s")
            c.wait(lambda: len(c.instances()) == 2, 10, lambda: f"another machine: {history(c)}")
            os.kill(c.daemon_pid(), signal.SIGKILL)
            again = lambda: home(c, f"log-{job}").count("began") == 2
            c.wait(again, 40, lambda: f"its second beginning: {home(c, f'log-{job}')}{c.job(job)}\n{history(c)}")
            (c.state / "shared/home/user/enough").write_text("")
            c.wait_job(job, timeout=20)
            log = home(c, f"log-{job}")
            self.assertEqual(1, log.count("saved"), log)
            self.assertEqual(1, log.count("began at 0"), log)
            self.assertEqual("1", c.job(job)["Restarts"])
            self.assertEqual(2, len([m for m in c.machines() if m["role"] == "compute"]), history(c))

    def test_evicted_job_goes_on_demand(self):
        with harness.Cluster(SPOT_FIRST.replace("spot_then_on_demand", "spot_then_on_demand, eviction: {tolerance: 1}")) as c:
            job = c.sbatch(script="while [ ! -e enough ]; do sleep 0.2; done")
            c.wait_job(job, "RUNNING", 30)
            self.assertEqual(["spot"], [m["market"] for m in c.instances()])
            c.slipway("chaos", "evict", c.job(job)["NodeList"], "--notice", "8s")
            c.wait(lambda: c.job(job).get("Restarts") == "1", 20, lambda: f"its requeue: {c.job(job)}\n{history(c)}")
            c.wait_job(job, "RUNNING", 20)
            self.assertEqual("on_demand", next(m["market"] for m in c.instances() if m["id"] == c.instance_of(c.job(job)["NodeList"])))
            self.assertEqual(2, len([m for m in c.machines() if m["role"] == "compute"]), history(c))

    def test_idle_machine_evicted(self):
        with harness.Cluster(SPOT) as c:
            node = c.login("srun hostname").strip()
            lost = c.instance_of(node)
            c.wait(lambda: c.nodes()[node]["state"] == "IDLE", 15, lambda: f"an idle node: {c.nodes()[node]}")
            c.slipway("chaos", "evict", node, "--notice", "3s")
            c.wait(lambda: not c.instances(), 20, lambda: f"its end: {c.instances()}\n{history(c)}")
            c.wait(lambda: "POWERED_DOWN" in slurm_nodes(c, "cpu")[node]["State"] and is_usable(c, "cpu"), 20,
                   lambda: f"a sleeping, usable node: {states(c, 'cpu')}\n{history(c)}")
            self.assertEqual(1, len([m for m in c.machines() if m["role"] == "compute"]), history(c))
            self.assertEqual(node, c.login(f"srun -w {node} hostname").strip())
            self.assertNotEqual(lost, c.instance_of(node))


class TwoDaemons(harness.E2E):
    """Two of them in the controller, as on two controllers; the second one is not its agent's child."""

    @staticmethod
    def daemons(c):
        """{PID on the box: PID on the controller} of those that live."""
        found = {}
        for pid in c.processes():
            try:
                with open(f"/proc/{pid}/status") as f:
                    fields = dict(line.split(":", 1) for line in f.read().splitlines() if ":" in line)
            except OSError:
                continue
            if fields["Name"].strip() == "slipwayd" and fields["State"].split()[0] != "Z":
                found[pid] = int(fields["NSpid"].split()[-1])
        return found

    @staticmethod
    def lease(c):
        return c.on("controller", "head -1 /var/spool/slurmctld/slipway-lease").split()

    def holder(self, c):
        """Its PID on the box; None while nobody alive has the lease."""
        words = self.lease(c)
        inside = int(words[5].split("/")[1]) if len(words) > 5 and words[3].startswith("held") else 0
        return next((pid for pid, there in self.daemons(c).items() if there == inside), None)

    def start_second(self, c, port=6830):
        first = self.daemons(c)
        self.assertEqual(1, len(first))
        address = next(m["address"] for m in c.machines() if m["role"] == "controller")
        c.on("controller", f"setsid /opt/slipway/bin/slipwayd --listen {address}:{port} </dev/null >>/var/log/slipway/second.log 2>&1 &")
        c.wait(lambda: len(self.daemons(c)) == 2, 5, "a second daemon")
        c.wait(lambda: "stands_by" in c.on("controller", "cat /var/log/slipway/second.log"), 5, "its standing by")
        return next(iter(first)), next(pid for pid in self.daemons(c) if pid not in first)

    def machines_made(self, c):
        return [m for m in c.machines() if m["role"] == "compute"]

    def test_second_daemon_stands_by_and_takes_over(self):
        with harness.Cluster() as c:
            first, second = self.start_second(c)
            self.assertEqual(first, self.holder(c))
            long = c.sbatch("-N2", script="srun sleep 20; echo lived")
            jobs = [c.sbatch("-N1", "--exclusive") for _ in range(6)]
            for job in jobs:
                c.wait_job(job)
            self.assertLessEqual(len(self.machines_made(c)), 8)
            self.assertEqual("RUNNING", c.job(long)["JobState"])
            agent = next(m["pid"] for m in c.machines() if m["role"] == "controller")
            os.kill(agent, signal.SIGSTOP)  # it would start the first again at once
            try:
                made = {m["id"] for m in self.machines_made(c)}
                begun = time.monotonic()
                os.kill(first, signal.SIGKILL)
                c.wait(lambda: self.holder(c) == second, 5, lambda: f"the second one's lease: {self.lease(c)} {self.daemons(c)}")
                c.wait(lambda: c.json("status")["slurm"]["known"], 10, "an answer of the second one")
                job = c.sbatch("-N9", "--exclusive", script="srun hostname | sort -u | wc -l")
                started(c, job, begun, 30)
            finally:
                os.kill(agent, signal.SIGCONT)
            c.wait(lambda: len(self.daemons(c)) == 2, 10, "the first one, started anew")
            self.assertEqual(second, self.holder(c))
            c.wait_job(job)
            c.wait_job(long, timeout=40)
            self.assertEqual("lived", output(c, long).strip())
            self.assertEqual("0", c.job(long)["Restarts"])
            self.assertTrue(made <= {m["id"] for m in c.instances()})
            self.assertLessEqual(len(self.machines_made(c)), 11, history(c))  # 9 and those of `long`

    def test_frozen_daemon_ends_when_it_wakes(self):
        with harness.Cluster() as c:
            # The frozen one keeps its port, which it wouldn't if it was on another controller.
            first, second = self.start_second(c, 6831)
            os.kill(first, signal.SIGSTOP)
            try:
                c.wait(lambda: self.holder(c) == second, 20, lambda: f"the second one's lease: {self.lease(c)} {self.daemons(c)}")
                c.wait(lambda: c.json("status")["slurm"]["known"], 10, "an answer of the second one")
                jobs = [c.sbatch("-N1", "--exclusive", script="sleep 3") for _ in range(6)]
                c.wait(lambda: len(self.machines_made(c)) == 6, 15, lambda: f"6 machines: {history(c)}")
            finally:
                os.kill(first, signal.SIGCONT)
            c.wait(lambda: first not in self.daemons(c), 5, "the end of the one that was frozen")
            for job in jobs:
                c.wait_job(job)
            c.wait(lambda: len(self.daemons(c)) == 2, 10, "the first one, started anew")
            self.assertEqual(second, self.holder(c))
            time.sleep(2)
            self.assertEqual(6, len(self.machines_made(c)), history(c))


class Batching(harness.E2E):
    def test_a_burst_makes_few_launches(self):
        text = """
pools:
  cpu: {max: 24, cpus: 2, memory: 512MiB}
partitions:
  batch: {pools: [cpu], default: true}
launch_window: {quiet: 1s, longest: 5s}
idle_reclaim: 10m
"""
        with harness.Cluster(text) as c:
            job = c.sbatch("--array=1-20", "--exclusive", "-o", "/home/user/array-%a", script="hostname")
            done = lambda: len([n for n in range(1, 21) if home(c, f"array-{n}").strip()]) == 20
            c.wait(done, 50, lambda: f"20 tasks: {c.login('squeue')}{history(c)}")
            self.assertLessEqual(launches(c), 5, history(c))
            self.assertLessEqual(len([m for m in c.machines() if m["role"] == "compute"]), 20)


if __name__ == "__main__":
    unittest.main()
