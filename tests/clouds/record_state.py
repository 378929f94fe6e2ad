"""Records what a release's stacks look like in state, once: `python -m tests.clouds.record_state TARGET…` (all nine without one).

tests/clouds/states/TARGET.json.gz holds the settings and `pulumi stack export` of a stack that was brought up on a simulated cloud by
that release. It is what users of the release have, so a file is never written again: test_upgrade.py holds the digest of each, and
what a later release changes has to get along with it. A new target gets a file with its first release.
"""

from __future__ import annotations

import getpass
import gzip
import json
import socket
import sys
import tempfile
import uuid
from pathlib import Path
from typing import Any

import yaml

from skylift import assets
from skylift.engine import find_pulumi
from skylift.stack.settings import CLOUDS
from tests.clouds import arm, server, vertex
from tests.clouds.cloud import SimulatedCloud
from tests.clouds.engine import ROOT, project_of_ours
from tests.clouds.relations import Stored
from tests.clouds.world import MOMENT, World

FOLDER = Path(__file__).parent / "states"
STACK = "release"
DIGEST = "sha256:" + "a1" * 32
SHORT = 5
TELLING = ("secrets_providers", "sourcePosition", "stackTrace")
"""What encrypts, and where in a program on this machine something is declared."""


def path(target: str) -> Path:
    return FOLDER / f"{target}.json.gz"


def read(target: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Settings with full keys, and the export."""
    document = json.loads(gzip.decompress(path(target).read_bytes()))
    return document["settings"], document["export"]


def settings(target: str) -> dict[str, Any]:
    """The target's example in the simulated account, with images of its own registry."""
    text = assets.path(f"stacks/Pulumi.example-{target}.yaml").read_text(encoding="utf-8")
    example: dict[str, Any] = yaml.safe_load(text)["config"]
    world, cloud = World(), CLOUDS[target]
    account = {"aws": world.account, "gcp": world.project, "azure": world.subscription}[cloud]
    registry = {
        "aws": f"{account}.dkr.ecr.{example['skylift:region']}.amazonaws.com/skylift-{STACK}",
        "gcp": f"{example['skylift:region']}-docker.pkg.dev/{account}/skylift-{STACK}",
        "azure": "ours.azurecr.io",
    }[cloud]
    images = {kind: f"{registry}/{kind}@{DIGEST}" for kind in ("training", "serving")}
    return {**example, "skylift:account": account, "skylift:images": images}


def restore(cloud: SimulatedCloud, export: dict[str, Any]) -> None:
    """Put what a state tells of into a simulated cloud."""
    for one in export["deployment"]["resources"]:
        token = str(one["type"])
        if one.get("custom") and not token.startswith("pulumi"):
            values = [_bare(one.get(key) or {}) for key in ("inputs", "outputs")]
            cloud.resources[token, one["id"]] = Stored(token, one["id"], one["urn"].rpartition("::")[2], *values)


def _bare(value: Any) -> Any:
    """As in a cloud: secrets are plain values there."""
    if isinstance(value, dict):
        if "plaintext" in value:
            return _bare(json.loads(value["plaintext"]))
        return {key: _bare(item) for key, item in value.items()}
    return [_bare(item) for item in value] if isinstance(value, list) else value


def record(target: str, folder: Path) -> None:
    """Bring the target's stack up on an empty simulated cloud and write its state.

    Raises:
        FileExistsError: it is recorded already.
    """
    if path(target).exists():
        raise FileExistsError(f"{path(target)} is there: what a release has made is not recorded anew")
    cloud, chosen = SimulatedCloud(has_chance=False), settings(target)
    with server.serve(cloud) as providers, vertex.serve(cloud) as (_, variables), arm.serve(cloud) as (_, more):
        stack = project_of_ours(folder / target, STACK, find_pulumi(), providers, chosen)
        stack.variables |= variables | more
        stack.up()
        exported = scrubbed(stack.export(show_secrets=True))
    document = json.dumps({"settings": chosen, "export": exported}, indent=1, sort_keys=True)
    told = [one for one in traces(folder) if one in document]
    assert not told, f"{target}: the state tells of {told}"
    FOLDER.mkdir(exist_ok=True)
    path(target).write_bytes(gzip.compress(document.encode(), mtime=0))


def traces(folder: Path) -> list[str]:
    """What would tell of this machine. Short names of users and hosts (root, vm) are words of any state, so only longer ones count."""
    names = [name for name in (getpass.getuser(), socket.gethostname()) if len(name) > SHORT]
    return [str(folder), str(ROOT), f"{Path.home()}/", "sourcePosition", *names]


def scrubbed(export: dict[str, Any]) -> dict[str, Any]:
    """Without moments, places and chance: providers get their ids from their names, resources come in an order of their own."""
    found = _without(export)
    resources = found["deployment"]["resources"]
    ids = {one["id"]: str(uuid.uuid5(uuid.NAMESPACE_URL, one["urn"])) for one in resources if _is_provider(one)}
    text = json.dumps(found)
    for given, chosen in ids.items():
        text = text.replace(given, chosen)
    found = json.loads(text)
    found["deployment"]["resources"] = _ordered(found["deployment"]["resources"])
    return dict(found)


def _is_provider(resource: dict[str, Any]) -> bool:
    return str(resource["type"]).startswith("pulumi:providers:")


def _without(value: Any, key: str = "") -> Any:
    if isinstance(value, dict):
        if key == "propertyDependencies":
            return {name: sorted(urns) for name, urns in value.items()}
        return {name: _without(item, name) for name, item in value.items() if name not in TELLING}
    if isinstance(value, list):
        kept = [_without(item) for item in value]
        return sorted(kept) if key == "dependencies" else kept
    return MOMENT if key in ("created", "modified", "time") else value


def _ordered(resources: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """By name, each after what it needs, as the engine wants it."""
    by_urn = {one["urn"]: one for one in resources}
    ordered: dict[str, dict[str, Any]] = {}

    def place(urn: str) -> None:
        one = by_urn.get(urn)
        if one is None or urn in ordered:
            return
        provider = str(one.get("provider", "")).rpartition("::")[0]
        for needed in (provider, one.get("parent", ""), one.get("deletedWith", ""), *one.get("dependencies", ())):
            place(needed)
        ordered[urn] = one

    for urn in sorted(by_urn):
        place(urn)
    return list(ordered.values())


def main(targets: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for target in targets or [target for target, cloud in CLOUDS.items() if cloud != "local"]:
            record(target, Path(folder))


if __name__ == "__main__":
    main(sys.argv[1:])
