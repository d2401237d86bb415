#!/usr/bin/env python3
"""Whole-cluster figures on real Slurm: srun from powered-down nodes beside the bare floor, bursts, and an idle daemon with many nodes.

    bench/cluster_bench.py srun --nodes 4,200,1000 [--runs N]     each with its floor in the same run (bench/bare_floor.py)
    bench/cluster_bench.py idle --nodes 1000 [--seconds 60]       the daemon's CPU and memory while nothing happens
    bench/cluster_bench.py bursts --nodes 100 --count 20          every node of every burst joins, no job requeued, nothing left

Prints one JSON object a line. Needs root.
"""
import argparse
import json
import os
import pathlib
import subprocess
import sys
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests/e2e"))
import harness  # noqa: E402

TEXT = "pools:\n  cpu: {{max: {nodes}, cpus: 1, memory: 512MiB, boot_timeout: 120s}}\nidle_reclaim: {reclaim}\n"


def memory_used_mib():
    fields = dict(line.split(":") for line in pathlib.Path("/proc/meminfo").read_text().splitlines())
    kib = lambda name: int(fields[name].split()[0])
    return (kib("MemTotal") - kib("MemAvailable")) / 1024


def srun(options):
    for n in [int(x) for x in options.nodes.split(",")]:
        ours, floor, shared, peak = [], [], [], 0.0
        for _ in range(options.runs if n < 1000 else 1):
            before = memory_used_mib()
            with harness.Cluster(TEXT.format(nodes=n, reclaim="1h")) as c:
                done = threading.Event()

                def watch():
                    nonlocal peak
                    while not done.wait(0.5):
                        peak = max(peak, memory_used_mib() - before)

                watcher = threading.Thread(target=watch)
                watcher.start()
                try:
                    started = time.monotonic()
                    out = c.on("login", f"time -p srun -N{n} hostname", user="user", timeout=400)
                    wall = time.monotonic() - started
                finally:
                    done.set()
                    watcher.join()
                hosts = {line for line in out.split() if line.startswith("cpu-")}
                assert len(hosts) == n, f"{len(hosts)} of {n} answered"
                ours.append(round(wall, 3))
            if n < 1000 or options.floor_1000:
                for list_, munge in ((floor, "own"), (shared, "shared")):
                    text = subprocess.run([sys.executable, str(HERE / "bare_floor.py"), "--nodes", str(n), "--munge", munge], check=True,
                                          capture_output=True, text=True).stdout
                    list_ += json.loads(text)["seconds"]
        middle = lambda values: sorted(values)[len(values) // 2] if values else None
        ratio = round(middle(ours) / middle(floor), 2) if floor else None
        print(json.dumps({"bench": "srun", "nodes": n, "slipway_s": ours, "floor_s": floor, "floor_shared_munge_s": shared,
                          "ratio": ratio, "peak_mib": round(peak)}), flush=True)


def cpu_seconds(pid):
    """CPU of the process and of the children that it has waited for."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return sum(int(x) for x in fields[11:15]) / os.sysconf("SC_CLK_TCK")


def rss_mib(pid):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024


def idle(options):
    n = int(options.nodes)
    with harness.Cluster(TEXT.format(nodes=n, reclaim="1h")) as c:
        c.on("login", f"srun -N{n} hostname > /dev/null", user="user", timeout=400)
        time.sleep(40)
        pid = c.daemon_pid()
        cpu, start = cpu_seconds(pid), time.monotonic()
        time.sleep(options.seconds)
        share = (cpu_seconds(pid) - cpu) / (time.monotonic() - start)
        print(json.dumps({"bench": "idle", "nodes": n, "seconds": options.seconds, "cpu_percent_of_a_core": round(100 * share, 2),
                          "rss_mib": round(rss_mib(pid), 1)}), flush=True)


def bursts(options):
    n = int(options.nodes)
    with harness.Cluster(TEXT.format(nodes=n, reclaim="1s")) as c:
        times = []
        for burst in range(options.count):
            c.wait(lambda: all("POWERED_DOWN" in x["state"] for x in c.nodes().values()), 90, "all nodes asleep")
            launched = c_launches(c)
            start = time.monotonic()
            job = c.sbatch(f"-N{n}", "-o", f"burst-{burst}.out", script="srun hostname | sort -u | wc -l")
            c.wait_job(job, timeout=120)
            times.append(round(time.monotonic() - start, 2))
            answered = int((c.state / f"shared/home/user/burst-{burst}.out").read_text())
            restarts = int(c.job(job)["Restarts"])
            new = c_launches(c) - launched
            assert (answered, restarts, new) == (n, 0, n), f"burst {burst}: {answered} answered, {restarts} restarts, {new} machines launched"
        c.wait(lambda: not c.instances(), 90, "no machine left")
        print(json.dumps({"bench": "bursts", "nodes": n, "bursts": options.count, "seconds": times, "requeued": 0, "left_over": 0}), flush=True)


def c_launches(c):
    """Compute machines launched so far, by the host's own counter (ids are never reused)."""
    return int((c.state / "machines/next").read_text()) if (c.state / "machines/next").exists() else len(c.machines())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("srun", "idle", "bursts"))
    parser.add_argument("--nodes", default="4")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--floor-1000", action="store_true")
    options = parser.parse_args()
    {"srun": srun, "idle": idle, "bursts": bursts}[options.what](options)


if __name__ == "__main__":
    sys.exit(main())
