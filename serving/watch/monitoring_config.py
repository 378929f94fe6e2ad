"""TensorFlow Serving's `monitoring_config_file`: a MonitoringConfig as protobuf's text (config/monitoring_config.proto)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from serving.watch.render import PATHS
from skylift.errors import InputError


class MonitoringConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Whether metrics are answered, and at which path. Without a file they are, at all of PATHS."""

    is_enabled: bool = True
    path: str = PATHS[1]


def read(path: Path) -> MonitoringConfig:
    """
    Raises:
        InputError: the file cannot be read, or is no MonitoringConfig.
    """
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read: {error}", hint="name a file that this user may read") from None
    return parse(text, str(path))


def parse(text: str, where: str) -> MonitoringConfig:
    """As the original reads it: what is not said is off, and the path has a default.

    Args:
        where: the file's name, for the error.
    """
    from google.protobuf import text_format  # type: ignore[import-untyped]

    message = _message()
    try:
        text_format.Parse(text, message)
    except text_format.ParseError as error:
        raise InputError(
            f"{where} is no MonitoringConfig: {error}",
            hint='write `prometheus_config { enable: true path: "/monitoring/prometheus/metrics" }`',
        ) from None
    config = message.prometheus_config
    path: str = config.path or PATHS[1]
    if not path.startswith("/"):
        raise InputError(
            f"{where}: prometheus_config.path is {path!r}, which is no path",
            hint='begin it with "/": `path: "/metrics"`',
        )
    return MonitoringConfig(is_enabled=config.enable, path=path)


def _message() -> Any:
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    kinds = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(
        name="monitoring_config.proto", package="tensorflow.serving", syntax="proto3"
    )
    prometheus = file.message_type.add(name="PrometheusConfig")
    prometheus.field.add(name="enable", number=1, type=kinds.TYPE_BOOL, label=kinds.LABEL_OPTIONAL)
    prometheus.field.add(name="path", number=2, type=kinds.TYPE_STRING, label=kinds.LABEL_OPTIONAL)
    whole = file.message_type.add(name="MonitoringConfig")
    whole.field.add(
        name="prometheus_config",
        number=1,
        type=kinds.TYPE_MESSAGE,
        type_name=".tensorflow.serving.PrometheusConfig",
        label=kinds.LABEL_OPTIONAL,
    )
    pool = descriptor_pool.DescriptorPool()  # of its own: TensorFlow's has the same names
    pool.Add(file)
    made = message_factory.GetMessageClass(pool.FindMessageTypeByName("tensorflow.serving.MonitoringConfig"))
    return made()
