"""A cluster file for Azure, rehearsed: `slipway rehearse`, the simulated cloud's levers, its own counts of calls and machines, and a client of the Batch service that isn't ours."""
import base64
import email.utils
import hashlib
import hmac
import json
import os
import signal
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request

import harness

SUBSCRIPTION = "8a5f2d1c-0000-4000-8000-00000000000a"
OTHER_SUBSCRIPTION = "8a5f2d1c-0000-4000-8000-00000000000b"
ACCOUNT = "slurmbatch"
BATCH_VERSION = "2024-07-01.20.0"

SECTION = f"""provider: azure
azure:
  subscription: {SUBSCRIPTION}
  resource_group: hpc
  region: westeurope
  subnet: net/nodes
  image: microsoft-dsvm:ubuntu-hpc:2204:latest
  account: {ACCOUNT}
  node_identity: /subscriptions/{SUBSCRIPTION}/resourceGroups/hpc/providers/Microsoft.ManagedIdentity/userAssignedIdentities/slurm-nodes
"""

# Quick, but not at once: every step of Azure's takes a noticeable time.
QUICK = {"call_ms": [2, 10], "allocate_ms": [400, 800], "boot_ms": [100, 400], "release_ms": [300, 600]}


class AzureCluster(harness.Cluster):
    verb = "rehearse"
    compute_role = "vm"

    def __init__(self, text, levers=None, **more):
        super().__init__(text, **more)
        self.levers = dict(QUICK)
        self.lever_file = self.base / "levers.json"
        self.lever_file.write_text(json.dumps(self.levers | (levers or {})))
        self.opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def compute(self, text):
        return SECTION + text

    def options(self):
        return ["--levers", str(self.lever_file)]

    def endpoints(self):
        return json.loads((self.state / "rehearse/endpoints.json").read_text())

    # The admin door.
    def admin(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        where = self.endpoints()
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {where['admin_token']}"}
        request = urllib.request.Request(where["admin"] + path, data=data, method=method, headers=headers)
        try:
            with self.opener.open(request, timeout=20) as answer:
                return json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{method} {path}: {error.code} {error.read().decode(errors='replace')}") from None

    def set_levers(self, **levers):
        """These, and the quick times; whatever else was set isn't any more."""
        self.admin("PUT", "/levers", self.levers | levers)

    def calls(self, operation=None):
        """How often each operation of the cloud's API was called, by its published name; or of one."""
        counts = self.admin("GET", "/calls")["calls"]
        return counts if operation is None else counts.get(operation, 0)

    def forget_calls(self):
        self.admin("DELETE", "/calls")

    def vms(self, *phases, group=None):
        """The cloud's machines, as it knows them itself: those in these phases (all), of groups that end so."""
        return [vm for vm in self.admin("GET", "/machines")["machines"]
                if (not phases or vm["phase"] in phases) and (group is None or vm["group"].endswith(group))]

    def vm_of(self, node):
        """The cloud's machine behind a Slurm node."""
        name = self.instance_of(node).split("/", 1)[1]
        return next(vm for vm in self.vms() if vm["name"] == name)

    def in_vm(self, node, *words, enter="--all", user=None, stdin=""):
        """Runs a program on the machine behind a node, past Slipway, as root or as a user's number. `enter`: which of the machine's namespaces."""
        who = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"] if user else []
        done = subprocess.run(["nsenter", "--target", str(self.vm_of(node)["pid"]), enter, *who, *words], input=stdin, capture_output=True, text=True, timeout=60)
        if done.returncode != 0:
            raise AssertionError(f"{words[0]} ended with {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done.stdout

    def evict(self, *vms, notice_ms=0):
        self.admin("POST", "/evict", {"machines": [vm["name"] for vm in vms], "notice_ms": notice_ms})

    def vanish(self, *vms):
        self.admin("POST", "/vanish", {"machines": [vm["name"] for vm in vms]})

    def cloud_pid(self):
        try:
            return int((self.state / "rehearse/pid").read_text())
        except (OSError, ValueError):
            return None

    def restart_cloud(self, while_away=lambda: None):
        """A power cut of the simulated cloud itself, and its return with the words it was started with."""
        pid = self.cloud_pid()
        words = [word for word in harness._read(pid, "cmdline").split(" ") if word]
        os.kill(pid, signal.SIGKILL)
        self.wait(lambda: not os.path.exists(f"/proc/{pid}") or "Z" in harness._read(pid, "stat").rsplit(")", 1)[-1][:3], 5, "its end")
        while_away()
        before = (self.state / "rehearse/endpoints.json").read_text()
        (self.state / "rehearse/endpoints.json").unlink()
        with open(self.state / "rehearse/rehearse.log", "a") as log:
            subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        self.wait((self.state / "rehearse/endpoints.json").exists, 20, "the simulated cloud's return")
        assert json.loads(before) == self.endpoints(), "its doors are where they were"

    # The Batch service, as anybody with the account's key sees it.
    def batch(self, method, path, body=None, account=ACCOUNT, headers=None):
        """{} for answers without a body. AssertionError with the service's words for others than 2xx."""
        where, key = self.endpoints()["batch_http"][account], base64.b64decode(self.endpoints()["batch_keys"][account])
        data = b"" if body is None else json.dumps(body).encode()
        sent = {"ocp-date": email.utils.formatdate(usegmt=True), **(headers or {})}
        if body is not None:
            sent["Content-Type"] = "application/json; odata=minimalmetadata"
        lower = {name.lower(): value for name, value in sent.items()}
        lines = [method] + [lower.get(name, "") for name in ("content-encoding", "content-language")] + [str(len(data) or "")]
        lines += [lower.get(name, "") for name in ("content-md5", "content-type", "date", "if-modified-since", "if-match", "if-none-match",
                                                   "if-unmodified-since", "range")]
        lines += [f"{name}:{lower[name]}" for name in sorted(lower) if name.startswith("ocp-")]
        text = "\n".join(lines) + f"\n/{account}{path}\napi-version:{BATCH_VERSION}"
        signature = base64.b64encode(hmac.new(key, text.encode(), hashlib.sha256).digest()).decode()
        sent["Authorization"] = f"SharedKey {account}:{signature}"
        if data:
            sent["Content-Length"] = str(len(data))
        request = urllib.request.Request(f"{where}{urllib.parse.quote(path)}?api-version={BATCH_VERSION}", data=data or None, method=method, headers=sent)
        try:
            with self.opener.open(request, timeout=20) as answer:
                return json.loads(answer.read() or b"{}")
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{method} {path}: {error.code} {error.read().decode(errors='replace')}") from None

    def batch_pools(self, account=ACCOUNT):
        return {pool["id"]: pool for pool in self.batch("GET", "/pools", account=account)["value"]}

    def batch_pool(self, pool, account=ACCOUNT):
        return self.batch("GET", f"/pools/{self.name}-{pool}", account=account)

    # What tests ask again and again.
    def output(self, job):
        return (self.state / f"shared/home/user/slurm-{job}.out").read_text()

    def hosts(self, job):
        """The nodes that the job's output names."""
        return sorted(set(self.output(job).split()))

    def history(self):
        lines = [f"{e['at'][11:]} {e['kind']} {e['node']} {e['instance']} {e['message']}" for e in self.events()[-60:]]
        return "\n".join(lines) + f"\ncalls: {self.calls()}\nmachines: {[(v['name'], v['phase']) for v in self.vms()]}"

    def running(self, job, timeout=60):
        self.wait(lambda: self.job(job).get("JobState") == "RUNNING", timeout, lambda: f"job {job}: {self.job(job)}\n{self.history()}")

    def finished(self, job, timeout=60):
        self.wait(lambda: self.job(job).get("JobState") == "COMPLETED", timeout, lambda: f"job {job}: {self.job(job)}\n{self.history()}")

    def empty(self, timeout=40):
        """Waits until the cloud has no machine and nothing is asked for any more."""
        self.wait(lambda: not self.vms(), timeout, lambda: f"an empty cloud\n{self.history()}")
        idle = lambda: all(p["targetDedicatedNodes"] == p["targetLowPriorityNodes"] == 0 and p["allocationState"] == "steady"
                           for account in self.endpoints()["batch_http"] for p in self.batch_pools(account).values())
        self.wait(idle, 20, lambda: f"pools that nobody wants machines of: {self.batch_pools()}\n{self.history()}")


def settled(read, seconds):
    """The value when it hasn't changed for so long."""
    last, since = read(), time.monotonic()
    while time.monotonic() < since + seconds:
        time.sleep(0.2)
        now = read()
        if now != last:
            last, since = now, time.monotonic()
    return last
