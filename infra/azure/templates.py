"""The request body of a scale set, for each kind of machine that a pool may start: it costs nothing until a launcher sends it.

Microsoft.Compute/virtualMachineScaleSets of API 2024-07-01, in ARM's shape:
https://learn.microsoft.com/azure/templates/microsoft.compute/virtualmachinescalesets. Pure; tests hold it to the SDK's types.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from infra.azure.machine import IMAGE, USER, is_fast
from infra.azure.machine_logs import agent_body
from infra.azure.sshkey import keyless
from infra.context import Context, PoolPlan
from skylift.catalog import Shape

INFINIBAND = ("Standard_ND",)


@dataclass(frozen=True, kw_only=True)
class Body:
    """What the body is made from beside the settings.

    Args:
        subnet: resource id.
        identities: resource ids of what the machine may be: the host, by which its log agent signs in, and training for the run.
        script: base64.
    """

    subnet: str
    identities: tuple[str, ...]
    script: str


def body(context: Context, plan: PoolPlan, shape: Shape, is_spot: bool, given: Body) -> dict[str, Any]:
    """The body without what a run decides: the launcher adds `sku.capacity`, a name, and the tags `skylift-run` and `skylift-end`.

    The set makes up for members that are taken away (spot) as long as it lives; nothing is upgraded under a run.
    """
    found: dict[str, Any] = {
        "location": context.region,
        "tags": {**context.tags, "skylift-pool": plan.name},
        "sku": {"name": shape.machine, "tier": "Standard", "capacity": 0},
        "identity": {"type": "UserAssigned", "userAssignedIdentities": {id_: {} for id_ in given.identities}},
        "properties": {
            "orchestrationMode": "Uniform",
            "overprovision": False,
            # Machines with InfiniBand must be near one another; others are found in more places when they need not be.
            "singlePlacementGroup": shape.machine.startswith(INFINIBAND),
            "upgradePolicy": {"mode": "Manual"},
            "virtualMachineProfile": _profile(context, plan, shape, is_spot, given),
        },
    }
    if plan.settings.zones:
        found["zones"] = list(plan.settings.zones)
    if is_spot:
        found["properties"]["spotRestorePolicy"] = {"enabled": True, "restoreTimeout": "PT6H"}
    return found


def _profile(context: Context, plan: PoolPlan, shape: Shape, is_spot: bool, given: Body) -> dict[str, Any]:
    profile: dict[str, Any] = {
        "priority": "Spot" if is_spot else "Regular",
        "osProfile": {
            "computerNamePrefix": "train",
            "adminUsername": USER,
            "customData": given.script,
            "linuxConfiguration": {
                "disablePasswordAuthentication": True,
                "ssh": {
                    "publicKeys": [{"path": f"/home/{USER}/.ssh/authorized_keys", "keyData": keyless(context.base)}]
                },
            },
        },
        "storageProfile": {
            "imageReference": dict(IMAGE),
            "osDisk": {
                "createOption": "FromImage",
                "caching": "ReadWrite",
                "diskSizeGB": plan.settings.disk_gib,
                "deleteOption": "Delete",
                "managedDisk": {"storageAccountType": "Premium_LRS"},
            },
        },
        "networkProfile": {"networkInterfaceConfigurations": [_interface(shape, given.subnet)]},
        "extensionProfile": agent_body(given.identities[0]),
        "securityProfile": {"encryptionAtHost": True},
        # The notice of a machine that is taken out of the set; that of a spot machine needs no profile.
        "scheduledEventsProfile": {"terminateNotificationProfile": {"enable": True, "notBeforeTimeout": "PT5M"}},
    }
    if is_spot:
        # Up to the price of a regular machine; a deallocated one would still be billed for its disk.
        profile |= {"evictionPolicy": "Delete", "billingProfile": {"maxPrice": -1}}
    return profile


def _interface(shape: Shape, subnet: str) -> dict[str, Any]:
    """No public address: there is no publicIPAddressConfiguration."""
    return {
        "name": "main",
        "properties": {
            "primary": True,
            "enableAcceleratedNetworking": is_fast(shape),
            "ipConfigurations": [{"name": "main", "properties": {"primary": True, "subnet": {"id": subnet}}}],
        },
    }
