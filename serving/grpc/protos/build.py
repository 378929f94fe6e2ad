"""Compile the `.proto` files beside this one: `python -P -m serving.grpc.protos.build`, after each change of them.

Needs grpcio-tools, which neither the server nor its tests need. Its own Python modules would tie us to its version of
protobuf and to the default pool; so only the descriptors and the types for the checker are taken from it.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from google.protobuf import descriptor_pb2  # type: ignore[import-untyped]

ROOT = Path(__file__).parents[3]
FOLDER = Path(__file__).parent
ORDER = (
    "tensorflow",
    "tensorflow_error",
    "tensorflow_serving",
    "inference",
    "health",
    "reflection_v1",
    "reflection_v1alpha",
    "views",
)
_UNCHECKED = "A002, E501, F401, I001, RUF023, RUF100, UP007, UP045"
_IMPORTS = {"tensorflow_serving": ("tensorflow_pb2", "tensorflow_error_pb2")}


def main() -> None:
    from grpc_tools import protoc  # type: ignore[import-untyped]

    paths = [f"{FOLDER.relative_to(ROOT)}/{name}.proto" for name in ORDER]
    shipped = Path(protoc.__file__).parent / "_proto"
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        found = out / "set"
        common = ["protoc", f"-I{ROOT}", f"-I{shipped}", f"--descriptor_set_out={found}", f"--pyi_out={out}", *paths]
        if protoc.main(common):
            raise SystemExit(1)
        for file in descriptor_pb2.FileDescriptorSet.FromString(found.read_bytes()).file:
            _write(file, out)


def _write(file: descriptor_pb2.FileDescriptorProto, out: Path) -> None:
    name = Path(file.name).stem
    head = f"# Compiled from {name}.proto by serving/grpc/protos/build.py.\n# ruff: noqa: {_UNCHECKED}\n"
    # Raw parts of 100 bytes a line: a difference shows where it is.
    serialized = file.SerializeToString(deterministic=True)
    lines = "".join(f"    {serialized[start : start + 100]!r}\n" for start in range(0, len(serialized), 100))
    needs = "".join(f"from serving.grpc.protos import {one}\n" for one in _IMPORTS.get(name, ()))
    code = f"{head}# fmt: off\n{needs}from serving.grpc.protos.pool import define\n\ndefine(globals(), (\n{lines}))\n"
    (FOLDER / f"{name}_pb2.py").write_text(code)
    types = (out / file.name).with_name(f"{name}_pb2.pyi").read_text()
    (FOLDER / f"{name}_pb2.pyi").write_text(f"{head}# mypy: ignore-errors\n# fmt: off\n{types}")


if __name__ == "__main__":
    main()
