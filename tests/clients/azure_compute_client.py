"""Microsoft's own compute client (python3-azure, azure-mgmt-compute) against the simulated Azure, over HTTPS."""
import time
import unittest
import uuid

import requests
from azure.core.credentials import AccessToken
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.mgmt.compute import ComputeManagementClient

from rehearsal import GROUP, Rehearsal, SIZE, SUBNET, SUBSCRIPTION

TENANT = "72f988bf-0000-4000-8000-000000000001"
CLIENT = "99999999-2222-3333-4444-555555555555"


class Credential:
    """Entra's client credentials grant at the simulated login; the library's own insists on microsoftonline.com."""

    def __init__(self, login, ca_file):
        self.login, self.ca_file = login, ca_file

    def get_token(self, *scopes, **_):
        answer = requests.post(f"{self.login}/{TENANT}/oauth2/v2.0/token", verify=self.ca_file, timeout=30, data={
            "grant_type": "client_credentials", "client_id": CLIENT, "client_secret": "s", "scope": scopes[0]})
        answer.raise_for_status()
        return AccessToken(answer.json()["access_token"], int(time.time()) + answer.json()["expires_in"])


def scale_set(capacity):
    return {
        "location": "westeurope", "sku": {"name": SIZE, "tier": "Standard", "capacity": capacity},
        "orchestration_mode": "Flexible", "platform_fault_domain_count": 1,
        "virtual_machine_profile": {
            "storage_profile": {"image_reference": {
                "publisher": "canonical", "offer": "ubuntu-24_04-lts", "sku": "server", "version": "latest"}},
            "os_profile": {"computer_name_prefix": "c", "admin_username": "ops"},
            "network_profile": {"network_api_version": "2020-11-01", "network_interface_configurations": [{
                "name": "nic", "primary": True, "ip_configurations": [{"name": "ip", "subnet": {"id": SUBNET}}]}]}}}


class ComputeClient(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.azure = Rehearsal().__enter__()
        cls.addClassCleanup(cls.azure.__exit__)
        ends = cls.azure.endpoints
        cls.client = ComputeManagementClient(
            Credential(ends["login"], ends["ca_file"]), SUBSCRIPTION, base_url=ends["arm"],
            credential_scopes=["https://management.azure.com/.default"], connection_verify=ends["ca_file"],
            polling_interval=0.2)

    def machines(self, name):
        wanted = (f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}/providers/Microsoft.Compute"
                  f"/virtualMachineScaleSets/{name}")
        return list(self.client.virtual_machines.list(GROUP, filter=f"'virtualMachineScaleSet/id' eq '{wanted}'"))

    def test_life_of_a_scale_set(self):
        sets = self.client.virtual_machine_scale_sets
        made = sets.begin_create_or_update(GROUP, "life", scale_set(2)).result()
        self.assertEqual(made.provisioning_state, "Succeeded")
        self.assertEqual(len(self.machines("life")), 2)
        sets.begin_update(GROUP, "life", {"sku": {"name": SIZE, "tier": "Standard", "capacity": 5}}).result()
        there = self.machines("life")
        self.assertEqual(len(there), 5)
        sets.begin_delete_instances(GROUP, "life", {"instance_ids": [there[0].name, there[3].name]}).result()
        self.assertEqual({vm.name for vm in self.machines("life")}, {there[i].name for i in (1, 2, 4)})
        self.assertEqual(sets.get(GROUP, "life").sku.capacity, 3)
        self.client.virtual_machines.begin_delete(GROUP, there[1].name).result()
        self.assertEqual(len(self.machines("life")), 2)
        sets.begin_delete(GROUP, "life").result()
        with self.assertRaises(ResourceNotFoundError):
            sets.get(GROUP, "life")

    def test_wrong_settings(self):
        wrong = scale_set(1)
        wrong["sku"]["name"] = "Standard_" + uuid.uuid4().hex
        with self.assertRaises(HttpResponseError) as caught:
            self.client.virtual_machine_scale_sets.begin_create_or_update(GROUP, "wrong", wrong).result()
        self.assertEqual(caught.exception.error.code, "InvalidParameter")

    def test_usages_and_sizes(self):
        usages = {one.name.value: one for one in self.client.usage.list("westeurope")}
        self.assertGreater(usages["cores"].limit, 0)
        self.assertIn("standardDSv5Family", usages)
        sizes = {one.name: one for one in self.client.resource_skus.list(filter="location eq 'westeurope'")}
        self.assertEqual({c.name: c.value for c in sizes[SIZE].capabilities}["vCPUs"], "4")


if __name__ == "__main__":
    unittest.main()
