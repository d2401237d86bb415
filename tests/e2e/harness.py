"""Real clusters for the end-to-end tests: brings one up through the `slipway` command, and takes everything away again whatever happens.

A test uses the command as a person would, plus `chaos`. Each cluster has its own name, state folder and subnet, so that tests run side by side.
"""
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
import uuid

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BIN = pathlib.Path(os.environ.get("SLIPWAY_BIN", ROOT / "build/release/bin"))
# A Debian 13 (or other) root for controller and nodes; empty: the box's own.
IMAGE = os.environ.get("SLIPWAY_E2E_IMAGE", "")

SMALL = """
pools:
  cpu: {max: 60, cpus: 2, memory: 512MiB, features: [general]}
partitions:
  batch: {pools: [cpu], default: true}
idle_reclaim: 20s
"""


class Cluster:
    """A cluster that is up inside a `with` block."""
    verb = "up"
    compute_role = "compute"  # what the machine host calls a machine that jobs run on

    def __init__(self, text=SMALL, image=IMAGE, name=None):
        self.name = name or "t" + uuid.uuid4().hex[:8]
        self.base = pathlib.Path(tempfile.mkdtemp(prefix="slipway-e2e-"))
        self.state = self.base / self.name
        self.file = self.base / f"{self.name}.yaml"
        self.image = image
        self.file.write_text(f"cluster: {self.name}\n" + (self.services() if image else "") + self.compute(text))

    def services(self):
        return f"controllers: {{count: 1, image: {self.image}}}\nlogins: {{count: 1, image: {self.image}}}\n"

    def compute(self, text):
        """The file's part about pools."""
        return "provider: local\n" + (text.replace("{max:", f"{{image: {self.image}, max:") if self.image else text)

    def options(self):
        """Further words of `slipway up`."""
        return []

    def __enter__(self):
        try:
            self.up_seconds = time.monotonic()
            self.slipway(self.verb, *self.options(), str(self.file), timeout=120)
            self.up_seconds = time.monotonic() - self.up_seconds
        except BaseException:
            self.keep_logs()
            self.destroy()
            shutil.rmtree(self.base, ignore_errors=True)
            raise
        return self

    def __exit__(self, kind, value, trace):
        if kind is not None:
            self.keep_logs()
        self.destroy()
        left = self.leftovers()
        shutil.rmtree(self.base, ignore_errors=True)
        assert kind is not None or not left, f"left after down: {left}\n{self.down.stderr}"

    def slipway(self, *args, timeout=60, check=True):
        """Runs `slipway …` for this cluster and returns its stdout."""
        done = subprocess.run([str(BIN / "slipway"), "--state-base", str(self.base), *args], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=timeout)
        if check and done.returncode != 0:
            raise AssertionError(f"slipway {' '.join(args)} ended with {done.returncode}\n{done.stdout}\n{done.stderr}")
        self.returncode, self.stderr = done.returncode, done.stderr
        return done.stdout

    def json(self, *args):
        return json.loads(self.slipway("--json", *args))

    def on(self, role, command, user=None, timeout=120, check=True):
        """Runs a shell command on a machine of the cluster."""
        who = ["--user", user] if user else []
        return self.slipway("exec", role, *who, "--", "/bin/sh", "-c", command, timeout=timeout, check=check)

    def login(self, command, timeout=120, check=True):
        """Runs a shell command on the login node as an ordinary user, from a shared folder."""
        return self.on("login", f"cd /home/user && {command}", user="user", timeout=timeout, check=check)

    def sbatch(self, *args, script="hostname"):
        out = self.login(f"sbatch --parsable {' '.join(args)} --wrap '{script}'")
        return int(out.strip().split(";")[0])

    def job(self, job):
        """{field: value} of `scontrol show job`; {} when Slurm has forgotten it."""
        text = self.on("controller", f"scontrol -o show job {job}", check=False)
        return dict(part.split("=", 1) for part in text.split() if "=" in part)

    def wait_job(self, job, state="COMPLETED", timeout=90):
        self.wait(lambda: self.job(job).get("JobState") == state, timeout, lambda: f"job {job}: {self.job(job)}")

    def nodes(self):
        return {n["node"]: n for n in self.json("nodes", "--all")}

    def instances(self, role=None):
        """Machines that exist, from the machine host itself (not from the daemon)."""
        return [m for m in self.machines() if m["state"] != "gone" and m["role"] == (role or self.compute_role)]

    def machines(self):
        found = []
        for path in sorted((self.state / "machines").glob("*/machine.json")):
            try:
                machine = json.loads(path.read_text())
            except (OSError, ValueError):
                continue
            found.append(machine)
        return found

    def instance_of(self, node):
        return self.nodes()[node]["instance"]

    def events(self, *args):
        return self.json("events", "-n", "10000", *args)

    def daemon_pid(self):
        """PID of slipwayd on the box."""
        for pid in self.processes():
            if _comm(pid) == "slipwayd":
                return pid
        return None

    def pid_on_controller(self, name):
        for pid in self.processes():
            if _comm(pid) == name:
                return pid
        return None

    def host_pids(self):
        """The machine host's processes: its keeper first, then the host."""
        pids = [pid for pid in _pids() if "slipway-machines" in _cmdline(pid).split(" ")[0] and str(self.state) in _cmdline(pid)]
        return sorted(pids, key=lambda pid: _parent(pid) in pids)

    def host_pid(self):
        pids = self.host_pids()
        return pids[-1] if pids else None

    def processes(self):
        """Every process of this cluster's machines."""
        spaces = {os.stat(f"/proc/{m['pid']}/ns/pid").st_ino for m in self.machines()
                  if m.get("pid") and os.path.exists(f"/proc/{m['pid']}/ns/pid")}
        found = []
        for pid in _pids():
            try:
                if os.stat(f"/proc/{pid}/ns/pid").st_ino in spaces - {os.stat("/proc/self/ns/pid").st_ino}:
                    found.append(pid)
            except OSError:
                pass
        return found

    def wait(self, condition, timeout, what="the condition"):
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            value = condition()
            if value:
                return value
            time.sleep(0.2)
        raise AssertionError(f"not within {timeout} s: {what() if callable(what) else what}")

    def destroy(self):
        try:
            self.down = subprocess.run([str(BIN / "slipway"), "--state-base", str(self.base), "--cluster", self.name, "down"], stdin=subprocess.DEVNULL,
                                       capture_output=True, text=True, timeout=60)
        finally:
            for pid in self.stray_processes():
                try:
                    os.kill(pid, signal.SIGKILL)
                except OSError:
                    pass

    def stray_processes(self):
        return [pid for pid in _pids() if pid != os.getpid() and str(self.state) in _environ(pid) + _cmdline(pid)]

    def leftovers(self):
        """What `down` should have removed and didn't."""
        left = [f"process {pid}: {_cmdline(pid)}" for pid in self.stray_processes()]
        left += [line for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines() if str(self.base) in line]
        if self.state.exists():
            left.append(f"state folder: {sorted(p.name for p in self.state.iterdir())}")
        for link in json.loads(subprocess.run(["ip", "-j", "-d", "link"], capture_output=True, text=True).stdout):
            if link.get("ifalias", "").endswith(self.name):
                left.append(f"link {link['ifname']}")
        return left

    def keep_logs(self):
        """On failure: the last lines of every log of the roles, for the test's output."""
        out = [f"--- cluster {self.name}"]
        folders = sorted((self.state / "machines").glob("*/log/*.log"))
        paths = [self.state / "host/host.log", self.state / "rehearse/rehearse.log"] + [p for p in folders if p.stat().st_size][:12]
        for path in paths:
            try:
                lines = path.read_text(errors="replace").splitlines()[-25:]
            except OSError:
                continue
            out += [f"--- {path.relative_to(self.state)}", *lines]
        print("\n".join(out), file=sys.stderr)
        keep = os.environ.get("SLIPWAY_E2E_KEEP")
        if keep and self.state.exists():
            shutil.copytree(self.state, pathlib.Path(keep) / self.name, ignore_dangling_symlinks=True,
                            ignore=shutil.ignore_patterns("*.sock"), dirs_exist_ok=True)


def _pids():
    return [int(p) for p in os.listdir("/proc") if p.isdigit()]


def _read(pid, name):
    try:
        return pathlib.Path(f"/proc/{pid}/{name}").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def _parent(pid):
    stat = _read(pid, "stat")
    return int(stat.rsplit(")", 1)[1].split()[1]) if stat else 0


def _comm(pid):
    return _read(pid, "comm").strip()


def _cmdline(pid):
    return _read(pid, "cmdline")


def _environ(pid):
    return _read(pid, "environ")


class E2E(unittest.TestCase):
    """Base of the end-to-end tests: they need root."""

    @classmethod
    def setUpClass(cls):
        if os.geteuid() != 0:
            raise RuntimeError("the end-to-end tests make namespaces: run them as root")
