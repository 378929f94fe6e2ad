"""The options of `python -P -m serving`, and what workers are told at their start."""

from __future__ import annotations

import argparse
import os
import re
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NoReturn

import msgspec

from serving.batching.options import BatchOptions
from skylift.errors import InputError

BackendChoice = Literal["auto", "onnx", "tensorflow", "tflite"]


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What one client may ask of a worker.

    Args:
        header_bytes: request line and headers together; more is 431.
        body_bytes: a request's body; more is 413.
        header_seconds: until a request's headers must be there; else 408.
        stall_seconds: how long a body or a reading client may stand still.
        body_bytes_per_second: slowest body on average, after `stall_seconds`.
        idle_seconds: how long a connection may wait for its next request.
        connections: open at once; newcomers wait in the socket's backlog.
        pipelined: requests of one connection under way at once.
    """

    header_bytes: int = 32 * 1024
    body_bytes: int = 128 * 1024 * 1024
    header_seconds: float = 10.0
    stall_seconds: float = 30.0
    body_bytes_per_second: float = 1024.0
    idle_seconds: float = 75.0
    connections: int = 4096
    pipelined: int = 32


class WorkerOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker needs to know beside what it is told to load."""

    endpoint: str
    threads: int
    backend: BackendChoice = "auto"
    batching: BatchOptions = BatchOptions()
    limits: Limits = Limits()
    request_seconds: float = 0.0
    """How long a request may take in all; 0 for no limit but the client's."""
    workers: int = 1
    """How many processes share the port."""
    access: str = ""
    """Where the access document is: a path, or a secret's URL; empty where everybody may ask."""
    grpc_address: str = ""
    """Where gRPC listens, `host:port`; empty for nowhere."""


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """All options, checked."""

    endpoint_url: str
    work_url: str | None
    host: str
    port: int
    grpc_port: int | None
    workers: int
    backend: BackendChoice
    threads: int
    queue_rows: int
    max_batch_rows: int
    max_body_mib: int
    drain_seconds: float
    summary_seconds: float
    cache: Path | None
    approval: bool
    replica: str | None


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise InputError(message, hint="`python -P -m serving --help` lists the options")


def parse(arguments: Sequence[str]) -> Options:
    """Options from the command line.

    Raises:
        InputError: an option is missing, unknown or out of its range.
    """
    plain = _parser().parse_args(arguments)
    options = Options(**{name: getattr(plain, name) for name in Options.__struct_fields__})
    if options.max_batch_rows > options.queue_rows:
        raise InputError(
            f"--max-batch-rows {options.max_batch_rows} is more than --queue-rows {options.queue_rows}",
            hint="a batch is taken from the queue: make the queue at least as long",
        )
    return options


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="python -P -m serving", description="Answers predictions for one endpoint.", allow_abbrev=False
    )
    add = parser.add_argument
    add("--endpoint", dest="endpoint_url", required=True, metavar="URL", help="KEEP/endpoints/NAME")
    add(
        "--work", dest="work_url", metavar="URL", help="the work bucket, for replica reports; default: none are written"
    )
    add("--host", default="127.0.0.1", help="address to listen on (default 127.0.0.1)")
    add("--port", type=_whole(0, 65535), default=8501, help="port; 0 takes a free one and logs it (default 8501)")
    add(
        "--grpc-port",
        type=_whole(0, 65535),
        help="a port for gRPC alone; 0 takes a free one and logs it (default: none)",
    )
    add("--workers", type=_whole(1, 256), default=1, help="processes that share the port (default 1)")
    add(
        "--backend",
        choices=("auto", "onnx", "tensorflow", "tflite"),
        default="auto",
        help="what computes (default auto)",
    )
    add("--threads", type=_whole(0, 256), default=0, help="of one worker; 0: CPUs lent to us divided by the workers")
    add("--queue-rows", type=_whole(1, 1_000_000), default=4096, help="rows that may wait per worker; more get 429")
    add("--max-batch-rows", type=_whole(1, 65536), default=64, help="rows computed at once (default 64)")
    add("--max-body-mib", type=_whole(1, 4095), default=128, help="greatest request body [MiB]; more get 413")
    add("--drain-seconds", type=_seconds, default=30.0, help="for requests in flight at a stop (default 30)")
    add("--summary-seconds", type=_seconds, default=60.0, help="between the log's summaries of requests (default 60)")
    add("--cache", type=Path, help="folder for downloaded versions (default: the user's cache)")
    add(
        "--approval",
        action="store_true",
        default=os.environ.get("SKYLIFT_APPROVAL", "") not in ("", "0"),
        help="serve a deployment only with somebody's approval (default: whether $SKYLIFT_APPROVAL is 1)",
    )
    add("--replica", type=_replica, help="this replica's name in reports (default: host and port)")
    return parser


def default_replica(port: int) -> str:
    """A name that is the same after a restart, so that a stale report is overwritten."""
    host = re.sub(r"[^a-z0-9-]+", "-", socket.gethostname().lower()).strip("-") or "host"
    return f"{host[:50]}-{port}"


def _whole(least: int, most: int) -> type[int]:
    def convert(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is no whole number") from None
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"{value} is not within {least} to {most}")
        return value

    return convert  # type: ignore[return-value]  # argparse wants any callable


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds") from None
    if not 0 <= value <= 3600:
        raise argparse.ArgumentTypeError(f"{text} is not within 0 to 3600")
    return value


def _replica(text: str) -> str:
    if not re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,62}", text):
        raise argparse.ArgumentTypeError(f"{text!r} may hold a-z 0-9 . _ - only, 63 at most")
    return text
