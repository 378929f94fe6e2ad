"""A descriptor pool of our own.

TensorFlow registers the same full names (`tensorflow.TensorProto`, …) in protobuf's default pool as soon as it is
imported, and a pool refuses a name that comes from two files. Here they never meet.
"""

from __future__ import annotations

from typing import Any

from google.protobuf import (  # type: ignore[import-untyped]
    any_pb2,
    descriptor_pb2,
    descriptor_pool,
    message_factory,
    wrappers_pb2,
)

POOL = descriptor_pool.DescriptorPool()

for _known in (any_pb2, wrappers_pb2):
    POOL.AddSerializedFile(_known.DESCRIPTOR.serialized_pb)


def define(names: dict[str, Any], serialized: bytes) -> None:
    """Put a compiled file's messages, and the values of its enumerations, into a module's names."""
    POOL.AddSerializedFile(serialized)
    file = POOL.FindFileByName(descriptor_pb2.FileDescriptorProto.FromString(serialized).name)
    names["DESCRIPTOR"] = file
    for name, message in file.message_types_by_name.items():
        names[name] = message_factory.GetMessageClass(message)
    for enumeration in file.enum_types_by_name.values():
        names.update({value.name: value.number for value in enumeration.values})
