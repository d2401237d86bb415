"""A simulated Azure on virtual machines for the clients that others wrote: started by a test, gone after it."""
import json
import os
import pathlib
import subprocess
import tempfile
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BIN = pathlib.Path(os.environ.get("SLIPWAY_BIN", ROOT / "build/release/bin"))
SUBSCRIPTION = "8a5f2d1c-0000-4000-8000-00000000000a"
GROUP = "hpc"
SUBNET = (f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}"
          "/providers/Microsoft.Network/virtualNetworks/net/subnets/nodes")
SIZE = "Standard_D4s_v5"

CLUSTER = f"""
cluster: clients
provider: azure
azure:
  identity:
    service_principal: {{tenant: 72f988bf-0000-4000-8000-000000000001, client: 99999999-2222-3333-4444-555555555555,
                        secret_file: /etc/hostname}}
  subscription: {SUBSCRIPTION}
  resource_group: {GROUP}
  region: westeurope
  account: clientsacc
  subnet: net/nodes
  image: canonical:ubuntu-24_04-lts:server:latest
pools:
  cpu: {{max: 10, machines: {SIZE}}}
  spot: {{max: 10, machines: {SIZE}, azure: {{kind: scale_set}}}}
partitions:
  batch: {{pools: [cpu, spot], default: true}}
"""


class Rehearsal:
    """`with Rehearsal() as azure:` azure.endpoints is what endpoints.json says."""

    def __enter__(self):
        self.temporary = tempfile.TemporaryDirectory(prefix="slipway-clients-", ignore_cleanup_errors=True)
        self.folder = pathlib.Path(self.temporary.name)
        cluster = self.folder / "clients.yaml"
        cluster.write_text(CLUSTER)
        (self.folder / "azure").mkdir(mode=0o700)
        with open(self.folder / "log", "w") as log:
            self.process = subprocess.Popen(
                [BIN / "slipway-rehearse", "--cluster", cluster, "--folder", self.folder / "azure"],
                stdout=log, stderr=subprocess.STDOUT)
        endpoints = self.folder / "azure/endpoints.json"
        try:
            wait_until(lambda: endpoints.exists() or self.process.poll() is not None, "the rehearsal")
            self.endpoints = json.loads(endpoints.read_text())
        except (AssertionError, OSError) as failure:
            text = (self.folder / "log").read_text()
            self.__exit__()
            raise RuntimeError("the rehearsal didn't start: " + text) from failure
        return self

    def set_levers(self, **levers):
        request = urllib.request.Request(
            self.endpoints["admin"] + "/levers", method="PUT", data=json.dumps(levers).encode(),
            headers={"Authorization": "Bearer " + self.endpoints["admin_token"], "Content-Type": "application/json"})
        urllib.request.urlopen(request, timeout=30).close()

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.temporary.cleanup()


def wait_until(holds, what, seconds=60):
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise AssertionError("waited in vain for " + what)
        time.sleep(0.1)
