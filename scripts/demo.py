"""The demonstration behind scripts/demo: one cluster, three kinds of jobs, every result checked, nothing left. demo_azure.py is another."""
import collections
import datetime
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
BIN = pathlib.Path(os.environ.get("SLIPWAY_BIN", ROOT / "build/release/bin"))
USER = "user"
TASKS = 50
BEGIN = time.monotonic()


class Failed(Exception):
    pass


def say(text=""):
    print(f"[{time.monotonic() - BEGIN:5.1f}s] {text}" if text else "", flush=True)


class Demo:
    name = "demo"
    verb = "up"
    jobs = {"mpi": "mpi.sh", "array": "array.sh", "bigmem": "bigmem.sh"}  # and the words of their sbatch

    def __init__(self, base):
        self.base = base
        self.state = base / self.name
        self.home = self.state / "shared/home" / USER

    def slipway(self, *args, check=True, **how):
        command = [str(BIN / "slipway"), "--state-base", str(self.base), *args]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, text=True, timeout=120, stdout=subprocess.PIPE, **how)
        if check and done.returncode != 0:
            raise Failed(f"slipway {' '.join(args)} ended with {done.returncode}")
        return done.stdout

    def login(self, command, **how):
        """A shell command on the login node, as the ordinary user."""
        return self.slipway("exec", "login", "--user", USER, "--", "/bin/bash", "-c", f"cd ~ && {command}", **how)

    def up(self):
        say(f"slipway {self.verb} examples/{self.name}.yaml")
        self.slipway(self.verb, str(ROOT / "examples" / f"{self.name}.yaml"))

    def submit(self):
        for name in ("mpi_ring.c", "mpi.sh", "array.sh", "bigmem.sh"):
            shutil.copy(ROOT / "examples" / name, self.home)
        say(f"on the login node: mpicc, then sbatch of {', '.join(self.jobs)}")
        self.login("mpicc -O1 -o mpi_ring mpi_ring.c")
        jobs = [int(self.login(f"sbatch --parsable {words}").split(";")[0]) for words in self.jobs.values()]
        say(f"jobs {', '.join(map(str, jobs))} wait: every node is asleep")
        return jobs

    def watch(self, until, what, seconds, step=0.3):
        """Says how many nodes and jobs there are whenever that changes, until the condition holds."""
        end = time.monotonic() + seconds
        last = None
        while True:
            status = json.loads(self.slipway("--json", "status"))
            if status.get("daemon") is None:
                raise Failed(f"the daemon doesn't answer: {status.get('error')}")
            nodes, jobs = status["nodes"], status["jobs"]
            now = (f"nodes: {nodes['booting']:2} booting, {nodes['up']:2} up ({nodes['busy']:2} busy), "
                   f"{nodes['asleep']:2} asleep   "
                   f"jobs: {jobs['pending']} pending, {jobs['configuring']} configuring, {jobs['running']} running   "
                   f"machines: {status['instances']['total']}")
            if now != last:
                say("  " + now)
            last = now
            if until(status):
                return
            if time.monotonic() > end:
                print(self.slipway("nodes", check=False), self.slipway("jobs", check=False), file=sys.stderr)
                raise Failed(f"not within {seconds} s: {what}")
            time.sleep(step)

    def output(self, name):
        path = self.home / name
        if not path.exists():
            raise Failed(f"{name} was not written")
        return path.read_text()

    def results(self):
        say("results")
        self.mpi_result()
        self.array_result()
        bigmem = self.output("bigmem.out")
        print("    bigmem.out:   " + bigmem.strip())
        if not bigmem.startswith("big-") or "4 CPUs" not in bigmem:
            raise Failed("the job for the other kind of machine ran elsewhere")

    def mpi_result(self):
        mpi = self.output("mpi.out")
        print("    mpi.out:      " + mpi.strip())
        if "token passed through 4 ranks on 4 hosts" not in mpi or "sum 600, expected 600" not in mpi:
            raise Failed("the MPI program's result is wrong")

    def array_result(self):
        nodes = set()
        for task in range(1, TASKS + 1):
            words = self.output(f"array-{task}.out").split()
            if words[:5] != ["task", str(task), "of", str(TASKS), "on"]:
                raise Failed(f"array-{task}.out is wrong: {' '.join(words)}")
            nodes.add(words[5])
        print(f"    array-*.out:  {TASKS} tasks on {len(nodes)} nodes, {min(nodes)} to {max(nodes)}")
        return nodes

    def print_timeline(self):
        """What the journal holds, events of one kind within half a second on one line."""
        say("timeline (slipway events)")
        events = json.loads(self.slipway("--json", "events", "-n", "5000"))
        lines = collections.OrderedDict()
        times = [datetime.datetime.fromisoformat(event["at"].rstrip("Z")) for event in events]
        for event, at in zip(events, times):
            since = (at - times[0]).total_seconds()
            lines.setdefault((int(since * 2), event["kind"]), []).append((since, event))
        for (_, kind), found in lines.items():
            names = sorted({e["node"] or e["instance"] for _, e in found} - {""})
            detail = found[0][1]["message"]
            if len(found) > 1:
                detail = f"{len(found)} times" + (f": {names[0]} … {names[-1]}" if names else "")
            print(f"    +{found[0][0]:5.1f}s  {kind:<20}  {detail}")

    def run(self):
        self.up()
        self.submit()
        shown = []

        def all_done(status):
            if status["nodes"]["up"] > 3 and not shown:
                shown.append(True)
                print(self.slipway("nodes"), end="", flush=True)
            return not any(status["jobs"].values()) and not self.login("squeue --noheader").strip()

        self.watch(all_done, "the end of the jobs", 70)
        self.results()
        say("the jobs are done; idle nodes go after 10 s")
        self.watch(lambda s: s["instances"]["total"] == 0, "the end of the idle machines", 60)
        self.print_timeline()


def main(kind=Demo):
    if os.geteuid() != 0:
        sys.exit("This makes namespaces: run it as root.")

    def interrupted(number, frame):
        raise KeyboardInterrupt

    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, interrupted)
    base = pathlib.Path(tempfile.mkdtemp(prefix="slipway-demo-", dir="/var/tmp"))
    demo = kind(base)
    verdict = "interrupted"
    try:
        demo.run()
        verdict = ""
    except KeyboardInterrupt:
        pass
    except (Failed, subprocess.TimeoutExpired, OSError, ValueError, KeyError) as error:
        verdict = f"failed: {error}"
    finally:
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        say("slipway down")
        down = [str(BIN / "slipway"), "--state-base", str(base), "--cluster", demo.name, "down"]
        ended = subprocess.run(down, stdin=subprocess.DEVNULL)
        if ended.returncode == 0:
            shutil.rmtree(base, ignore_errors=True)
        elif not verdict:
            verdict = "failed: slipway down"
    say(verdict or "every result was right, and nothing is left")
    sys.exit(1 if verdict else 0)


if __name__ == "__main__":
    main()
