#!/usr/bin/env python3
"""The floor under `srun -N…` from powered-down nodes: the same namespaces and slurmd, with nothing of Slipway.

A script makes namespaces and links with unshare and ip, and starts slurmd in them. No overlay, no agent, no daemon, no late binding, no failure
handling. With --munge own each machine runs a munged of its own, as Slipway's machines (and any real cluster's) do; with --munge shared
all use one through its socket, which is the least that could work at all.

Prints one JSON object: {"nodes": n, "munge": …, "seconds": […]}. Needs root, Slurm and munge on this machine.
"""
import argparse
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

BRIDGE = "slwfloor"
NET = "198.19.{}.{}"
CONTROLLER = "198.19.240.2"


def address(number):
    number += 16
    return NET.format(240 + number // 256, number % 256)


def slurm_conf(folder, nodes):
    lines = [
        "ClusterName=floor", f"SlurmctldHost=controller({CONTROLLER})", "SlurmUser=root", "AuthType=auth/munge",
        "SlurmctldParameters=enable_configless,cloud_reg_addrs,idle_on_node_suspend", "SlurmdParameters=config_overrides",
        "ProctrackType=proctrack/linuxproc", "TaskPlugin=task/none", "JobAcctGatherType=jobacct_gather/none", "MpiDefault=none",
        "ReturnToService=2", "SchedulerType=sched/backfill", "SelectType=select/cons_tres", "SelectTypeParameters=CR_Core",
        f"StateSaveLocation={folder}/state", "SlurmdSpoolDir=/var/spool/slurmd", "SlurmctldPidFile=/run/slurmctld.pid",
        "SlurmdPidFile=/run/slurmd.pid", f"SlurmctldLogFile={folder}/slurmctld.log", "SlurmdLogFile=/run/slurmd.log",
        f"ResumeProgram={folder}/resume", f"SuspendProgram={folder}/suspend", "SuspendTime=100000", "ResumeTimeout=600", "SuspendTimeout=10",
        "ResumeRate=0", "SuspendRate=0", "PrivateData=cloud", "TreeWidth=65533", "MessageTimeout=60", "SlurmdTimeout=300",
    ]
    lines += [f"NodeName=n{i:04d} NodeAddr={address(i)} CPUs=1 State=CLOUD" for i in range(1, nodes + 1)]
    lines += [f"PartitionName=all Nodes=n[0001-{nodes:04d}] Default=YES"]
    return "\n".join(lines) + "\n"


NODE = """#!/bin/sh
# A bare machine: name, network, own /run and spool, munged if wanted, slurmd.
hostname $1
echo $1 > {folder}/ready
read go < {folder}/go-$1
ip -batch - << END
link set lo up
addr add $2/20 dev eth0
link set eth0 up
END
mount -t tmpfs none /run
mount -t tmpfs none /var/spool
mkdir -p /run/munge /var/spool/slurmd
if [ {munge} = own ]; then
  chown munge /run/munge
  setpriv --reuid=munge --clear-groups munged --key-file={folder}/munge-own.key --socket=/run/munge/munge.socket.2 --num-threads=2 --force 2> /dev/null
else
  mount --bind {folder}/munge /run/munge
fi
exec slurmd -D -b -N $1 --conf-server {controller}:6817 > /dev/null 2>&1
"""


class Floor:
    def __init__(self, nodes, munge):
        self.nodes, self.munge = nodes, munge
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="slipway-floor-"))
        os.chmod(self.folder, 0o755)
        self.children, self.stop = {}, False
        self.limits = {}  # of the box, as they were

    def __enter__(self):
        f = self.folder
        for name in ("state", "munge", "etc"):
            (f / name).mkdir()
        (f / "etc/slurm.conf").write_text(slurm_conf(f, self.nodes))
        (f / "etc/cgroup.conf").write_text("CgroupPlugin=cgroup/v1\n")
        shutil.chown(f / "munge", "munge")
        key = os.urandom(1024)
        for name in ("munge.key", "munge-own.key"):
            (f / name).write_bytes(key)
            os.chmod(f / name, 0o400)
            shutil.chown(f / name, "munge")
        for name in ("ready", "wanted"):
            os.mkfifo(f / name)
        (f / "resume").write_text(f"#!/bin/sh\necho \"$1\" > {f}/wanted\n")
        (f / "suspend").write_text("#!/bin/sh\n")
        (f / "node").write_text(NODE.format(folder=f, munge=self.munge, controller=CONTROLLER))
        for name in ("resume", "suspend", "node"):
            os.chmod(f / name, 0o755)
        for number, limit in ((1, 4096), (2, 16384), (3, 32768)):
            path = pathlib.Path(f"/proc/sys/net/ipv4/neigh/default/gc_thresh{number}")
            if int(path.read_text()) < limit:
                self.limits[path] = path.read_text()
                path.write_text(str(limit))
        ip(f"link add {BRIDGE} type bridge mcast_snooping 0\naddr add 198.19.240.1/20 dev {BRIDGE}\nlink set {BRIDGE} up\n")
        self.ready_fd = os.open(f / "ready", os.O_RDWR)
        self.wanted_fd = os.open(f / "wanted", os.O_RDWR)
        script = (f"hostname controller; mount -t tmpfs none /run; mkdir /run/munge; mount --bind {f}/munge /run/munge; mkdir -p /etc/slurm; "
                  f"mount --bind {f}/etc /etc/slurm; echo controller > {f}/ready; read go < {f}/go-controller; "
                  f"ip -batch - << END\nlink set lo up\naddr add {CONTROLLER}/20 dev eth0\nlink set eth0 up\nEND\n"
                  f"(grep -v controller /etc/hosts; echo {CONTROLLER} controller) > /run/hosts; mount --bind /run/hosts /etc/hosts; "
                  f"setpriv --reuid=munge --clear-groups munged --key-file={f}/munge.key --socket={f}/munge/munge.socket.2 --force; "
                  "exec slurmctld -D > /dev/null 2>&1")
        os.mkfifo(f / "go-controller")
        self.controller = self.space("sh", "-c", script)
        self.connect(["controller"], {"controller": self.controller.pid})
        end = time.monotonic() + 30
        while subprocess.run(self.inside("scontrol", "ping"), capture_output=True).returncode:
            if time.monotonic() > end:
                raise RuntimeError("slurmctld does not answer:\n" + (f / "slurmctld.log").read_text()[-2000:])
            time.sleep(0.1)
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()
        return self

    def space(self, *command):
        return subprocess.Popen(["unshare", "--net", "--uts", "--mount", "--pid", "--ipc", "--fork", "--mount-proc", "--kill-child=KILL", *command],
                                stdin=subprocess.DEVNULL)

    def connect(self, names, pids):
        """Waits until the namespaces exist, gives each a link to the bridge, and lets the machine go on."""
        missing, text = set(names), b""
        while missing:
            text += os.read(self.ready_fd, 65536)
            *lines, text = text.split(b"\n")
            missing -= {line.decode() for line in lines}
        ip("".join(f"link add vf{pids[n]} type veth peer name eth0 netns {pids[n]}\nlink set vf{pids[n]} master {BRIDGE} up\n" for n in names))
        for n in names:
            with open(self.folder / f"go-{n}", "w") as go:
                go.write("\n")

    def serve(self):
        text = b""
        while not self.stop:
            text += os.read(self.wanted_fd, 65536)
            *lines, text = text.split(b"\n")
            for line in lines:
                if line:
                    self.boot(subprocess.run(["scontrol", "show", "hostnames", line.decode()], capture_output=True, text=True,
                                             env={**os.environ, "SLURM_CONF": str(self.folder / "etc/slurm.conf")}).stdout.split())

    def boot(self, names):
        for at in range(0, len(names), 50):
            batch = names[at:at + 50]
            for n in batch:
                os.mkfifo(self.folder / f"go-{n}")
                self.children[n] = self.space(str(self.folder / "node"), n, address(int(n[1:])))
            self.connect(batch, {n: self.children[n].pid for n in batch})

    def inside(self, *command):
        child = pathlib.Path(f"/proc/{self.controller.pid}/task/{self.controller.pid}/children").read_text().split()[0]
        return ["nsenter", "-t", child, "-n", "-u", "-m", "-p", "-i", *command]

    def srun(self, n):
        start = time.monotonic()
        done = subprocess.run(self.inside("srun", f"-N{n}", "hostname"), capture_output=True, text=True, timeout=300)
        seconds = time.monotonic() - start
        if len(set(done.stdout.split())) != n:
            raise RuntimeError(f"srun answered from {len(set(done.stdout.split()))} of {n} nodes: {done.stderr[-500:]}")
        return seconds

    def __exit__(self, *_):
        self.stop = True
        for child in [*self.children.values(), getattr(self, "controller", None)]:
            if child:
                child.send_signal(signal.SIGKILL)
        for child in [*self.children.values(), getattr(self, "controller", None)]:
            if child:
                child.wait()
        for child in [*self.children.values(), getattr(self, "controller", None)]:
            if child:
                subprocess.run(["ip", "link", "del", f"vf{child.pid}"], capture_output=True)
        subprocess.run(["ip", "link", "del", BRIDGE], capture_output=True)
        for path, before in self.limits.items():
            path.write_text(before)
        time.sleep(1)
        shutil.rmtree(self.folder, ignore_errors=True)


def ip(batch):
    subprocess.run(["ip", "-batch", "-"], input=batch, text=True, check=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, default=4)
    parser.add_argument("--munge", choices=("own", "shared"), default="own")
    parser.add_argument("--runs", type=int, default=1)
    options = parser.parse_args()
    seconds = []
    for _ in range(options.runs):
        with Floor(options.nodes, options.munge) as floor:
            seconds.append(round(floor.srun(options.nodes), 3))
    print(json.dumps({"nodes": options.nodes, "munge": options.munge, "seconds": seconds}))


if __name__ == "__main__":
    sys.exit(main())
