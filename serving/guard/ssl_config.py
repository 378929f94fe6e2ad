"""TensorFlow Serving's `--ssl_config_file`: an SSLConfig message as text, with the PEM texts inside.

The message: tensorflow_serving/config/ssl_config.proto. It concerns the gRPC port alone, as there.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from serving.guard import pem
from serving.guard.tls import Tls
from skylift.errors import InputError

_STRING, _BOOL = 9, 8
_FIELDS = (("server_key", _STRING), ("server_cert", _STRING), ("custom_ca", _STRING), ("client_verify", _BOOL))


def read(path: Path) -> Tls:
    """The TLS settings of a file, which is looked at again like the others.

    Raises:
        InputError: it cannot be read, is no SSLConfig, or what it holds does not belong together.
    """
    return Tls(lambda: _material(path), (path,))


def _material(path: Path) -> tuple[pem.Identity, bytes | None, bool]:
    config = parse(pem.read(path), str(path))
    identity = pem.identity(
        config.server_cert.encode(), config.server_key.encode(), f"{path} (server_cert)", f"{path} (server_key)"
    )
    ca = pem.authorities(config.custom_ca.encode(), f"{path} (custom_ca)") if config.custom_ca else None
    if config.client_verify and ca is None:
        raise InputError(
            f"{path} asks for client certificates (client_verify) and names nobody who may sign them",
            hint="put the PEM of their authority into custom_ca",
        )
    return identity, ca, config.client_verify


def parse(raw: bytes, where: str) -> Any:
    """The message.

    Raises:
        InputError: no such text. The error tells line and column, nothing of the text.
    """
    from google.protobuf import text_format  # type: ignore[import-untyped]

    try:
        return text_format.Parse(raw, _message()())
    except (text_format.ParseError, UnicodeDecodeError) as error:
        line, column = getattr(error, "GetLine", lambda: None)(), getattr(error, "GetColumn", lambda: None)()
        at = f" at line {line}, column {column}" if line else ""
        raise InputError(
            f"{where} is no SSLConfig in protobuf's text form{at}",
            hint='it may hold server_key: "…", server_cert: "…", custom_ca: "…" (PEM, lines ended by \\n) and client_verify: true',
        ) from None


@cache
def _message() -> Any:
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    file = descriptor_pb2.FileDescriptorProto(name="ssl_config.proto", package="skylift.serving", syntax="proto3")
    message = file.message_type.add(name="SSLConfig")
    for number, (name, kind) in enumerate(_FIELDS, start=1):
        message.field.add(name=name, number=number, type=kind, label=1)
    # A pool of its own: TensorFlow Serving's stubs register the same file in the default one.
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("skylift.serving.SSLConfig"))
