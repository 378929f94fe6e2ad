"""Configuration files of TensorFlow Serving's, credentials, trace headers."""

from __future__ import annotations

import base64
import json
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import gettempdir

from benchmarks.fuzzing_parts.answers import WrongError
from benchmarks.fuzzing_parts.parsing import SIGNATURES, Reader
from serving.guard import credentials, keysets, ssl_config
from serving.guard.refusals import AccessError
from serving.guard.tokens import Tokens
from serving.http.desk import sticky_key
from serving.interface import Code
from serving.signature import DEFAULT_SIGNATURE
from serving.sources import config, warmup
from serving.sources.crc32c import masked_crc32c
from serving.watch import monitoring_config, trace_context
from serving.watch.request_ids import sane
from skylift.artifacts.access import IssuerEntry, ScopeGrant
from skylift.errors import InputError, NotFoundError, SkyliftError

_MODELS = b"""
model_config_list { config {
  name: 'half' base_path: "/models/half" model_platform: "tensorflow"   # a comment
  model_version_policy { specific { versions: 1 versions: 2 } }
  version_labels { key: 'stable' value: 1 }
} config: < name: "a\\x62" base_path: 's3://b' 'ucket' model_version_policy: { latest { num_versions: 2 } } > }
"""
_MONITORING = b'prometheus_config { enable: true, path: "/metrics" }'
_SSL = b'server_key: "-----BEGIN" server_cert: "a\\nb" custom_ca: "" client_verify: true'
_ISSUER = IssuerEntry(issuer="https://a", audiences=("b",), grants=(ScopeGrant(scope="s", verbs=("predict",)),))
_TOKENS = Tokens((_ISSUER,), 1, lambda _: [])
_TOKENS._issuers["https://a"].keys._tried = 0.0  # that is now: nothing is fetched


@contextmanager
def _documented() -> Iterator[None]:
    """The errors of files name what is wrong."""
    try:
        yield
    except (InputError, NotFoundError) as problem:
        if not problem.message or not problem.hint:
            raise WrongError(f"an error without a text or a hint: {problem!r}") from None


def read_models(data: bytes) -> None:
    with _documented(), warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # protobuf's own, of escapes that are none
        config.parse_models(_text(data), "models.config")


def read_monitoring(data: bytes) -> None:
    with _documented(), warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        monitoring_config.parse(_text(data), "monitoring.config")


def read_ssl(data: bytes) -> None:
    with _documented(), warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        ssl_config.parse(data[2:], "ssl.config")


def _text(data: bytes) -> str:
    return data[2:].decode("utf-8", "replace")


def read_credentials(data: bytes) -> None:
    """What a client may put into its headers to say who it is."""
    raw = bytes(byte for byte in data[2:] if byte not in b"\r\n\0")
    for name in (b"x-api-key", b"authorization"):
        try:
            token = credentials.credential({name: raw})
        except AccessError as problem:
            _check_refusal(problem, raw)
            continue
        if token is None:
            raise WrongError("a credential is overlooked")
        try:
            _TOKENS.read(token, b"", 0.0)
        except AccessError as problem:
            _check_refusal(problem, token)
        else:
            raise WrongError("a token without a signature of a trusted issuer is taken")


def _check_refusal(problem: AccessError, raw: bytes) -> None:
    if problem.code not in (Code.UNAUTHENTICATED, Code.UNAVAILABLE):
        raise WrongError(f"{problem.code.name}: {problem.message}")
    if len(raw) > 8 and raw.decode("latin-1") in problem.message:
        raise WrongError("a credential is told in an error")


def read_keys(data: bytes) -> None:
    """An issuer's keys, which may be anything that is JSON."""
    try:
        plain = json.loads(data[2:])
    except (ValueError, RecursionError):
        return
    if isinstance(plain, list):
        keysets.usable(plain)


def read_notes(data: bytes) -> None:
    """Headers that are only noted."""
    raw = data[2:]
    trace_context.parent_of(raw.decode("latin-1"))
    sticky_key({b"x-amzn-sagemaker-custom-attributes": raw})
    told = sane(raw)
    if "\r" in told or "\n" in told or len(told) > 128:
        raise WrongError(f"{told!r} as an id")


def read_warmup(data: bytes) -> None:
    """A file of recorded requests, whole but for what is in its records."""
    folder = Path(gettempdir()) / "skylift-fuzzing"
    path = folder / warmup.FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(_record(data[2:]) if data[:1] != b"\1" else data[2:])
    try:
        list(warmup.warmup_requests(folder, {DEFAULT_SIGNATURE: SIGNATURES[0]}))
    except SkyliftError as problem:
        if not problem.message:
            raise WrongError("an error without a text") from None


def _record(raw: bytes) -> bytes:
    length = struct.pack("<Q", len(raw))
    checks = [struct.pack("<I", masked_crc32c(one)) for one in (length, raw)]
    return length + checks[0] + raw + checks[1]


# seeds


def _jwt(**claims: object) -> bytes:
    parts = [
        {"alg": "RS256", "kid": "a", "typ": "JWT"},
        {"iss": "https://a", "aud": "b", "exp": 9_999_999_999, **claims},
    ]
    raw = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in parts]
    return b".".join([*raw, b"c2lnbmF0dXJl"])


def _credentials() -> list[bytes]:
    return [
        b"\0\0" + one
        for one in (b"Bearer abc.def-_~+/==", b"Basic YTpi", b"sk_0123456789abcdef", _jwt(), b"Bearer " + _jwt(sub="x"))
    ]


def _keys() -> list[bytes]:
    keys = [
        {"kty": "RSA", "n": "AQAB" * 90, "e": "AQAB", "kid": "a", "alg": "RS256", "use": "sig"},
        {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"},
    ]
    return [b"\0\0" + json.dumps(keys).encode()]


def _notes() -> list[bytes]:
    trace = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    return [b"\0\0" + one for one in (trace, b"skylift-key=a,b=c", b"id-1", b"skylift-KEY = x ,")]


def _warmups() -> list[bytes]:
    from serving.grpc.protos import tensorflow_serving_pb2 as tfs

    request = tfs.PredictRequest()
    request.model_spec.name = "m"
    request.inputs["x"].dtype = 1
    for size in (1, 3):
        request.inputs["x"].tensor_shape.dim.add(size=size)
    request.inputs["x"].float_val.extend([1, 2, 3])
    raw = request.SerializeToString()
    logged = b"\x32" + bytes((len(raw) + 2,)) + b"\x0a" + bytes((len(raw),)) + raw
    return [b"\0\0" + logged, b"\1\0" + _record(logged)]


def _files(text: bytes) -> list[bytes]:
    return [b"\0\0" + text]


READERS = [
    Reader("models-config", read_models, lambda: _files(_MODELS), 6),
    Reader("monitoring-config", read_monitoring, lambda: _files(_MONITORING), 1),
    Reader("ssl-config", read_ssl, lambda: _files(_SSL), 1),
    Reader("credentials", read_credentials, _credentials, 6),
    Reader("issuer-keys", read_keys, _keys, 2),
    Reader("noted-headers", read_notes, _notes, 3),
    Reader("warmup", read_warmup, _warmups, 2),
]
