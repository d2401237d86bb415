"""The demonstration behind `scripts/demo azure`: a cluster file for Azure as it stands, against a simulated Azure, with real Slurm on real machines of this box."""
import collections
import json
import urllib.request

import demo
from demo import Failed, say

SPOT_MACHINES = 10  # that the simulated region has


class AzureDemo(demo.Demo):
    name = "azure-demo"
    verb = "rehearse"
    jobs = {"mpi": "-p mpi mpi.sh", "array": "array.sh"}
    most = collections.Counter()  # machines by group, size and market

    def admin(self, method, path, body=None):
        """The simulated cloud's own door: what goes wrong there, and what it counts (docs/rehearsal.md)."""
        where = json.loads((self.state / "rehearse/endpoints.json").read_text())
        request = urllib.request.Request(where["admin"] + path, method=method, data=body and json.dumps(body).encode(),
                                         headers={"Authorization": f"Bearer {where['admin_token']}"})
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=10) as answer:
            return json.load(answer)

    def up(self):
        super().up()
        say(f"in the simulated westeurope machines take 2 to 4 s to come, and there are {SPOT_MACHINES} at the spot price")
        self.admin("PUT", "/levers", {"call_ms": [20, 80], "allocate_ms": [1500, 3000], "boot_ms": [500, 1000], "release_ms": [500, 1500],
                                      "capacity": [{"group": "spot", "market": "spot", "most": SPOT_MACHINES}]})

    def watch(self, until, what, seconds, step=0.3):
        def look(status):
            vms = self.admin("GET", "/machines")["machines"]
            census = collections.Counter((vm["group"], vm["size"], vm["market"]) for vm in vms if vm["phase"] == "running")
            self.most = max(self.most, census, key=lambda one: sum(one.values()))
            return until(status)

        super().watch(look, what, seconds, step)

    def results(self):
        say("results")
        self.mpi_result()
        nodes = self.array_result()
        pools = collections.Counter(node.rsplit("-", 1)[0] for node in nodes)
        print("    the array ran on: " + ", ".join(f"{count} node{'s' * (count > 1)} of {pool}" for pool, count in sorted(pools.items())))
        if not pools["spot"]:
            raise Failed("no task ran on the scale sets' machines")
        say("machines in the simulated Azure when there were most")
        for (group, size, market), count in sorted(self.most.items()):
            print(f"    {count:3} {size} {'at the spot price' if market == 'spot' else 'on demand':<18} in {group}")
        say("slipway explain spot-0024")
        print(self.slipway("explain", "spot-0024"), end="")

    def print_timeline(self):
        super().print_timeline()
        say("calls of the APIs, all in all")
        for operation, count in sorted(self.admin("GET", "/calls")["calls"].items()):
            print(f"    {count:5} {operation}")


if __name__ == "__main__":
    demo.main(AzureDemo)
