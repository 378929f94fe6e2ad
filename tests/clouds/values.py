"""Property values as the engine speaks them, for the simulated clouds: unknowns, secrets, assets and references kept apart from data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from google.protobuf import struct_pb2

UNKNOWN_TEXT: Final = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
"""How the protocol writes a value that only `up` will know. Unknowns of a list or map have other identifiers of the same form."""

_UNKNOWN_TEXTS: Final = frozenset(
    {
        UNKNOWN_TEXT,
        "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2",
        "030794c1-ac77-496b-92df-f27374a8bd58",
        "e48ece36-62e2-4504-bad9-02848725956a",
        "dd056dcd-154b-4c76-9bd3-c8f88648b5ff",
    }
)
_SIGNATURE: Final = "4dabf18193072939515e22adb298388d"
_SECRET: Final = "1b47061264138c4ac30d75fd1eb44270"
_ASSET: Final = "c44067f5952c0a294b673a41bacd8c17"
_ARCHIVE: Final = "0def7320c3a5731c473e5ecbe6d01bc7"
_REFERENCE: Final = "5cf8f73096256a8f31e491e813e4eb8e"
_OUTPUT: Final = "d0e6a833031e9bbcd3f4e8bde6ca49a4"


class Unknown:
    """A value that is not known before `up`."""

    def __repr__(self) -> str:
        return "<unknown>"

    def __bool__(self) -> bool:
        raise AssertionError("an unknown value was used as if it were known")


UNKNOWN: Final = Unknown()


@dataclass(frozen=True)
class Secret:
    value: Any

    def __repr__(self) -> str:
        return f"Secret({self.value!r})"


@dataclass(frozen=True)
class Asset:
    """A file or an archive that a program hands over."""

    is_archive: bool
    content: Mapping[str, Any]

    def __hash__(self) -> int:
        return hash(repr(self))


def decode(value: struct_pb2.Struct) -> dict[str, Any]:
    return {key: _decode(item) for key, item in value.fields.items()}


def _decode(value: struct_pb2.Value) -> Any:
    match value.WhichOneof("kind"):
        case "string_value":
            return UNKNOWN if value.string_value in _UNKNOWN_TEXTS else value.string_value
        case "number_value":
            number = value.number_value
            return int(number) if number.is_integer() else number
        case "bool_value":
            return value.bool_value
        case "list_value":
            return [_decode(item) for item in value.list_value.values]
        case "struct_value":
            return _special(decode(value.struct_value))
        case _:
            return None


def _special(found: dict[str, Any]) -> Any:
    match found.get(_SIGNATURE):
        case None:
            return found
        case signature if signature == _SECRET:
            return Secret(found.get("value"))
        case signature if signature in (_ASSET, _ARCHIVE):
            return Asset(signature == _ARCHIVE, {key: item for key, item in found.items() if key != _SIGNATURE})
        case signature if signature == _REFERENCE:
            identifier = found.get("id")
            return found.get("urn") if identifier is None else identifier
        case signature if signature == _OUTPUT:
            inner = found.get("value", UNKNOWN)
            return Secret(inner) if found.get("secret") else inner
        case signature:
            raise ValueError(f"a value with the unheard-of signature {signature}")


def encode(values: Mapping[str, Any]) -> struct_pb2.Struct:
    made = struct_pb2.Struct()
    for key, item in values.items():
        made.fields[key].CopyFrom(_encode(item))
    return made


def _encode(value: Any) -> struct_pb2.Value:
    made = struct_pb2.Value()
    match value:
        case None:
            made.null_value = struct_pb2.NULL_VALUE
        case Unknown():
            made.string_value = UNKNOWN_TEXT
        case Secret():
            made.struct_value.CopyFrom(encode({_SIGNATURE: _SECRET, "value": value.value}))
        case Asset():
            signature = _ARCHIVE if value.is_archive else _ASSET
            made.struct_value.CopyFrom(encode({_SIGNATURE: signature, **value.content}))
        case bool():
            made.bool_value = value
        case int() | float():
            made.number_value = value
        case str():
            made.string_value = value
        case Mapping():
            made.struct_value.CopyFrom(encode(value))
        case list() | tuple():
            made.list_value.values.extend(_encode(item) for item in value)
        case _:
            raise TypeError(f"no property value: {value!r}")
    return made


def plain(value: Any) -> Any:
    """The value without its wrapping as a secret, at every depth."""
    match value:
        case Secret():
            return plain(value.value)
        case Mapping():
            return {key: plain(item) for key, item in value.items()}
        case list():
            return [plain(item) for item in value]
        case _:
            return value


def paths(value: Any, kind: type, prefix: str = "") -> Iterator[str]:
    """Where in the value something of this kind (Secret, Unknown) is: `tags.owner`, `rules[0].name`."""
    if isinstance(value, kind):
        yield prefix
        return
    match value:
        case Secret():
            yield from paths(value.value, kind, prefix)
        case Mapping():
            for key, item in value.items():
                yield from paths(item, kind, f"{prefix}.{key}" if prefix else key)
        case list():
            for position, item in enumerate(value):
                yield from paths(item, kind, f"{prefix}[{position}]")
