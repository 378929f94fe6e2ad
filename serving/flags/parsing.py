"""From tensorflow_model_server's command line, and the files that it names, to options. Every mistake is told at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec

from serving.flags.files import read_batching, read_monitoring
from serving.flags.options import GrpcArgument, TfsOptions
from serving.flags.reading import Given, check, read
from serving.flags.table import FLAGS, Value
from serving.interface import ModelConfig
from serving.sources.config import name_fault, path_fault, read_models
from skylift.errors import SkyliftError

T = TypeVar("T")


def parse(arguments: Sequence[str], own: Mapping[str, bool] | None = None) -> TfsOptions:
    """The options of a command line for which `is_tensorflow_serving` holds, and of the files that it names.

    Args:
        own: options of ours that may stand between, without dashes; True for those that take a value.

    Raises:
        InputError: names every flag that is unknown, malformed, refused or contradicts another; or all mistakes of one file.
        NotFoundError: a file is not there.
    """
    given = read(arguments, own or {})
    if given.wants_help or given.values.get("version"):
        return TfsOptions(show="help" if given.wants_help else "version")
    return _Maker(given).make()


class _Flags:
    """Flags by name: what was given, else what is usual."""

    def __init__(self, given: Given) -> None:
        self._given = given.values
        self._mistakes = given.mistakes

    def _value(self, name: str) -> Value:
        return self._given.get(name, FLAGS[name].usual)

    def _has(self, name: str) -> bool:
        return name in self._given

    def _text(self, name: str) -> str:
        return str(self._value(name))

    def _path(self, name: str) -> Path | None:
        return Path(self._text(name)) if self._text(name) else None

    def _is(self, name: str) -> bool:
        return bool(self._value(name))

    def _integer(self, name: str) -> int:
        return int(self._value(name))

    def _within(self, name: str, least: int, most: int) -> int:
        value = self._integer(name)
        if not least <= value <= most:
            self._mistakes.append(f"--{name} is {value}, which is not within {least} to {most}")
        return value

    def _port(self, name: str) -> int | None:
        return self._within(name, 0, 65535) or None

    def _threads(self, name: str) -> int:
        return self._within(name if self._has(name) else "tensorflow_session_parallelism", 0, 1024)

    def _seconds(self, name: str) -> float:
        value = self._integer(name)
        if value < 0:
            self._mistakes.append(f"--{name} is {value}: never to look is for the original's tests; 0 looks once")
        return float(value)

    def _fraction(self) -> float:
        value = float(self._value("per_process_gpu_memory_fraction"))
        if not 0 <= value <= 1:
            self._mistakes.append(f"--per_process_gpu_memory_fraction is {value:g}, which is not within 0 to 1")
        return value

    def _warmup(self) -> int:
        return max(1, self._integer("num_request_iterations_for_warmup")) if self._is("enable_model_warmup") else 0

    def _grpc_arguments(self) -> tuple[GrpcArgument, ...]:
        """A value that is a whole number of 32 bits is passed on as one, as the original does."""
        found: list[GrpcArgument] = []
        for one in filter(None, self._text("grpc_channel_arguments").split(",")):
            name, equals, value = one.partition("=")
            if not name or not equals:
                self._mistakes.append(f"--grpc_channel_arguments has {one!r}, expected is name=value")
            is_number = value.removeprefix("-").isdecimal() and -(1 << 31) <= int(value) < 1 << 31
            found.append((name, int(value) if is_number else value))
        return tuple(found)


class _Maker(_Flags):
    def __init__(self, given: Given) -> None:
        super().__init__(given)
        self._own = tuple(given.own)
        self._notes: list[str] = []
        self._broken: list[SkyliftError] = []

    def make(self) -> TfsOptions:
        self._look_at_effects()
        http_port, grpc_port = self._port("rest_api_port"), self._port("port")
        self._check_ports(http_port, grpc_port)
        tags = tuple(tag for tag in self._text("saved_model_tags").split(",") if tag)
        plain = TfsOptions(
            http_port=http_port,
            grpc_port=grpc_port,
            grpc_socket=self._text("grpc_socket_path"),
            grpc_arguments=self._grpc_arguments(),
            request_seconds=max(0, self._integer("rest_api_timeout_in_ms")) / 1000,
            cors=self._is("rest_api_enable_cors_support"),
            ssl_config_file=self._path("ssl_config_file"),
            models_file=self._path("model_config_file"),
            models_poll_seconds=self._seconds("model_config_file_poll_wait_seconds"),
            poll_seconds=self._seconds("file_system_poll_wait_seconds")
            if self._has("file_system_poll_wait_seconds")
            else None,
            max_retries=self._within("max_num_load_retries", 0, 1_000_000),
            retry_seconds=max(0, self._integer("load_retry_interval_micros")) / 1e6,
            allow_unavailable_labels=self._is("allow_version_labels_for_unavailable_models"),
            saved_model_tags=tags or ("serve",),
            prefer_tflite=self._is("prefer_tflite_model"),
            warmup_iterations=self._warmup(),
            check_method_names=self._is("enable_signature_method_name_check"),
            tensor_content=self._is("enable_serialization_as_tensor_content"),
            per_model_batching=self._is("enable_per_model_batching_parameters"),
            threads=self._threads("tensorflow_intra_op_parallelism"),
            inter_op_threads=self._threads("tensorflow_inter_op_parallelism"),
            gpu_memory_fraction=self._fraction(),
            own=self._own,
        )
        self._check_batching()
        models = self._models(plain.models_file)
        check(self._mistakes)
        return self._with_files(plain, models)

    def _look_at_effects(self) -> None:
        for name, value in self._given.items():
            flag = FLAGS[name]
            if flag.effect == "harmless" and value != flag.usual:
                self._notes.append(f"--{name} has no effect: {flag.why}")
            elif flag.effect == "refused" and value != flag.usual:
                self._mistakes.append(f"--{name} cannot be honoured: {flag.why}")

    # several flags

    def _check_ports(self, http_port: int | None, grpc_port: int | None) -> None:
        if http_port is None and grpc_port is None and not self._text("grpc_socket_path"):
            self._mistakes.append("--port, --grpc_socket_path and --rest_api_port name nowhere to listen")
        if http_port is not None and http_port == grpc_port:
            self._mistakes.append(f"--rest_api_port and --port are both {http_port}: they must differ")

    def _check_batching(self) -> None:
        for name in ("batching_parameters_file", "enable_per_model_batching_parameters"):
            if self._value(name) and not self._is("enable_batching"):
                self._mistakes.append(f"--{name} is set without --enable_batching")

    def _models(self, models_file: Path | None) -> tuple[ModelConfig, ...]:
        name, base_path = self._text("model_name"), self._text("model_base_path")
        if models_file is not None:
            self._notes += [
                f"--{one} has no effect: --model_config_file names the models"
                for one in ("model_name", "model_base_path")
                if self._has(one)
            ]
            return ()
        if not base_path:
            self._mistakes.append(
                "Both --model_base_path and --model_config_file are empty: one of them says what to serve"
            )
        elif fault := path_fault(base_path):
            self._mistakes.append(f"--model_base_path {fault}")
        if fault := name_fault(name):
            self._mistakes.append(f"--model_name: {fault}")
        return (ModelConfig(name, base_path),)

    def _with_files(self, plain: TfsOptions, models: tuple[ModelConfig, ...]) -> TfsOptions:
        listed = self._tried(read_models, "model_config_file")
        batching = self._tried(read_batching, "batching_parameters_file")
        monitoring = self._tried(read_monitoring, "monitoring_config_file")
        _raise(self._broken)
        more = [note for found in (batching, monitoring) if found is not None for note in found[1]]
        return msgspec.structs.replace(
            plain,
            models=listed.models if listed is not None else models,
            logging=listed.logging if listed is not None else {},
            batching=batching[0] if batching is not None else None,
            metrics_path=monitoring[0] if monitoring is not None else "",
            notes=(*self._notes, *more),
        )

    def _tried(self, read_file: Callable[[Path], T], name: str) -> T | None:
        """What the file says that a flag names; what is wrong with it is told together with what is wrong with others."""
        path = self._path(name)
        try:
            return read_file(path) if path is not None else None
        except SkyliftError as error:
            self._broken.append(error)
            return None


def _raise(broken: Sequence[SkyliftError]) -> None:
    if len(broken) > 1:
        hints = dict.fromkeys(error.hint for error in broken)
        details = {"mistakes": [error.message for error in broken]}
        raise type(broken[0])("; ".join(error.message for error in broken), hint="; ".join(hints), details=details)
    if broken:
        raise broken[0]
