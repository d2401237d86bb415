"""Microsoft's own Batch client (python3-azure, azure-batch) against the simulated Azure, over HTTP with SharedKey."""
import base64
import unittest

from azure.batch import BatchServiceClient
from azure.batch.batch_auth import SharedKeyCredentials
from azure.batch import models

from rehearsal import Rehearsal, SIZE, SUBNET, wait_until


def pool(name, dedicated=0, low_priority=0):
    return models.PoolAddParameter(
        id=name, vm_size=SIZE, target_dedicated_nodes=dedicated, target_low_priority_nodes=low_priority,
        virtual_machine_configuration=models.VirtualMachineConfiguration(
            image_reference=models.ImageReference(publisher="canonical", offer="ubuntu-24_04-lts", sku="server"),
            node_agent_sku_id="batch.node.ubuntu 24.04"),
        network_configuration=models.NetworkConfiguration(subnet_id=SUBNET),
        start_task=models.StartTask(command_line="/bin/true", wait_for_success=True),
        metadata=[models.MetadataItem(name="owner", value="test")])


class BatchClient(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.azure = Rehearsal().__enter__()
        cls.addClassCleanup(cls.azure.__exit__)
        cls.account, cls.url = next(iter(cls.azure.endpoints["batch_http"].items()))
        cls.key = cls.azure.endpoints["batch_keys"][cls.account]
        cls.client = cls.client_with(cls.key)

    @classmethod
    def client_with(cls, key):
        client = BatchServiceClient(SharedKeyCredentials(cls.account, key), batch_url=cls.url)
        client.config.retry_policy.policy.total = 0
        return client

    def steady(self, name):
        wait_until(lambda: self.client.pool.get(name).allocation_state == models.AllocationState.steady, name)
        return self.client.pool.get(name)

    def refused(self, code, call, *arguments, **options):
        with self.assertRaises(models.BatchErrorException) as caught:
            call(*arguments, **options)
        self.assertEqual(caught.exception.error.code, code)

    def test_life_of_a_pool(self):
        self.client.pool.add(pool("life", 3, 1))
        made = self.steady("life")
        self.assertEqual((made.current_dedicated_nodes, made.current_low_priority_nodes), (3, 1))
        self.assertEqual(made.metadata[0].value, "test")
        self.refused("PoolExists", self.client.pool.add, pool("life"))
        self.client.pool.resize("life", models.PoolResizeParameter(target_dedicated_nodes=5))
        self.assertEqual(self.steady("life").target_dedicated_nodes, 5)
        wait_until(lambda: all(node.state == models.ComputeNodeState.idle
                               for node in self.client.compute_node.list("life")), "idle nodes")
        nodes = list(self.client.compute_node.list("life"))
        self.assertEqual(len(nodes), 6)
        self.client.pool.remove_nodes("life", models.NodeRemoveParameter(node_list=[nodes[0].id, nodes[2].id]))
        self.steady("life")
        left = {node.id for node in self.client.compute_node.list("life")}
        self.assertEqual(left, {node.id for node in nodes} - {nodes[0].id, nodes[2].id})
        self.client.pool.delete("life")
        wait_until(lambda: not self.client.pool.exists("life"), "the pool's end")

    def test_pages(self):
        self.client.pool.add(pool("pages", 23))
        self.steady("pages")
        options = models.ComputeNodeListOptions(max_results=5, select="id,state")
        self.assertEqual(len(list(self.client.compute_node.list("pages", options))), 23)
        self.assertGreaterEqual(len(list(self.client.account.list_supported_images())), 5)
        counts = {one.pool_id: one.dedicated.total for one in self.client.account.list_pool_node_counts()}
        self.assertEqual(counts["pages"], 23)

    def test_conflicts(self):
        self.azure.set_levers(allocate_ms=3000)  # long enough to be seen at it, however busy the machine is
        self.addCleanup(self.azure.set_levers)
        self.client.pool.add(pool("conflict"))
        etag = self.client.pool.get("conflict").e_tag
        self.client.pool.resize("conflict", models.PoolResizeParameter(target_dedicated_nodes=2),
                                models.PoolResizeOptions(if_match=etag))
        self.refused("PoolBeingResized", self.client.pool.resize, "conflict",
                     models.PoolResizeParameter(target_dedicated_nodes=1))
        self.steady("conflict")
        self.refused("ConditionNotMet", self.client.pool.resize, "conflict",
                     models.PoolResizeParameter(target_dedicated_nodes=1), models.PoolResizeOptions(if_match=etag))
        self.refused("PoolNotFound", self.client.pool.get, "nowhere")

    def test_wrong_key(self):
        other = self.client_with(base64.b64encode(b"another key").decode())
        with self.assertRaises(models.BatchErrorException) as caught:
            list(other.pool.list())
        self.assertEqual(caught.exception.response.status_code, 403)


if __name__ == "__main__":
    unittest.main()
