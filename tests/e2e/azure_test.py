"""Real Slurm over a simulated Azure, brought up by `slipway rehearse`: whatever the cloud does, jobs run, nothing is launched twice and nothing stays.

test_basic_NN: one of Batch Shipyard's broken basics (docs/stories.md) that a provider of machines can cause."""
import os
import pathlib
import signal
import time
import unittest

import azure_harness
import harness
from azure_harness import ACCOUNT, OTHER_SUBSCRIPTION

SIZE = "Standard_D2s_v5"  # 2 CPUs

ONE_POOL = f"""
pools:
  cpu: {{max: 32, machines: {SIZE}}}
partitions:
  batch: {{pools: [cpu], default: true}}
idle_reclaim: 10m
"""

# ded is in both partitions.
TWO_MARKETS = f"""
pools:
  ded: {{max: 8, machines: {SIZE}, weight: 1}}
  low: {{max: 8, machines: {SIZE}, weight: 100, market: spot}}
partitions:
  batch: {{pools: [ded, low], default: true}}
  urgent: {{pools: [ded]}}
idle_reclaim: 10m
"""

BATCH_AND_SCALE_SET = f"""
pools:
  cpu: {{max: 8, machines: {SIZE}, market: spot}}
  vm: {{max: 8, machines: {SIZE}, market: spot, azure: {{kind: scale_set}}}}
partitions:
  batch: {{pools: [cpu, vm], default: true}}
idle_reclaim: 10m
"""

UNTIL_ENOUGH = "hostname; while [ ! -e enough ]; do sleep 0.2; done; echo ended"
ROUND_OF_HOSTS = "srun hostname | sort -u"


def kinds(c):
    return [event["kind"] for event in c.events()]


def enough(c):
    """Jobs that wait for it may end."""
    (c.state / "shared/home/user/enough").write_text("")


class Pools(harness.E2E):
    def test_basic_02_16_two_markets_and_two_partitions_share_pools(self):
        """A dedicated and a low-priority pool in one partition, one of them in a second partition as well: each job has machines of its own pool, one resize a pool."""
        with azure_harness.AzureCluster(TWO_MARKETS.replace("10m", "4s")) as c:
            dedicated = c.sbatch("-N3", "-C", "dedicated", script=ROUND_OF_HOSTS)
            low = c.sbatch("-N2", "-C", "low-priority", script=ROUND_OF_HOSTS)
            urgent = c.sbatch("-N2", "-p", "urgent", script=ROUND_OF_HOSTS)
            for job in (dedicated, low, urgent):
                c.finished(job)
            self.assertEqual(["ded"] * 3, [host.split("-")[0] for host in c.hosts(dedicated)])
            self.assertEqual(["low"] * 2, [host.split("-")[0] for host in c.hosts(low)])
            self.assertEqual(["ded"] * 2, [host.split("-")[0] for host in c.hosts(urgent)])
            markets = {(vm["group"].rsplit("/", 1)[1], vm["market"]) for vm in c.vms()}
            self.assertLessEqual(markets, {(f"{c.name}-ded", "on_demand"), (f"{c.name}-low", "spot")})
            self.assertEqual({"0"}, {c.job(job)["Restarts"] for job in (dedicated, low, urgent)})
            c.empty()
            calls = c.calls()
            self.assertLessEqual(calls["Pool_Resize"], 3, calls)
            self.assertLessEqual(calls["Pool_RemoveNodes"], 6, calls)
            self.assertEqual([], c.instances())

    def test_scale_set_and_batch_pool_in_one_partition(self):
        text = BATCH_AND_SCALE_SET.replace(", market: spot", "").replace("10m", "4s")
        with azure_harness.AzureCluster(text) as c:
            jobs = {pool: c.sbatch("-N4", "-C", feature, script=ROUND_OF_HOSTS) for pool, feature in (("cpu", "dedicated"), ("vm", "on-demand"))}
            for pool, job in jobs.items():
                c.finished(job)
                self.assertEqual([pool] * 4, [host.split("-")[0] for host in c.hosts(job)])
            calls = c.calls()
            self.assertEqual(1, calls["Pool_Resize"], calls)
            # Made or raised, with the capacity that is wanted: once.
            self.assertLessEqual(calls.get("VirtualMachineScaleSets_CreateOrUpdate", 0) + calls.get("VirtualMachineScaleSets_Update", 0), 2, calls)
            both = c.sbatch("-N6", "--exclusive", script=ROUND_OF_HOSTS)  # more than is up of either
            c.finished(both)
            self.assertEqual(6, len(c.hosts(both)))
            c.empty()
            calls = c.calls()
            self.assertLessEqual(calls["VirtualMachineScaleSets_DeleteInstances"], 3, calls)
            self.assertEqual([], c.instances())

    def test_basic_15_two_accounts_in_two_regions_and_subscriptions(self):
        text = f"""
pools:
  here: {{max: 4, machines: {SIZE}, features: [here]}}
  there: {{max: 4, machines: {SIZE}, features: [there], azure: {{account: farbatch, region: northeurope, subscription: {OTHER_SUBSCRIPTION}, resource_group: far,
          subnet: net/nodes, node_identity: /subscriptions/{OTHER_SUBSCRIPTION}/resourceGroups/far/providers/Microsoft.ManagedIdentity/userAssignedIdentities/far-nodes}}}}
partitions:
  batch: {{pools: [here, there], default: true}}
idle_reclaim: 4s
"""
        with azure_harness.AzureCluster(text) as c:
            jobs = [c.sbatch("-N2", "-C", feature, script=ROUND_OF_HOSTS) for feature in ("here", "there")]
            both = c.sbatch("-N5", script=ROUND_OF_HOSTS)
            for job in jobs + [both]:
                c.finished(job)
            self.assertEqual(["here-0001", "here-0002"], c.hosts(jobs[0]))
            self.assertEqual(5, len(c.hosts(both)))
            self.assertEqual([f"{c.name}-here"], list(c.batch_pools()))
            self.assertEqual([f"{c.name}-there"], list(c.batch_pools("farbatch")))
            c.empty()

    def test_basic_14_pools_that_are_there_already(self):
        """One of an earlier cluster with other settings is made anew; a stranger's, and one that resizes itself, are left alone with the reason said."""
        text = f"""
pools:
  old: {{max: 4, machines: {SIZE}, features: [old]}}
  foreign: {{max: 4, machines: {SIZE}, features: [foreign]}}
  auto: {{max: 4, machines: {SIZE}, features: [auto]}}
partitions:
  batch: {{pools: [old, foreign, auto], default: true}}
idle_reclaim: 10m
"""
        with azure_harness.AzureCluster(text) as c:
            image = {"publisher": "microsoft-dsvm", "offer": "ubuntu-hpc", "sku": "2204", "version": "latest"}
            make = lambda pool, owner, **more: c.batch("POST", "/pools", {
                "id": f"{c.name}-{pool}", "vmSize": SIZE.lower(),
                "virtualMachineConfiguration": {"imageReference": image, "nodeAgentSKUId": "batch.node.ubuntu 22.04"},
                "startTask": {"commandLine": "/bin/sh -c 'exit 7'"},
                "metadata": [{"name": "slipway-cluster", "value": owner}, {"name": "slipway-pool", "value": pool},
                             {"name": "slipway-settings", "value": "of-last-year"}], **more})
            os.kill(c.daemon_pid(), signal.SIGSTOP)
            for pool in c.batch_pools():
                c.batch("DELETE", f"/pools/{pool}")
            c.wait(lambda: not c.batch_pools(), 20, "the end of the pools")
            make("old", c.name)
            make("foreign", "somebody-elses")
            make("auto", c.name, enableAutoScale=True, autoScaleFormula="$TargetDedicatedNodes=0;")
            os.kill(c.daemon_pid(), signal.SIGKILL)
            job = c.sbatch("-N2", "-C", "old", script=ROUND_OF_HOSTS)
            c.finished(job)
            self.assertEqual(["old-0001", "old-0002"], c.hosts(job))
            settings = {m["name"]: m["value"] for m in c.batch_pool("old")["metadata"]}
            self.assertNotEqual("of-last-year", settings["slipway-settings"])
            for pool, reason in (("foreign", "somebody-elses"), ("auto", "autoscale")):
                waiting = c.sbatch("-C", pool)
                c.wait(lambda: reason in c.slipway("explain", f"{pool}-0001").lower().replace("auto-scale", "autoscale"), 25,
                       lambda: f"the reason why {pool} can't be used: {c.slipway('explain', f'{pool}-0001')}\n{c.history()}")
                c.login(f"scancel {waiting}")
                self.assertEqual({"slipway-cluster": "somebody-elses" if pool == "foreign" else c.name, "slipway-pool": pool,
                                  "slipway-settings": "of-last-year"}, {m["name"]: m["value"] for m in c.batch_pool(pool)["metadata"]})


class Bursts(harness.E2E):
    def test_basic_01_08_a_burst_is_one_resize_and_its_end_few_removals(self):
        """110 nodes of 150: as many machines as nodes, one resize; more than a hundred go, and none leaks."""
        text = f"""
pools:
  cpu: {{max: 150, machines: {SIZE}, azure: {{inter_node: false}}}}
partitions:
  batch: {{pools: [cpu], default: true}}
idle_reclaim: 5s
"""
        with azure_harness.AzureCluster(text) as c:
            job = c.sbatch("-N110", script="srun hostname | sort -u | wc -l")
            c.finished(job, 120)
            self.assertEqual("110", c.output(job).strip())
            self.assertEqual("0", c.job(job)["Restarts"])
            calls = c.calls()
            self.assertEqual(1, calls["Pool_Resize"], calls)
            self.assertEqual(110, len([m for m in c.machines() if m["role"] == "vm"]))
            self.assertLess(sum(count for operation, count in calls.items() if operation != "Imds"), 110, calls)  # none per node
            c.empty(90)
            calls = c.calls()
            self.assertLessEqual(calls["Pool_RemoveNodes"], 3, calls)
            self.assertEqual(110, len([m for m in c.machines() if m["role"] == "vm"]))

    def test_wants_during_a_resize_are_merged_into_the_next(self):
        with azure_harness.AzureCluster(ONE_POOL, levers={"allocate_ms": 6000}) as c:
            jobs = [c.sbatch("-N2", "--exclusive", script=ROUND_OF_HOSTS)]
            c.wait(lambda: c.vms("allocating"), 20, "the first resize")
            for count in (3, 1, 2):
                jobs.append(c.sbatch(f"-N{count}", "--exclusive", script=ROUND_OF_HOSTS))
                time.sleep(0.5)
            for job in jobs:
                c.finished(job)
            self.assertEqual(2, c.calls("Pool_Resize"), c.history())
            self.assertLessEqual(len([m for m in c.machines() if m["role"] == "vm"]), 8, c.history())
            self.assertEqual({"0"}, {c.job(job)["Restarts"] for job in jobs})


class Shortages(harness.E2E):
    def test_core_quota_reached_then_the_second_pool(self):
        quota = {"scope": ACCOUNT, "market": "on_demand", "cores": 4}
        with azure_harness.AzureCluster(TWO_MARKETS, levers={"quotas": [quota]}) as c:
            jobs = [c.sbatch("-N1", "--exclusive", script="hostname; sleep 12") for _ in range(8)]
            for job in jobs:
                c.finished(job)
            hosts = sorted(c.output(job).split()[0].split("-")[0] for job in jobs)
            self.assertEqual(2, len([vm for vm in c.vms() if vm["market"] == "on_demand"]), c.history())
            self.assertEqual(["ded"] * 2 + ["low"] * 6, hosts, c.history())
            self.assertTrue([e for e in c.events() if "quota" in e["message"].lower()], c.history())
            self.assertEqual(2, c.batch_pool("ded")["targetDedicatedNodes"], "a target that can't be reached isn't left hanging")

    def test_basic_04_allocation_failed_and_timed_out(self):
        """What Batch tells minutes later in the pool is heard: the next market, then the next pool, seconds after it is told."""
        text = f"""
pools:
  mix: {{max: 4, machines: {SIZE}, weight: 1, market: spot_then_on_demand}}
  late: {{max: 4, machines: {SIZE}, weight: 1}}
  next: {{max: 4, machines: {SIZE}, weight: 100}}
partitions:
  batch: {{pools: [mix, next], default: true}}
  timed: {{pools: [late, next]}}
idle_reclaim: 10m
"""
        levers = {"capacity": [{"group": "mix", "market": "spot", "most": 0}, {"group": "late", "most": 1}], "timed_out_after_ms": 3000}
        with azure_harness.AzureCluster(text, levers=levers) as c:
            failed = c.sbatch("-N2", script=ROUND_OF_HOSTS)
            c.finished(failed)
            self.assertEqual(["mix-0001", "mix-0002"], c.hosts(failed))
            self.assertEqual(["on_demand"] * 2, [vm["market"] for vm in c.vms()])
            self.assertTrue([e for e in c.events() if "AllocationFailed" in e["message"]], c.history())
            c.set_levers(**levers, time_out=True)
            timed = c.sbatch("-N2", "-p", "timed", script=ROUND_OF_HOSTS)
            c.finished(timed)
            self.assertEqual(["late-0001", "next-0001"], c.hosts(timed), c.history())
            self.assertTrue([e for e in c.events() if "AllocationTimed" in e["message"]], c.history())
            # Targets that can't be reached aren't left hanging.
            for pool, machines in (("mix", 2), ("late", 1), ("next", 1)):
                c.wait(lambda: (c.batch_pool(pool)["targetDedicatedNodes"], c.batch_pool(pool)["targetLowPriorityNodes"]) == (machines, 0), 20,
                       lambda: f"{machines} for {pool}: {c.batch_pool(pool)}\n{c.history()}")

    def test_basic_05_start_task_fails_on_every_third_node(self):
        levers = {"boots": [{"group": "cpu", "start_task_fails_every": 3}]}
        with azure_harness.AzureCluster(ONE_POOL, levers=levers) as c:
            job = c.sbatch("-N6", "--exclusive", script="srun hostname | sort -u; sleep 3")
            c.finished(job, 90)
            self.assertEqual(6, len(c.hosts(job)))
            self.assertEqual("0", c.job(job)["Restarts"], c.history())
            # One machine a node, and those that failed are gone.
            c.wait(lambda: len(c.vms()) == 6 == len(c.vms("running")), 20, lambda: f"six machines: {c.history()}")
            bound = [n["instance"] for n in c.nodes().values() if n["instance"]]
            self.assertEqual(6, len(set(bound)), bound)
            self.assertEqual(6, len(bound), bound)
            made = len([m for m in c.machines() if m["role"] == "vm"])
            self.assertEqual(8, made, c.history())
            self.assertTrue([e for e in c.events() if "start task" in e["message"].lower()], c.history())


class Losses(harness.E2E):
    def lose(self, c, jobs, how, restarts):
        """Loses the machine of each job; returns when all run again, elsewhere."""
        lost = {job: c.vm_of(c.job(job)["NodeList"]) for job in jobs}
        how(*lost.values())
        for job in jobs:
            c.wait(lambda: c.job(job).get("Restarts") == str(restarts) and c.job(job).get("JobState") == "RUNNING", 60,
                   lambda: f"another run of {c.job(job)}\n{c.history()}")
            self.assertNotEqual(lost[job]["name"], c.vm_of(c.job(job)["NodeList"])["name"])
        gone = {vm["name"] for vm in lost.values()}
        c.wait(lambda: not gone & {vm["name"] for vm in c.vms()}, 40, lambda: f"the end of {gone}: {c.history()}")

    def one_job_a_pool(self, c):
        jobs = [c.sbatch("--requeue", "--exclusive", "-C", feature, script=UNTIL_ENOUGH) for feature in ("low-priority", "spot")]
        for job in jobs:
            c.running(job)
        self.assertEqual(["cpu", "vm"], [c.job(job)["NodeList"].split("-")[0] for job in jobs])
        return jobs

    def test_preempted_with_and_without_notice(self):
        # Batch brings back what it took, in minutes: not before a look has seen it gone.
        with azure_harness.AzureCluster(BATCH_AND_SCALE_SET, levers={"allocate_ms": 2500}) as c:
            jobs = self.one_job_a_pool(c)
            self.lose(c, jobs, lambda *vms: c.evict(*vms, notice_ms=12_000), 1)
            self.assertEqual(2, kinds(c).count("eviction_notice"), c.history())
            self.assertEqual(2, kinds(c).count("job_requeued"), c.history())  # by us, before the end
            c.set_levers(allocate_ms=2500)
            self.lose(c, jobs, c.evict, 2)
            self.assertEqual(2, kinds(c).count("eviction_notice"), c.history())
            enough(c)
            for job in jobs:
                c.finished(job, 20)
                self.assertIn("ended", c.output(job))
            # Nobody asked for those that Batch would bring back.
            self.assertEqual(2, len(azure_harness.settled(c.vms, 3)), c.history())

    def test_machines_deleted_behind_our_back(self):
        with azure_harness.AzureCluster(BATCH_AND_SCALE_SET) as c:
            jobs = self.one_job_a_pool(c)
            self.lose(c, jobs, c.vanish, 1)
            enough(c)
            for job in jobs:
                c.finished(job, 20)
            self.assertIn("instance_died", kinds(c))
            self.assertLessEqual(len([m for m in c.machines() if m["role"] == "vm"]), 4, c.history())

    def test_basic_07_a_node_that_reboots_keeps_its_name(self):
        with azure_harness.AzureCluster(ONE_POOL) as c:
            job = c.sbatch("-N2", script=ROUND_OF_HOSTS)
            c.finished(job)
            before = {node: c.instance_of(node) for node in c.hosts(job)}
            machine = before["cpu-0001"].split("/", 1)[1]
            boots = next(vm["boots"] for vm in c.vms() if vm["name"] == machine)
            c.batch("POST", f"/pools/{c.name}-cpu/nodes/{machine}/reboot", {})
            c.wait(lambda: any(vm["boots"] > boots and vm["phase"] == "running" for vm in c.vms() if vm["name"] == machine), 30,
                   lambda: f"its second boot: {c.history()}")
            c.wait(lambda: c.login("srun -w cpu-0001 hostname", check=False).strip() == "cpu-0001", 40, lambda: f"its return: {c.history()}")
            self.assertEqual(before, {node: c.instance_of(node) for node in before}, c.history())
            self.assertEqual(2, len(c.vms()), c.history())
            self.assertLessEqual(len({n["instance"] for n in c.nodes().values() if n["instance"]}), 2)


class Restarts(harness.E2E):
    def test_basic_13_daemon_killed_at_each_step(self):
        """After the resize was accepted, while machines are allocated, while they boot, after their binding, during their removal."""
        levers = {"allocate_ms": 3000, "boot_ms": 1500, "release_ms": 3000}
        text = BATCH_AND_SCALE_SET.replace(", market: spot", "").replace("10m", "6s")
        with azure_harness.AzureCluster(text, levers=levers) as c:
            def kill():
                pid = c.daemon_pid()
                os.kill(pid, signal.SIGKILL)
                c.wait(lambda: c.daemon_pid() not in (None, pid), 20, "the daemon's return")
            made = lambda: len([m for m in c.machines() if m["role"] == "vm"])
            both = lambda *phases: all(c.vms(*phases, group=group) for group in ("-cpu", "-vm-od"))
            raised = lambda: c.calls("Pool_Resize") + c.calls("VirtualMachineScaleSets_Update")
            steps = [("accepted", lambda: raised() == 2), ("allocating", lambda: both("allocating")), ("booting", lambda: both("starting", "start_task")),
                     ("bound", lambda: {node.split("-")[0] for node, n in c.nodes().items() if n["instance"]} == {"cpu", "vm"})]
            jobs = [c.sbatch("-N3", "-C", feature, script="srun hostname | sort -u; sleep 4") for feature in ("dedicated", "on-demand")]
            for name, reached in steps:
                c.wait(reached, 40, lambda: f"{name}: {c.history()}")
                kill()
            for job in jobs:
                c.finished(job, 90)
                self.assertEqual(3, len(c.hosts(job)))
                self.assertEqual("0", c.job(job)["Restarts"], c.history())
            self.assertEqual(6, made(), c.history())
            self.assertEqual(2, raised(), c.history())
            c.wait(lambda: both("leaving"), 40, lambda: f"their removal: {c.history()}")
            kill()
            c.empty()
            self.assertEqual(6, made(), c.history())
            c.finished(c.sbatch("-N2", script=ROUND_OF_HOSTS))

    def test_lost_answers_double_nothing(self):
        """The effect happens and the answer is lost, of each call that changes something; then the cloud throttles."""
        text = BATCH_AND_SCALE_SET.replace(", market: spot", "").replace("10m", "5s")
        operations = ("Pool_Resize", "Pool_RemoveNodes", "VirtualMachineScaleSets_Update", "VirtualMachineScaleSets_DeleteInstances")
        with azure_harness.AzureCluster(text, levers={"replies": [{"operation": one, "next": 1} for one in operations]}) as c:
            jobs = [c.sbatch("-N3", "-C", feature, script=ROUND_OF_HOSTS) for feature in ("dedicated", "on-demand")]
            for job in jobs:
                c.finished(job, 90)
                self.assertEqual(3, len(c.hosts(job)))
            self.assertEqual(6, len([m for m in c.machines() if m["role"] == "vm"]), c.history())
            c.empty(60)
            self.assertEqual([0] * len(operations), [lever["next"] for lever in c.admin("GET", "/levers")["replies"]])
            c.set_levers(calls_per_second=2, calls_burst=3, retry_after_ms=2000)
            again = c.sbatch("-N4", "--exclusive", script=ROUND_OF_HOSTS)
            c.finished(again, 90)
            self.assertEqual("0", c.job(again)["Restarts"], c.history())
            self.assertFalse([n for n in c.nodes().values() if n["state"].startswith("DOWN")], c.nodes())

    def test_cloud_restarted(self):
        """The simulated Azure itself is killed: while a job runs and while machines are on their way."""
        with azure_harness.AzureCluster(BATCH_AND_SCALE_SET.replace(", market: spot", "")) as c:
            job = c.sbatch("-N2", "-C", "dedicated", script=UNTIL_ENOUGH)
            c.running(job)
            before = {vm["name"] for vm in c.vms()}
            time.sleep(1.5)  # what it keeps is at most a moment old
            other = []
            c.restart_cloud(while_away=lambda: other.append(c.sbatch("-N3", "-C", "on-demand", script=ROUND_OF_HOSTS)))
            self.assertEqual(before, {vm["name"] for vm in c.vms()} & before)
            c.finished(other[0], 90)
            self.assertEqual("RUNNING", c.job(job)["JobState"])
            c.set_levers(allocate_ms=3000)
            third = c.sbatch("-N4", "--exclusive", "-C", "dedicated", script=ROUND_OF_HOSTS)
            c.wait(lambda: c.vms("allocating", group="-cpu"), 20, lambda: f"a resize: {c.history()}")
            time.sleep(1.2)
            c.restart_cloud()
            c.finished(third, 90)
            enough(c)
            c.finished(job)
            self.assertEqual({"0"}, {c.job(j)["Restarts"] for j in (job, other[0], third)}, c.history())
            self.assertEqual(2 + 3 + 4, len([m for m in c.machines() if m["role"] == "vm"]), c.history())


class Strangers(harness.E2E):
    def test_a_users_claim_is_refused(self):
        """Whoever is on a machine gets its token from the metadata service. With it a user learns nothing, and root of one machine isn't another."""
        with azure_harness.AzureCluster(ONE_POOL) as c:
            job = c.sbatch("-N2", script=ROUND_OF_HOSTS)
            c.finished(job)
            boot, program = c.in_vm("cpu-0001", "cat", "/run/slipway/boot.json"), pathlib.Path(__file__).with_name("stranger.py").read_text()
            # The box's Python at the machine's place in the network: an image may have none.
            claim = lambda *words, user=None: c.in_vm("cpu-0001", "/usr/bin/python3", "-c", program, *words, enter="--net", user=user, stdin=boot).strip()
            own, other = c.instance_of("cpu-0001"), c.instance_of("cpu-0002")
            self.assertEqual("refused", claim(own, user=20001))
            self.assertEqual("refused", claim(own, "--high-port"))
            self.assertEqual("refused", claim(other))
            self.assertEqual("refused", claim("cpu/tvm-invented"))
            # The same words from where they belong are heard: the refusals above had no other cause.
            self.assertEqual("welcomed", claim(own))
            self.assertEqual("cpu-0002", c.login("srun -w cpu-0002 hostname").strip())
            c.wait(lambda: c.login("srun -w cpu-0001 hostname", check=False).strip() == "cpu-0001", 30, "its own agent's return")


if __name__ == "__main__":
    unittest.main()
