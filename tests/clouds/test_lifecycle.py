"""The nine targets under the real engine on simulated clouds: planned, broken off, completed, moved, drifted, changed, removed."""

from __future__ import annotations

from dataclasses import dataclass, field
from fnmatch import fnmatch
from typing import Any

import pytest
import yaml

from skylift.stack.outputs import decode
from tests.clouds.conftest import Clouds
from tests.clouds.engine import ROOT, Done, Stack, project_of_ours

pytestmark = pytest.mark.slow

DIGEST = "sha256:" + "a1" * 32
TAGS = ("skylift-stack", "skylift-target", "owner", "managed-by")
NAME = "life"

KEPT = {"IAMAuditConfig"}
"""What stays when a stack is destroyed: on Google the project's own audit configuration, which is nobody's to take away."""


@dataclass(frozen=True)
class Case:
    """One target.

    Args:
        breaks: the kind whose creation ends halfway.
        drifts: kind, logical name and path that somebody changes, and to what.
        vanishes: kind and logical name of what somebody deletes.
        in_place: settings that change what is there without replacing it, and kinds that must then be updated.
        replacing: settings that replace something, and what happens in which order.
    """

    target: str
    breaks: str
    drifts: tuple[str, str, str, Any]
    vanishes: tuple[str, str]
    updated: set[str]
    replacing: dict[str, Any]
    order: list[str]
    in_place: dict[str, Any] = field(
        default_factory=lambda: {"retention": {"logs_days": 60, "versions_days": 45, "work_days": 30, "images": 30}}
    )


CASES: list[Case] = [
    Case(
        "ec2",
        breaks="NatGateway",
        drifts=("BucketPublicAccessBlock", "storage-keep-private", "blockPublicAcls", False),
        vanishes=("BucketPolicy", "storage-keep-policy"),
        updated={"LogGroup", "BucketLifecycleConfiguration"},
        replacing={
            "endpoints": {
                "default": {
                    "exposure": "public",
                    "certificate": "arn:aws:acm:us-east-1:123456789012:certificate/11111111-2222-3333-4444-555555555555",
                    "hostname": "models.example.com",
                }
            }
        },
        order=["create-replacement LoadBalancer *", "delete-replaced LoadBalancer *"],
    ),
    Case(
        "gce",
        breaks="Subnetwork",
        drifts=("Bucket", "storage-keep", "publicAccessPrevention", "inherited"),
        vanishes=("Firewall", "network-tunnel"),
        updated={"Bucket"},
        replacing={"pools": {"gpu": {"accelerator": "L4", "spot": True, "disk_gib": 200}}},
        order=[
            "create-replacement RegionInstanceTemplate vm-pool-gpu-*",
            "delete-replaced RegionInstanceTemplate vm-pool-gpu-*",
        ],
    ),
    Case(
        "gke",
        breaks="gcp:container/nodePool:NodePool",
        drifts=("Bucket", "storage-keep", "publicAccessPrevention", "inherited"),
        vanishes=("NetworkPolicy", "cluster-workloads-namespace-deny-all"),
        updated={"Bucket", "ProjectBucketConfig"},
        replacing={"pools": {"gpu": {"accelerator": "L4", "spot": True, "disk_gib": 200}}},
        order=["create-replacement NodePool *gpu*", "delete-replaced NodePool *gpu*"],
    ),
    Case(
        "vertex",
        breaks="AiEndpoint",
        drifts=("Bucket", "storage-keep", "publicAccessPrevention", "inherited"),
        vanishes=("Account", "identity-serving"),
        updated={"Bucket", "ProjectBucketConfig"},
        replacing={"endpoints": {"default": {"accelerator": "L4"}}},
        order=["create-replacement VertexDeployment *", "delete-replaced VertexDeployment *"],
    ),
    Case(
        "eks",
        breaks="NodeGroup",
        drifts=("BucketPublicAccessBlock", "storage-keep-private", "blockPublicAcls", False),
        vanishes=("NetworkPolicy", "cluster-workloads-namespace-deny-all"),
        updated={"LogGroup", "BucketLifecycleConfiguration"},
        replacing={"pools": {"gpu": {"accelerator": "L4", "spot": True, "machines": ["g6.2xlarge"]}}},
        order=["create-replacement NodeGroup *gpu*", "delete-replaced NodeGroup *gpu*"],
    ),
    Case(
        "sagemaker",
        breaks="BucketLifecycleConfiguration",
        drifts=("BucketPublicAccessBlock", "storage-keep-private", "blockPublicAcls", False),
        vanishes=("BucketPolicy", "storage-keep-policy"),
        updated={"BucketLifecycleConfiguration"},
        replacing={"endpoints": {"default": {"accelerator": "L4"}}},
        order=[
            "create-replacement EndpointConfiguration *",
            "update Endpoint *",
            "delete-replaced EndpointConfiguration *",
        ],
    ),
    Case(
        "azure-vm",
        breaks="VirtualNetwork",
        drifts=("StorageAccount", "storage-keep", "allowBlobPublicAccess", True),
        vanishes=("ManagementPolicy", "storage-work-expiry"),
        updated={"StorageAccount", "BlobServiceProperties"},
        replacing={"region": "westus2"},
        order=["delete-replaced ResourceGroup group", "create-replacement ResourceGroup group"],
    ),
    Case(
        "aks",
        breaks="AgentPool",
        drifts=("StorageAccount", "storage-keep", "allowBlobPublicAccess", True),
        vanishes=("NetworkPolicy", "cluster-workloads-namespace-deny-all"),
        updated={"StorageAccount", "BlobServiceProperties"},
        replacing={"pools": {"gpu": {"accelerator": "T4", "spot": True, "machines": ["Standard_NC8as_T4_v3"]}}},
        order=["*-replace* AgentPool *"],
    ),
    Case(
        "azureml",
        breaks="azure-native:machinelearningservices:Workspace",
        drifts=("StorageAccount", "storage-keep", "allowBlobPublicAccess", True),
        vanishes=("ManagementPolicy", "storage-work-expiry"),
        updated={"StorageAccount", "BlobServiceProperties"},
        replacing={"endpoints": {"default": {"accelerator": "cpu", "machine": "Standard_D8s_v5"}}},
        order=["create-replacement OnlineDeployment *", "update Deployment *", "delete-replaced OnlineDeployment *"],
    ),
]


def _account(clouds: Clouds, target: str) -> str:
    world = clouds.cloud.world
    if target in ("ec2", "eks", "sagemaker"):
        return world.account
    return world.project if target in ("gce", "gke", "vertex") else world.subscription


def _settings(clouds: Clouds, target: str) -> dict[str, Any]:
    """The example as it stands, for a stack that may lose its data and tells somebody of trouble."""
    example = yaml.safe_load((ROOT / "stacks" / f"Pulumi.example-{target}.yaml").read_text(encoding="utf-8"))["config"]
    return {
        **example,
        "skylift:account": _account(clouds, target),
        "skylift:disposable": True,
        "skylift:owner": "somebody",
        "skylift:secrets": ["api-token"],
        "skylift:alerts": {"emails": ["somebody@example.com"]},
    }


class Life:
    """One stack from its first preview to its end; each step leaves it as the next one expects it."""

    def __init__(self, case: Case, clouds: Clouds) -> None:
        self.case = case
        self.cloud = clouds.cloud
        folder = clouds.folder / case.target
        self.stack: Stack = project_of_ours(folder, NAME, clouds.tool, clouds.providers, _settings(clouds, case.target))
        self.stack.variables |= clouds.variables

    def previews(self) -> None:
        planned = self.stack.preview()
        assert planned.changes and {one.op for one in planned.changes} == {"create"}
        assert self.cloud.log == [], "a preview made something"

    def breaks_off_and_is_completed(self) -> None:
        self.cloud.fail(self.case.breaks, error="halfway")
        assert self.stack.up(check=False).code != 0
        assert any(one.is_broken for one in self.cloud.own())
        done = self.stack.up()
        assert {one.op for one in done.changes} <= {"create", "update"}, _shown(done)
        assert not any(one.is_broken for one in self.cloud.own())

    def promises_what_it_should(self) -> dict[str, Any]:
        found = self.stack.outputs()
        promised = decode(found, NAME)
        assert promised.target == self.case.target
        return found

    def is_tagged_and_has_no_provider_by_default(self) -> None:
        bare = [(one.kind, one.name) for one in self.cloud.taggable_without(TAGS)]
        assert bare == []
        defaults = {one["urn"] for one in self.stack.resources() if "::default_" in one.get("provider", "")}
        assert defaults == set()

    def moves_and_does_not_change(self) -> None:
        """Export, forget, import; the second `up` of the same settings has nothing to do."""
        state = self.stack.export()
        self.stack.remove()
        assert self.stack.resources() == []
        self.stack.import_(state)
        before = len(self.cloud.log)
        assert self.stack.up().ops() == []
        assert len(self.cloud.log) == before

    def finds_drift(self) -> None:
        kind, name, path, value = self.case.drifts
        self.cloud.drift(kind, path, value, name)
        self.cloud.vanish(*self.case.vanishes)
        found = self.stack.refresh().ops()
        assert f"update {kind} {name}" in found
        assert f"delete {' '.join(self.case.vanishes)}" in found

    def mends_drift_and_changes_in_place(self, registry: str) -> None:
        images = {kind: f"{registry}/{kind}@{DIGEST}" for kind in ("training", "serving")}
        self.stack.change(images=images, **self.case.in_place)
        done = self.stack.up()
        kind, name, _, _ = self.case.drifts
        assert f"update {kind} {name}" in done.ops()
        assert f"create {' '.join(self.case.vanishes)}" in done.ops()
        assert {one.op for one in done.changes} <= {"create", "update"}, _shown(done)
        assert {one.type.rpartition(":")[2] for one in done.changes if one.op == "update"} >= self.case.updated

    def replaces_in_order(self) -> None:
        self.stack.change(**self.case.replacing)
        done = self.stack.up()
        assert _in_order(done, self.case.order), _shown(done)
        assert self.stack.preview().ops() == []

    def ends(self) -> None:
        self.stack.destroy()
        left = [(one.kind, one.name) for one in self.cloud.own() if one.kind not in KEPT]
        assert left == []


def _shown(done: Done) -> str:
    return "\n".join(f"{one} {' '.join(one.keys)} {' '.join(one.diffs)}" for one in done.changes)


def _in_order(done: Done, wanted: list[str]) -> bool:
    """Whether changes like these (`*` for anything) happened, one after the other."""
    at = iter(done.ops())
    return all(any(fnmatch(one, want) for one in at) for want in wanted)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.target)
def test_life_of_a_stack(case: Case, clouds: Clouds) -> None:
    life = Life(case, clouds)
    life.previews()
    life.breaks_off_and_is_completed()
    found = life.promises_what_it_should()
    life.moves_and_does_not_change()
    life.finds_drift()
    life.mends_drift_and_changes_in_place(found["registry"])
    life.is_tagged_and_has_no_provider_by_default()
    life.replaces_in_order()
    life.ends()
