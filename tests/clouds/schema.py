"""Strict checks of a resource's inputs against the SDK's own types, for the simulated clouds and the strict mocks.

They find misspelt keys at every depth, wrong types, missing required fields and values outside an enumeration, also where the SDK
relaxes an enumeration to any string. They know no rule across fields: a cloud may still refuse what passes here.
"""

from __future__ import annotations

import ast
import difflib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from tests.clouds import naming, wheels
from tests.clouds.values import Asset, Secret, Unknown, decode, plain
from tests.clouds.wheels import PACKAGES, Field

__all__ = ["OPEN", "PACKAGES", "decode", "problems"]

OPEN: Final = frozenset(
    {
        "ManagedPolicy",
        "InstanceType",
        "Region",
        "ConditionOperator",
        "KnownDataFlowStreams",
        "KnownExtensionDataSourceStreams",
    }
)
"""Enumerations that are examples and no limits: a cloud adds machine types between releases, and a policy may be the user's own.
ConditionOperator of azure-native's monitor is that of another API of the same name: alert rules on logs take GreaterThan, not gt
(https://learn.microsoft.com/rest/api/monitor/scheduled-query-rules/create-or-update). The streams of containers are in neither list of
azure-native's (https://learn.microsoft.com/azure/azure-monitor/containers/container-insights-data-collection-configure)."""


def problems(token: str, inputs: Mapping[str, Any]) -> list[str]:
    """What is wrong with the inputs, each problem with token, path and what would be right. Nothing for packages without a wheel."""
    package = token.split(":")[-1] if token.startswith("pulumi:providers:") else token.split(":")[0]
    if package not in PACKAGES:
        return []
    expected = wheels.inputs(token)
    if expected is None:
        return _custom(token, inputs) if package == "kubernetes" else [_unheard(token, package)]
    found = _object(inputs, expected, "", in_text=token.startswith("pulumi:"))
    return [f"{token}: {problem}" for problem in found + _name_problems(token, inputs)]


def _name_problems(token: str, inputs: Mapping[str, Any]) -> list[str]:
    key = naming.name_key(token) if token.split(":")[0] in ("aws", "gcp", "azure-native") else None
    name = plain(inputs.get(key)) if key else None
    wrong = naming.wrong_name(token, name) if isinstance(name, str) else None
    return [f"{key}: {wrong}"] if wrong else []


def _unheard(token: str, package: str) -> str:
    near = difflib.get_close_matches(token, wheels.tokens(package), 1)
    return f"{token}: no such resource in {PACKAGES[package]}" + (f", nearest is {near[0]}" if near else "")


def _custom(token: str, inputs: Mapping[str, Any]) -> list[str]:
    """A custom resource of Kubernetes: its own definition is not known here, but what every object has is."""
    kind = token.rpartition(":")[2]
    group = token.split(":")[1]
    missing = [key for key in ("apiVersion", "kind") if not inputs.get(key)]
    found = [f"{token}: {key}: missing" for key in missing]
    if not missing and (inputs["apiVersion"], inputs["kind"]) != (group, kind):
        found.append(f"{token}: apiVersion and kind are {inputs['apiVersion']} {inputs['kind']}")
    home = wheels.root("kubernetes") / "meta" / "v1"
    expected = wheels.nested(home, "ObjectMetaArgs")
    assert expected is not None
    metadata = inputs.get("metadata", {})
    if isinstance(metadata, Mapping):
        found += [f"{token}: {problem}" for problem in _object(metadata, expected, "metadata")]
    return found


def _object(given: Mapping[str, Any], expected: Mapping[str, Field], path: str, *, in_text: bool = False) -> list[str]:
    found = []
    for key, value in given.items():
        where = f"{path}.{key}" if path else key
        if key.startswith("__") or value is None:
            continue
        field = expected.get(key)
        if field is None:
            near = difflib.get_close_matches(key, expected, 1)
            found.append(
                f"{where}: no such key" + (f", nearest is {near[0]}" if near else f", known are {_some(expected)}")
            )
        elif field.constant is not None:
            found += _constant(value, field.constant, where)
        else:
            wrong = _check(value, field.annotation, field.home, where)
            if wrong and in_text:
                wrong = _check(_from_text(value), field.annotation, field.home, where)
            found += wrong
    for key, field in expected.items():
        if field.is_required and given.get(key) is None:
            found.append(f"{path}.{key}: missing".lstrip("."))
    return found


def _from_text(value: Any) -> Any:
    """A provider's inputs cross the protocol as JSON texts."""
    if isinstance(value, str):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value


def _some(keys: Mapping[str, Any]) -> str:
    return ", ".join(sorted(keys)[:12]) + (", …" if len(keys) > 12 else "")


def _constant(value: Any, constant: str, path: str) -> list[str]:
    if isinstance(value, Unknown) or value == constant:
        return []
    return [f"{path}: {value!r} is not {constant!r}"]


def _check(value: Any, annotation: ast.expr, home: Path, path: str) -> list[str]:
    while isinstance(value, Secret):
        value = value.value
    if value is None or isinstance(value, Unknown):
        return []
    match annotation:
        case ast.Subscript(value=head, slice=inner):
            return _generic(value, _name(head), inner, home, path)
        case ast.Constant(value=str() as name):
            return _named(value, name, home, path)
        case _:
            return _primitive(value, _name(annotation), path)


def _name(node: ast.expr) -> str:
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case _:
            return ast.unparse(node)


def _generic(value: Any, head: str, inner: ast.expr, home: Path, path: str) -> list[str]:
    match head:
        case "Input" | "Optional" | "InputType" | "Output":
            return _check(value, inner, home, path)
        case "Sequence":
            if not isinstance(value, list):
                return [f"{path}: {_shown(value)} is no list"]
            return [found for at, item in enumerate(value) for found in _check(item, inner, home, f"{path}[{at}]")]
        case "Mapping":
            assert isinstance(inner, ast.Tuple)
            if not isinstance(value, Mapping):
                return [f"{path}: {_shown(value)} is no map"]
            return [
                found for key, item in value.items() for found in _check(item, inner.elts[1], home, f"{path}.{key}")
            ]
        case "Union":
            assert isinstance(inner, ast.Tuple)
            return _union(value, inner.elts, home, path)
        case "Literal":
            allowed = [ast.literal_eval(item) for item in (inner.elts if isinstance(inner, ast.Tuple) else [inner])]
            return [] if value in allowed else [f"{path}: {value!r} is none of {allowed}"]
        case _:
            raise AssertionError(f"{path}: the SDK has a type that these checks do not know: {head}")


def _union(value: Any, members: list[ast.expr], home: Path, path: str) -> list[str]:
    """Any member will do, but a text must be in the enumeration if there is one; else what is wrong with the nearest member."""
    members = [one for one in members if not (isinstance(one, ast.Constant) and str(one.value).endswith("ArgsDict"))]
    if isinstance(value, str):
        strict = [one for one in members if isinstance(one, ast.Constant) and wheels.enumeration(home, str(one.value))]
        members = strict or members
    found = [_check(value, member, home, path) for member in members]
    # A member whose constants differ is another kind of thing: what is wrong with it is of no interest.
    return min(found, key=lambda wrong: (sum(" is not '" in one for one in wrong), len(wrong)))


def _named(value: Any, name: str, home: Path, path: str) -> list[str]:
    allowed = wheels.enumeration(home, name)
    if allowed is not None:
        if value in allowed or name.rpartition(".")[2] in OPEN:
            return []
        near = difflib.get_close_matches(str(value), [str(one) for one in allowed], 1)
        hint = f", nearest is {near[0]!r}" if near else ""
        return [f"{path}: {value!r} is none of {', '.join(str(one) for one in allowed[:30])}{hint}"]
    expected = wheels.nested(home, name)
    if expected is None:
        raise AssertionError(f"{path}: the SDK names a type that it does not have: {name} in {home}")
    if not isinstance(value, Mapping):
        return [f"{path}: {_shown(value)} is no {name.rpartition('.')[2].removesuffix('Args')}"]
    return _object(value, expected, path)


def _primitive(value: Any, name: str, path: str) -> list[str]:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    match name:
        case "str":
            right = isinstance(value, str)
        case "bool":
            right = isinstance(value, bool)
        case "int":
            right = is_number and float(value).is_integer()
        case "float":
            right = is_number
        case "Asset" | "Archive":
            right = isinstance(value, Asset) and value.is_archive == (name == "Archive")
        case "Any":
            right = True
        case _:
            raise AssertionError(f"{path}: the SDK has a type that these checks do not know: {name}")
    return [] if right else [f"{path}: {_shown(value)} is no {name}"]


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…"
