"""The simulator's model of slurmctld against the real one: the scripts of tests/sim/scripts run in both, and every node and job must go through the
same states (src/sim/script.h says what a script may say). States that lasted less than FLEETING on one side may be missing on the other: the real side
is looked at every tenth of a second, and a power scan or a poll may come a second sooner or later.
"""
import json
import os
import re
import shlex
import signal
import subprocess
import threading
import time
import unittest

import harness

SCRIPTS = harness.ROOT / "tests/sim/scripts"
FLEETING = 2.5  # seconds
UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600}
JOB_WORDS = {"PENDING": "pending", "CONFIGURING": "configuring", "RUNNING": "running", "COMPLETING": "completing", "COMPLETED": "done",
             "FAILED": "failed", "NODE_FAIL": "failed", "TIMEOUT": "failed", "CANCELLED": "cancelled"}
# What a state file of Slurm's commands looks like ten times a second: "N node state" and "J name state" lines between "T" lines.
WATCH = r"""while :; do
scontrol -a -o show node | sed -n 's/^NodeName=\([^ ]*\) .* State=\([^ ]*\) .*/N \1 \2/p'
squeue -h -a -t all -o 'J %j %T'
echo T; sleep 0.1; done"""


def seconds(text):
    number, unit = re.fullmatch(r"(\d+)(ms|s|m|h)", text).groups()
    return int(number) * UNITS[unit]


def node_word(state):
    words = set(state.rstrip("*~#%$@!-").split("+"))
    base = "down" if "DOWN" in words else "busy" if words & {"ALLOCATED", "MIXED"} else "idle"
    power = ("leaving" if "POWERING_DOWN" in words else "booting" if "POWERING_UP" in words else
             "asleep" if "POWERED_DOWN" in words else "up")
    return f"{base}/{power}" + ("+drain" if words & {"DRAIN", "DRAINED", "DRAINING"} else "")


class Script:
    def __init__(self, path):
        self.pools, self.partitions, self.idle, self.steps = [], [], "10s", []
        for line in path.read_text().splitlines():
            words = line.split("#")[0].split()
            if not words:
                continue
            if words[0] == "pool":
                self.pools.append(words[1:])
            elif words[0] == "partition":
                self.partitions.append(words[1:])
            elif words[0] == "idle_reclaim":
                self.idle = words[1]
            else:
                self.steps.append(words)

    def yaml(self):
        lines = ["pools:"]
        for name, most, *rest in self.pools:
            settings = [f"max: {most}", "cpus: 1", "memory: 256MiB"]
            markets = [word for word in rest if "=" not in word]
            settings += [f"market: {'_then_'.join(markets)}"] if markets else []
            settings += [word.replace("=", ": ") for word in rest if "=" in word]
            lines.append(f"  {name}: {{{', '.join(settings)}}}")
        lines.append("partitions:")
        for at, (name, *pools) in enumerate(self.partitions):
            lines.append(f"  {name}: {{pools: [{', '.join(pools)}]{', default: true' if at == 0 else ''}}}")
        return "\n".join(lines + [f"idle_reclaim: {self.idle}", ""])


class Watch:
    """Keeps the history of every node and job: [state, since] in order, times of time.monotonic()."""

    def __init__(self, cluster):
        self.nodes, self.jobs, self.rounds = {}, {}, 0
        self.process = subprocess.Popen([str(harness.BIN / "slipway"), "--state-base", str(cluster.base), "exec", "controller", "--", "/bin/sh",
                                         "-c", WATCH], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def read(self):
        for line in self.process.stdout:
            kind, *words = line.split()
            if kind == "T":
                self.rounds += 1
            elif kind == "N" and len(words) == 2:
                self.add(self.nodes, words[0], node_word(words[1]))
            elif kind == "J" and len(words) == 2 and words[1] in JOB_WORDS:
                self.add(self.jobs, words[0], JOB_WORDS[words[1]])

    @staticmethod
    def add(histories, name, word):
        history = histories.setdefault(name, [])
        if not history or history[-1][0] != word:
            history.append([word, time.monotonic()])

    def reached(self, kind, name, word, since):
        history = list((self.nodes if kind == "node" else self.jobs).get(name, []))
        return any(entry[0] == word and (entry is history[-1] or entry[1] >= since) for entry in history)

    def stop(self):
        """Ends the loop and returns {name: [(state, seconds)]} of nodes and of jobs."""
        self.process.kill()
        self.process.wait()
        self.thread.join(5)
        end = time.monotonic()

        def durations(histories):
            return {name: [(word, after - at) for (word, at), after in zip(h, [e[1] for e in h[1:]] + [end])] for name, h in histories.items()}
        return durations(self.nodes), durations(self.jobs)


def alike(real, simulated):
    """Whether the two sequences of (state, seconds) agree but for fleeting states, and for a last one that has only just begun."""
    seen = set()
    todo = [(0, 0, None)]
    while todo:
        place = todo.pop()
        if place in seen:
            continue
        seen.add(place)
        i, j, last = place
        if len(real) - i + len(simulated) - j <= 1:
            return True
        if i < len(real) and j < len(simulated) and real[i][0] == simulated[j][0]:
            todo.append((i + 1, j + 1, real[i][0]))
        if i < len(real) and (real[i][1] < FLEETING or real[i][0] == last):
            todo.append((i + 1, j, last))
        if j < len(simulated) and (simulated[j][1] < FLEETING or simulated[j][0] == last):
            todo.append((i, j + 1, last))
    return False


def changes(history):
    """Without the sleep before the first change."""
    return history[1:] if history and history[0][0] == "idle/asleep" else history


class Simulation(harness.E2E):
    def play(self, cluster, script):
        """Runs the script for real; the histories of nodes and of jobs."""
        watch = Watch(cluster)
        interactive = []
        try:
            cluster.wait(lambda: watch.rounds > 0, 20, "the first look")
            since = time.monotonic()
            for step in script.steps:
                began = time.monotonic()
                if step[0] == "wait":
                    _, kind, name, word, *most = step
                    cluster.wait(lambda: watch.reached(kind, name, word, since), seconds(most[0]) if most else 120,
                                 lambda: f"{' '.join(step)}: {(watch.nodes if kind == 'node' else watch.jobs).get(name)}")
                    continue
                self.act(cluster, step, interactive)
                since = began
            return watch.stop()
        finally:
            if watch.process.poll() is None:
                watch.stop()
            for process in interactive:
                process.kill()
                process.wait()

    def act(self, c, step, interactive):
        verb, *words = step
        if verb == "submit":
            name, partition, nodes, runs, *options = words
            common = f"-J {name} -p {partition} -N {nodes} --exclusive"
            if "srun" in options:
                command = f"cd /home/user && srun {common} sleep {seconds(runs)}"
                interactive.append(subprocess.Popen(
                    [str(harness.BIN / "slipway"), "--state-base", str(c.base), "exec", "login", "--user", "user", "--", "/bin/sh", "-c", command],
                    stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
            else:
                requeue = "--no-requeue" if "no_requeue" in options else "--requeue"
                c.login(f"sbatch {common} {requeue} --wrap {shlex.quote(f'sleep {seconds(runs)}')}")
        elif verb == "cancel":
            c.login(f"scancel -n {words[0]}")
        elif verb == "sleep":
            time.sleep(seconds(words[0]))
        elif verb == "capacity":
            pool, market, machines = words
            c.slipway("chaos", "capacity", "unlimited" if machines == "any" else machines, "--pool", pool, "--market", market)
        elif verb == "boot":
            pool, what, value = words
            c.slipway("chaos", "boot", "--pool", pool, f"--{what}", value)
        elif verb == "kill":
            c.slipway("chaos", "kill", words[0])
        elif verb == "evict":
            c.slipway("chaos", "evict", words[0], "--notice", words[1])
        elif verb == "cut_off":
            c.slipway("chaos", "cut-off", words[0])
        elif verb == "set":
            node, state, *reason = words
            text = f"Reason={shlex.quote(' '.join(reason))}" if reason else ""
            c.on("controller", f"scontrol update NodeName={node} State={state.upper()} {text}")
        elif verb == "restart_slurmctld":
            os.kill(c.pid_on_controller("slurmctld"), signal.SIGKILL if words else signal.SIGTERM)
        else:
            self.fail(f"{verb} is not known here")

    def compare(self, name):
        path = SCRIPTS / f"{name}.txt"
        script = Script(path)
        done = subprocess.run([str(harness.BIN / "slipway"), "simulate", "--script", str(path), "--json"], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=60)
        self.assertEqual(0, done.returncode, done.stderr)
        simulated = json.loads(done.stdout)
        with harness.Cluster(script.yaml()) as c:
            nodes, jobs = self.play(c, script)
        for kind, histories in (("nodes", nodes), ("jobs", jobs)):
            for who in sorted(set(histories) | set(simulated[kind])):
                real = changes(histories.get(who, []))
                model = changes([(entry["state"], entry["seconds"]) for entry in simulated[kind].get(who, [])])
                self.assertTrue(alike(real, model), f"{name}, {who}:\n real      {show(real)}\n simulated {show(model)}")

    def test_simulated_normal_cycle(self):
        self.compare("normal_cycle")

    def test_simulated_multi_node(self):
        self.compare("multi_node")

    def test_simulated_cancelled_while_booting(self):
        self.compare("cancelled_while_booting")

    def test_simulated_machine_killed(self):
        self.compare("machine_killed")

    def test_simulated_set_down_by_hand(self):
        self.compare("set_down_by_hand")

    def test_simulated_set_down_under_a_job(self):
        self.compare("set_down_under_a_job")

    def test_simulated_slurmctld_restarted(self):
        self.compare("slurmctld_restarted")

    def test_simulated_never_boots(self):
        self.compare("never_boots")

    def test_simulated_evicted(self):
        self.compare("evicted")


class Alike(unittest.TestCase):
    """The comparison itself."""

    def test_sequences_agree_but_for_fleeting_states(self):
        lasting = [("busy/booting", 9), ("busy/up", 9), ("idle/up", 9)]
        self.assertTrue(alike(lasting, lasting))
        self.assertTrue(alike(lasting, [lasting[0], ("idle/booting", 0.4), ("busy/booting", 3), *lasting[1:]]))
        self.assertTrue(alike(lasting, lasting + [("idle/leaving", 7)]), "the last one has just begun")
        self.assertFalse(alike(lasting, [lasting[0], lasting[2]]))
        self.assertFalse(alike(lasting, [lasting[0], ("down/up", 9), *lasting[1:]]))
        self.assertFalse(alike(lasting, []))
        self.assertFalse(alike(list(reversed(lasting)), lasting))


def show(history):
    return ", ".join(f"{word} {lasted:.1f} s" for word, lasted in history)


if __name__ == "__main__":
    unittest.main()
