"""TensorFlow Serving's `--model_config_file`: which models are served, from where, which versions of them.

The format is ModelServerConfig of https://github.com/tensorflow/serving/blob/master/tensorflow_serving/config/model_server_config.proto.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from serving.interface import Code, ModelConfig, StatusError
from serving.sources.protofields import Reader
from serving.sources.prototext import Block, Mistakes, parse, read_file
from skylift.store import SCHEMES

PLATFORMS = ("tensorflow", "onnx", "tflite")
"""What a model may say that it is; where it says nothing its files decide. The original knows the first alone."""
_URI = re.compile(r"(?:([a-zA-Z][0-9a-zA-Z.]*)://)?(.*)", re.DOTALL)
_NAME = re.compile(r"[^/:\x00-\x1f]+")
_HINT = "see docs/serving-sources.md for what the file may hold"
_MODEL_FIELDS = {
    "name": False,
    "base_path": False,
    "model_type": False,
    "model_platform": False,
    "model_version_policy": False,
    "version_labels": True,
    "logging_config": False,
}


@dataclass(frozen=True)
class Logging:
    """A model's `logging_config`: the share of its requests that is recorded (0 to 1), and where to."""

    sampling_rate: float
    prefix: str = ""


@dataclass(frozen=True)
class ModelsFile:
    """What a configuration file asks for; `logging` by model."""

    models: tuple[ModelConfig, ...]
    logging: Mapping[str, Logging] = field(default_factory=dict)


def read_models(path: Path) -> ModelsFile:
    """Read a configuration file.

    Raises:
        NotFoundError: there is none.
        InputError: names all its mistakes.
    """
    return parse_models(read_file(path), str(path))


def parse_models(text: str, where: str) -> ModelsFile:
    """A configuration file's text.

    Args:
        where: the file's name, for the error.

    Raises:
        InputError: names all mistakes, with their lines.
    """
    mistakes = Mistakes(where, _HINT)
    whole = Reader(
        parse(text, mistakes),
        "ModelServerConfig",
        {"model_config_list": False, "custom_model_config": False},
        mistakes,
    )
    if "custom_model_config" in whole:
        mistakes.add(
            whole.line_of("custom_model_config"),
            "custom_model_config is not supported: list the models in model_config_list",
        )
    listed = whole.block("model_config_list")
    models: list[ModelConfig] = []
    logging: dict[str, Logging] = {}
    lines: dict[str, int] = {}
    if listed is not None:
        for block in Reader(listed, "model_config_list", {"config": True}, mistakes).blocks("config"):
            _add(Reader(block, "config", _MODEL_FIELDS, mistakes), models, logging, lines)
    elif "custom_model_config" not in whole:
        mistakes.add(0, "it lists no models: model_config_list { config { name: … base_path: … } } is expected")
    mistakes.check()
    return ModelsFile(tuple(models), logging)


def _add(config: Reader, models: list[ModelConfig], logging: dict[str, Logging], lines: dict[str, int]) -> None:
    model = _model(config)
    if model.name and model.name in lines:
        config.mistakes.add(
            config.line_of("name"), f"model {model.name!r} is listed a second time, first in line {lines[model.name]}"
        )
    lines.setdefault(model.name, config.line_of("name"))
    models.append(model)
    block = config.block("logging_config")
    if block is not None:
        logging[model.name] = _logging(block, config.mistakes)


def _model(config: Reader) -> ModelConfig:
    name, base_path = config.text("name"), config.text("base_path")
    if fault := name_fault(name):
        config.mistakes.add(config.line_of("name"), fault)
    fault = path_fault(base_path)
    if fault:
        config.mistakes.add(config.line_of("base_path"), f"base_path of model {name!r} {fault}")
    latest, specific = _policy(config.block("model_version_policy"), config.mistakes)
    return ModelConfig(name, base_path, _platform(config), latest, specific, _labels(config))


def name_fault(name: str) -> str:
    """What is wrong with a model's name, or nothing."""
    if not name:
        return "a model has no name"
    return "" if _NAME.fullmatch(name) else f"model name {name!r} has a character that no request can send: / or :"


def path_fault(base_path: str) -> str:
    """What is wrong with a base path, or nothing."""
    scheme, rest = _split(base_path)
    if not base_path:
        return "is missing"
    if scheme and scheme not in SCHEMES:
        return f"is {base_path!r}: folders and {', '.join(f'{one}://' for one in SCHEMES)} are read"
    if not scheme and not rest.startswith("/"):
        return f"is {base_path!r}: it must be absolute"
    return ""


def _split(base_path: str) -> tuple[str, str]:
    match = _URI.fullmatch(base_path)
    return (match[1] or "", match[2]) if match else ("", base_path)


def _platform(config: Reader) -> str:
    kind = config.word("model_type", ("MODEL_TYPE_UNSPECIFIED", "TENSORFLOW", "OTHER"), "MODEL_TYPE_UNSPECIFIED")
    platform = config.text("model_platform")
    if kind == "OTHER":
        config.mistakes.add(config.line_of("model_type"), "model_type OTHER is not supported: give model_platform")
    elif kind == "TENSORFLOW" and platform:
        config.mistakes.add(config.line_of("model_type"), "model_type (deprecated) and model_platform are both given")
    if platform and platform not in PLATFORMS:
        known = ", ".join(PLATFORMS)
        config.mistakes.add(config.line_of("model_platform"), f"model_platform {platform!r} is none of {known}")
    return platform or ("tensorflow" if kind == "TENSORFLOW" else "")


def _policy(block: Block | None, mistakes: Mistakes) -> tuple[int | None, tuple[int, ...]]:
    """`latest` and `specific` of a ModelConfig."""
    if block is None:
        return 1, ()
    policy = Reader(block, "model_version_policy", {"latest": False, "all": False, "specific": False}, mistakes)
    given = [name for name in ("latest", "all", "specific") if name in policy]
    if len(given) > 1:
        mistakes.add(policy.line, f"model_version_policy is one of latest, all and specific, not {' and '.join(given)}")
    if (chosen := policy.block("specific")) is not None:
        versions = Reader(chosen, "specific", {"versions": True}, mistakes).integers("versions", least=0)
        if not versions:
            mistakes.add(chosen.line, "specific names no version: specific { versions: 1 }")
        return None, tuple(dict.fromkeys(versions))
    if (chosen := policy.block("all")) is not None:
        Reader(chosen, "all", {}, mistakes)
        return None, ()
    if (chosen := policy.block("latest")) is not None:
        count = Reader(chosen, "latest", {"num_versions": False}, mistakes)
        return max(1, count.integer("num_versions", 1, 0, (1 << 32) - 1)), ()
    return 1, ()


def _labels(config: Reader) -> Mapping[str, int]:
    labels: dict[str, int] = {}
    for block in config.blocks("version_labels"):
        entry = Reader(block, "version_labels", {"key": False, "value": False}, config.mistakes)
        label = entry.text("key")
        if not label:
            config.mistakes.add(block.line, "version_labels needs a key: version_labels { key: 'stable' value: 1 }")
        elif label in labels:
            config.mistakes.add(block.line, f"label {label!r} is given twice")
        labels[label] = entry.integer("value", 0, least=0)
    return labels


def _logging(block: Block, mistakes: Mistakes) -> Logging:
    config = Reader(block, "logging_config", {"log_collector_config": False, "sampling_config": False}, mistakes)
    collector, sampling = config.block("log_collector_config"), config.block("sampling_config")
    prefix, rate = "", 0.0
    if collector is not None:
        known = {"type": False, "filename_prefix": False}
        prefix = Reader(collector, "log_collector_config", known, mistakes).text("filename_prefix")
    if sampling is not None:
        reader = Reader(sampling, "sampling_config", {"sampling_rate": False, "attributes": False}, mistakes)
        rate = reader.number("sampling_rate")
        if not 0 <= rate <= 1:
            mistakes.add(reader.line_of("sampling_rate"), f"sampling_rate is {rate}, which is not within 0 to 1")
    return Logging(rate, prefix)


def check_reload(configs: Sequence[ModelConfig], before: Sequence[ModelConfig] = ()) -> None:
    """Whether a server may go over to these models, in the original's order and words (server_core.cc).

    Raises:
        StatusError: INVALID_ARGUMENT for the first that it may not.
    """
    names: set[str] = set()
    for one in configs:
        if one.name in names:
            raise _invalid(f"Illegal to list model {one.name} multiple times in config list")
        names.add(one.name)
    for one in configs:
        if fault := path_fault(one.base_path):
            is_relative = not _split(one.base_path)[0]
            original = f"Expected model {one.name} to have an absolute path or URI; got base_path()={one.base_path}"
            raise _invalid(original if is_relative else f"Model {one.name}: base_path {fault}")
        if one.platform and one.platform not in PLATFORMS:
            raise _invalid(f"Model {one.name} requests unsupported platform {one.platform}")
    old = {one.name: one.platform for one in before}
    for one in configs:
        if one.name in old and old[one.name] != one.platform:
            raise _invalid(
                f"Illegal to change a model's platform. For model {one.name} platform was {old[one.name]} and new"
                f" platform requested is {one.platform}"
            )


def _invalid(message: str) -> StatusError:
    return StatusError(Code.INVALID_ARGUMENT, message)
