"""The command line of `python -P -m serving`, and what the surroundings say in its place."""

from __future__ import annotations

import argparse
import re
import shlex
import socket
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

import msgspec

from serving.batching.options import BatchOptions
from serving.contracts.surroundings import detect
from serving.interface import ModelConfig
from serving.log import Form
from serving.options import BackendChoice
from skylift.errors import InputError

HINT = "`python -P -m serving --help` lists the options"
FROM_ENVIRONMENT = {
    "SKYLIFT_ENDPOINT": "--endpoint",
    "SKYLIFT_WORK": "--work",
    "SKYLIFT_HOST": "--host",
    "SKYLIFT_PORT": "--port",
    "SKYLIFT_GRPC_PORT": "--grpc-port",
    "SKYLIFT_WORKERS": "--workers",
    "SKYLIFT_THREADS": "--threads",
    "SKYLIFT_BACKEND": "--backend",
    "SKYLIFT_QUEUE_ROWS": "--queue-rows",
    "SKYLIFT_MAX_BATCH_ROWS": "--max-batch-rows",
    "SKYLIFT_DRAIN_SECONDS": "--drain-seconds",
    "SKYLIFT_API_KEYS": "--access",
    "SKYLIFT_REPLICA": "--replica",
    "SKYLIFT_MOUNTED": "--mounted",
    "SKYLIFT_MODELS_FOLDER": "--models-folder",
    "SKYLIFT_DEFAULT_MODEL": "--default-model",
    "SKYLIFT_LOG_FORMAT": "--log-format",
}
"""Variables that stand for options, where a service starts the image with none: the option wins."""


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """All options, checked. Those with a default are what only TensorFlow Serving's flags can say (serving.flags.options)."""

    endpoint_url: str | None
    models_file: Path | None
    models: tuple[ModelConfig, ...]
    poll_seconds: float
    spare_memory: bool
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
    request_seconds: float
    drain_seconds: float
    summary_seconds: float
    access: str
    access_log: str
    access_log_rate: float
    tls_cert: Path | None
    tls_key: Path | None
    tls_client_ca: Path | None
    tls_client_optional: bool
    cache: Path | None
    approval: bool
    replica: str | None
    sample_rate: float
    samples_per_minute: int
    redact: Path | None
    gpu_memory_mib: int
    mounted: str | None
    models_folder: Path | None
    default_model: str
    health_route: str
    predict_route: str
    log_format: Form
    batch_delay_ms: float
    parts: dict[int, str] = {}
    part_key_file: Path | None = None

    max_retries: int = 5
    retry_seconds: float = 60.0
    models_poll_path: Path | None = None
    """A model_config_file that is looked at again every `models_poll_seconds`; 0: never."""
    models_poll_seconds: float = 0.0
    grpc_host: str = ""
    """Where it is another than `host`."""
    allow_unavailable_labels: bool = False
    tags: tuple[str, ...] = ("serve",)
    prefer_tflite: bool = False
    warm_iterations: int = 1
    checks_method_names: bool = False
    tensor_content: bool = False
    batching: BatchOptions | None = None
    per_model_batching: bool = False
    metrics_path: str = ""
    cors: bool = False
    ssl_config: Path | None = None
    grpc_socket: str = ""
    grpc_streams: int = 1024
    grpc_message_bytes: int = 0
    notes: tuple[str, ...] = ()


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise InputError(message, hint=HINT)


def parse(arguments: Sequence[str], environment: Mapping[str, str] | None = None) -> Options:
    """Options from the command line, from variables for those that it leaves out, and from the service that we run at for the rest.

    Raises:
        InputError: an option is missing, unknown or out of its range.
    """
    around = detect(environment or {}, arguments)
    options = read([*around.options, *given_by(environment or {}), *around.arguments])
    options = msgspec.structs.replace(options, notes=around.notes)
    check(options)
    return options


def read(arguments: Sequence[str]) -> Options:
    """Options as they are written, each by itself in its range.

    Raises:
        InputError: one is unknown or out of its range.
    """
    plain = _parser().parse_args(arguments)
    models = tuple(ModelConfig(name, base_path) for name, base_path in plain.model or ())
    given = {name: getattr(plain, name) for name in Options.__struct_fields__ if hasattr(plain, name)}
    given["parts"] = _parts(plain.parts)
    return Options(models=models, **given)


def own_options() -> dict[str, bool]:
    """The names of all options, without dashes; True for those that take a value."""
    return {
        name.removeprefix("--"): action.nargs != 0
        for action in _parser()._actions
        for name in action.option_strings
        if name.startswith("--")
    }


def given_by(environment: Mapping[str, str]) -> list[str]:
    """The options that variables stand for; `SKYLIFT_FLAGS` holds any, written as in a shell.

    Raises:
        InputError: SKYLIFT_FLAGS has an open quotation mark.
    """
    given = [f"{option}={environment[name]}" for name, option in FROM_ENVIRONMENT.items() if environment.get(name)]
    if environment.get("SKYLIFT_APPROVAL", "") not in ("", "0"):
        given.append("--approval")
    try:
        return [*given, *shlex.split(environment.get("SKYLIFT_FLAGS", ""))]
    except ValueError as problem:
        raise InputError(f"SKYLIFT_FLAGS cannot be read: {problem}", hint="quote its values as in a shell") from None


def check(options: Options) -> None:
    """Whether the options fit each other.

    Raises:
        InputError: they do not.
    """
    sources = [
        name
        for name, is_given in (
            ("--endpoint", options.endpoint_url),
            ("--models", options.models_file),
            ("--model", options.models),
        )
        if is_given
    ]
    if len(sources) > 1 or not (sources or options.mounted or options.models_folder):
        what = f"{' and '.join(sources)} exclude each other" if sources else "it is not said what to serve"
        hint = "give one of --endpoint URL, --model NAME=PATH (several times), --models FILE, --mounted PATH"
        raise InputError(what, hint=hint)
    names = [config.name for config in options.models]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(f"--model names {', '.join(twice)} twice", hint="a model has one base path")
    if options.max_batch_rows > options.queue_rows:
        raise InputError(
            f"--max-batch-rows {options.max_batch_rows} is more than --queue-rows {options.queue_rows}",
            hint="a batch is taken from the queue: make the queue at least as long",
        )
    lone = [
        name for name, given in (("--tls-key", options.tls_key), ("--tls-client-ca", options.tls_client_ca)) if given
    ]
    if lone and options.tls_cert is None:
        raise InputError(
            f"{' and '.join(lone)} without --tls-cert", hint="give the server's certificate with --tls-cert"
        )
    if options.part_key_file is not None and not options.parts:
        raise InputError(
            "--part-key-file is for parts on other servers", hint="leave it out, or name them with --part N=URL"
        )
    if options.approval and not options.endpoint_url:
        raise InputError("--approval is for an endpoint's deployments", hint="leave it out, or give --endpoint")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="python -P -m serving", description="Answers predictions.", allow_abbrev=False)
    sources = parser.add_argument_group("what is served (one of these)")
    sources.add_argument("--endpoint", dest="endpoint_url", metavar="URL", help="KEEP/endpoints/NAME: what it names")
    sources.add_argument(
        "--model",
        action="append",
        type=_model,
        metavar="NAME=PATH",
        help="a model from a folder or URL (s3, gs, az) with a folder for each version; may be given several times",
    )
    sources.add_argument(
        "--models",
        dest="models_file",
        type=Path,
        metavar="FILE",
        help="a model_config_file as TensorFlow Serving has it",
    )
    add = parser.add_argument
    add(
        "--poll-seconds", type=_seconds, default=1.0, help="between two looks for new versions; 0: one look (default 1)"
    )
    add("--spare-memory", action="store_true", help="unload a version before the next is loaded, not after")
    add("--work", dest="work_url", metavar="URL", help="work bucket, for replica reports; default: none are written")
    add("--host", default="127.0.0.1", help="address to listen on (default 127.0.0.1)")
    add("--port", type=_whole(0, 65535), default=8501, help="port; 0 takes a free one and logs it (default 8501)")
    add("--grpc-port", type=_whole(0, 65535), help="a port for gRPC alone; 0 takes a free one (default: none)")
    add("--workers", type=_whole(1, 256), default=1, help="processes that share the port (default 1)")
    backends = ("auto", "onnx", "tensorflow", "tflite")
    add("--backend", choices=backends, default="auto", help="what computes (default auto)")
    add("--threads", type=_whole(0, 256), default=0, help="of one worker; 0: CPUs lent to us divided by the workers")
    add("--queue-rows", type=_whole(1, 1_000_000), default=4096, help="rows that may wait per worker; more get 429")
    add("--max-batch-rows", type=_whole(1, 65536), default=64, help="rows computed at once (default 64)")
    add("--max-body-mib", type=_whole(1, 4095), default=128, help="greatest request body [MiB]; more get 413")
    add("--request-seconds", type=_seconds, default=30.0, help="a request may take; 0: any time (default 30)")
    add("--drain-seconds", type=_seconds, default=30.0, help="for requests in flight at a stop (default 30)")
    add("--summary-seconds", type=_seconds, default=60.0, help="between the log's summaries of requests (default 60)")
    add("--access", default="", metavar="PATH|URL", help="who may ask: the document that `skylift keys` writes")
    add("--access-log", default="off", metavar="off|stderr|PATH", help="a line of JSON for each request (default off)")
    add("--access-log-rate", type=_share, default=1.0, help="share of the successful requests in it (default 1)")
    add("--tls-cert", type=Path, metavar="PEM", help="certificates, and the key unless --tls-key; read again on change")
    add("--tls-key", type=Path, metavar="PEM", help="the certificate's private key")
    add("--tls-client-ca", type=Path, metavar="PEM", help="clients must show a certificate that one of these signed")
    add("--tls-client-optional", action="store_true", help="a client may also come without one, with an API key")
    add("--cache", type=Path, help="folder for downloaded versions (default: the user's cache)")
    add("--approval", action="store_true", help="serve a deployment only with somebody's approval")
    add("--sample-rate", type=_share, default=0.0, help="share of the requests that are stored in the work bucket (0)")
    add("--samples-per-minute", type=_whole(1, 100_000), default=60, help="of a worker, at most (default 60)")
    add("--redact", type=Path, metavar="FILE", help="what of samples must not be stored (docs/serving-watching.md)")
    add("--gpu-memory-mib", type=_whole(0, 1 << 20), default=0, help="of the GPU; 0: as it is needed (default 0)")
    add("--batch-delay-ms", type=_seconds, default=0.0, help="a batch that is not full waits for more rows (default 0)")
    add(
        "--part",
        dest="parts",
        action="append",
        type=_part,
        default=[],
        metavar="N=URL[,URL...]",
        help="of a chain, part N is computed by the endpoint there; may be given several times",
    )
    add("--part-key-file", type=Path, metavar="PATH", help="an API key for those (default: SKYLIFT_API_KEY's)")
    add("--log-format", choices=("plain", "google"), default="plain", help="of the events on stderr (default plain)")
    _add_contracts(parser.add_argument_group("managed services").add_argument)
    add("--replica", type=_replica, help="this replica's name in reports (default: host and port)")
    return parser


def _add_contracts(add: Callable[..., object]) -> None:
    add(
        "--mounted",
        type=_place,
        metavar="PATH|URL",
        help="a model that a service has mounted: served where nothing else is said, and while the endpoint cannot be reached",
    )
    add("--models-folder", type=Path, metavar="PATH", help="`POST /models` may load models below it (default: none)")
    add("--default-model", default="", metavar="NAME", help="answers where a request names none and there are several")
    add("--health-route", type=_route, default="", metavar="PATH", help="answered as /readyz is, for Vertex AI")
    add("--predict-route", type=_route, default="", metavar="PATH", help="answered as /predict is, for Vertex AI")


def default_replica(port: int) -> str:
    """A name that is the same after a restart, so that a stale report is overwritten."""
    host = re.sub(r"[^a-z0-9-]+", "-", socket.gethostname().lower()).strip("-") or "host"
    return f"{host[:50]}-{port}"


def _model(text: str) -> tuple[str, str]:
    name, equals, base_path = text.partition("=")
    if not (name and equals and base_path) or re.search(r"[/:]", name):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=PATH")
    return name, _place(base_path)


def _part(text: str) -> tuple[int, str]:
    number, equals, urls = text.partition("=")
    if not equals or not urls or not number.isascii() or not number.isdecimal() or not 1 <= int(number) <= 1000:
        raise argparse.ArgumentTypeError("it is not N=URL with a part's number, counted from 1")
    return int(number), urls


def _parts(given: Sequence[tuple[int, str]]) -> dict[int, str]:
    """
    Raises:
        InputError: a part is named twice, or an address is none; every mistake is named.
    """
    if not given:
        return {}
    from serving.backends.addresses import Address

    numbers = [number for number, _ in given]
    wrong = [f"--part {number} is given twice" for number in sorted(set(numbers)) if numbers.count(number) > 1]
    for number, urls in given:
        for url in urls.split(","):
            try:
                Address(url)
            except InputError as error:
                wrong.append(f"--part {number}: {error.message}")
    if wrong:
        raise InputError(
            "; ".join(wrong), hint="write --part N=http://HOST:PORT, several addresses with commas between"
        )
    return dict(given)


def _place(text: str) -> str:
    return text if "://" in text else str(Path(text).absolute())


def _route(text: str) -> str:
    if text and (not text.startswith("/") or "?" in text):
        raise argparse.ArgumentTypeError(f"{text!r} is no path such as /predict")
    return text


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


def _share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no number") from None
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not within 0 to 1")
    return value


def _replica(text: str) -> str:
    if not re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,62}", text):
        raise argparse.ArgumentTypeError(f"{text!r} may hold a-z 0-9 . _ - only, 63 at most")
    return text
