"""What simulated clouds tell of a resource once it is there: identifiers, names and addresses that look like the cloud's own."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.clouds import naming, shapes_aws, shapes_azure, shapes_gcp, wheels
from tests.clouds.answers import answer
from tests.clouds.values import UNKNOWN, Secret, Unknown, plain
from tests.clouds.world import MOMENT, Facts, World, digest

__all__ = ["World", "answer", "checked", "known_before", "outputs", "planned", "read"]

_SHAPES = {
    "aws": shapes_aws.shape,
    "gcp": shapes_gcp.shape,
    "azure-native": shapes_azure.shape,
}


def checked(token: str, logical: str, inputs: Mapping[str, Any], world: World, *, salt: str = "") -> dict[str, Any]:
    """The inputs as the provider's Check gives them back: with a name, where the program gave none."""
    return naming.with_name(token, logical, inputs, digest(world.seed, token, logical, salt))


def outputs(
    token: str, logical: str, inputs: Mapping[str, Any], world: World, *, salt: str = ""
) -> tuple[str, dict[str, Any]]:
    """The identifier and all outputs, inputs among them. Secret inputs stay secret."""
    given = checked(token, logical, inputs, world, salt=salt)
    name = naming.physical(token, logical, given)
    facts = Facts(token, logical, name, plain(given), world, salt)
    if token.startswith("pulumi:providers:"):
        return facts.uuid(), given
    shape = _SHAPES.get(token.split(":")[0])
    if shape is None:
        return _kubernetes(token, facts, given)
    identifier, told = shape(facts)
    expected = wheels.inputs(token) or {}
    state = {**_placed(token, expected, world), **given, **told}
    for key, field in wheels.outputs(token).items():
        if key not in state and key not in expected and field.is_required:
            made = _invented(key, field.annotation, field.home, facts)
            if made is not None:
                state[key] = made
    return identifier, state


def _placed(token: str, expected: Mapping[str, Any], world: World) -> dict[str, Any]:
    """Where a resource is unless its program says so."""
    if token.startswith("gcp:"):
        return {"region": world.google_region} if "region" in expected else {}
    places = {"region": world.region, "location": world.location}
    return {key: place for key, place in places.items() if key in expected}


def read(token: str, logical: str, identifier: str, given: Mapping[str, Any], world: World) -> dict[str, Any]:
    """What a resource that no program made looks like, from its identifier alone: for `Resource.get` under mocks."""
    last = identifier.rstrip("/").rpartition("/")[2].rpartition(":")[2]
    key = naming.name_key(token)
    expected = wheels.inputs(token) or {}
    named = {key: last} if key in expected else {}
    _, state = outputs(token, logical, {**named, **given}, world)
    for field in ("arn", "selfLink"):
        if field in state and identifier.startswith(("arn:", "https://")):
            state[field] = identifier
    return state


def planned(token: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Inputs as outputs of a preview: inside them, what only the cloud tells is unknown."""
    told, taken = wheels.outputs(token), wheels.inputs(token) or {}
    return {key: _planned(value, told.get(key), taken.get(key)) for key, value in inputs.items()}


def _planned(value: Any, told: wheels.Field | None, taken: wheels.Field | None) -> Any:
    if isinstance(value, list) and told is not None and "Mapping[" in told.text and "Sequence[" not in told.text:
        return UNKNOWN  # what Azure is given as a list comes back as a map, once it is there
    if not isinstance(value, Mapping) or told is None or taken is None:
        return value
    out, given = re.search(r"'outputs\.(\w+)'", told.text), re.search(r"'(\w+Args)'", taken.text)
    if out is None or given is None:
        return value
    knows, takes = wheels.nested_outputs(told.home, out[1]), wheels.nested(taken.home, given[1]) or {}
    unknown = {key: UNKNOWN for key in knows if key not in takes}
    return unknown | {key: _planned(item, knows.get(key), takes.get(key)) for key, item in value.items()}


def known_before(token: str, inputs: Mapping[str, Any], state: Mapping[str, Any]) -> dict[str, Any]:
    """What of a resource is known in a preview: its inputs, among them the name that the provider gave it."""
    names = {naming.name_key(token), "metadata" if token.startswith("kubernetes:") else None}
    known = {**inputs, **{name: value for name, value in state.items() if name in names}}
    return planned(token, known)


def _kubernetes(token: str, facts: Facts, given: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    if token.startswith("docker-build:"):
        digest_ = f"sha256:{facts.hex(64)}"
        tag = (plain(given).get("tags") or ["simulated.invalid/image:latest"])[0]
        return digest_, {**given, "digest": digest_, "ref": f"{tag}@{digest_}", "contextHash": facts.hex(64)}
    if not token.startswith("kubernetes:"):
        return facts.uuid(), {**given, "stdout": "", "stderr": ""}
    metadata = given.get("metadata") or {}
    if isinstance(metadata, Unknown | Secret):
        return facts.uuid(), given
    namespace = metadata.get("namespace", "default")
    kind = token.rpartition(":")[2]
    told = {**metadata, "uid": facts.uuid(), "creationTimestamp": MOMENT, "generation": 1}
    spread = (
        f"{namespace}/{facts.name}" if kind not in ("Namespace", "ClusterRole", "ClusterRoleBinding") else facts.name
    )
    state = {**given, "metadata": told}
    if kind == "Service":
        spec = given.get("spec") or {}
        state["spec"] = {**spec, "clusterIP": f"10.100.{int(facts.hex(2), 16)}.{int(facts.hex(2, 'ip'), 16)}"}
        state["status"] = (
            {"loadBalancer": {"ingress": [{"ip": "10.0.0.9"}]}} if spec.get("type") == "LoadBalancer" else {}
        )
    return spread, state


_WORDS = {
    "status": "ACTIVE",
    "state": "available",
    "provisioningState": "Succeeded",
    "type": "",
    "etag": 'W/"1"',
}


def _invented(key: str, annotation: ast.expr, home: Path, facts: Facts) -> Any:
    """A value of the right type for an output that no table tells; None for types that cannot be guessed."""
    match annotation:
        case ast.Subscript(value=ast.Attribute(attr="Output") | ast.Name(id="Output"), slice=inner):
            return _invented(key, inner, home, facts)
        case ast.Attribute(attr="str"):
            if "time" in key.lower() or key.endswith(("edAt", "edOn", "Date")):
                return MOMENT
            return _WORDS.get(key, f"{facts.name}-{key}")
        case ast.Attribute(attr="int") | ast.Attribute(attr="float"):
            return 1
        case ast.Attribute(attr="bool"):
            return False
        case ast.Subscript(value=ast.Name(id="Sequence")):
            return []
        case ast.Subscript(value=ast.Name(id="Mapping")):
            return {}
        case _:
            return None
