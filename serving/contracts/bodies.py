"""Bodies of predictions that name no protocol: told apart, and brought into TensorFlow Serving's form.

What is no protocol's is read as AWS's own TensorFlow container reads it (https://github.com/aws/sagemaker-tensorflow-serving-container,
tensorflowServing.js): a list of lists is the rows, any other value is one row, several values behind each other are a row each. One
addition of ours: a list of objects is the rows too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Literal

import msgspec

from serving.http.json_in import BadRequestError

Kind = Literal["tfs", "v2", "values"]

TRITON = b"application/vnd.sagemaker-triton.binary+json"
"""https://docs.aws.amazon.com/sagemaker/latest/dg/deploy-models-frameworks-triton.html: v2 with tensors as bytes behind the JSON, whose
length is the type's parameter because SageMaker hands on no header of v2's own."""
LINES = (b"application/jsonlines", b"application/x-ndjson", b"application/jsons")

_OURS = re.compile(rb'"(instances|inputs|examples)"\s*:\s*(\[\s*\{)?')
_ROWS = re.compile(rb"\s*\[\s*[\[{]")
_NOT_STRUCTURE = bytes(set(range(256)) - set(b"[]{},"))
_NEXT = (b"][", b"}{", b"]{", b"}[")
"""In what is left of a body without its values: where one ends and another begins. Brackets in texts may look so too."""
_LENGTH = re.compile(rb"json-header-size\s*=\s*\"?(\d{1,12})")
_SPACE = re.compile(r"[ \t\r\n]*")
_DECODER = json.JSONDecoder()


def header_length(content_type: bytes) -> bytes | None:
    """How many bytes of a Triton body are its JSON.

    Raises:
        BadRequestError: the type does not say.
    """
    if content_type[: len(TRITON)].lower() != TRITON:
        return None
    found = _LENGTH.search(content_type)
    if found is None:
        raise BadRequestError(
            f"Content-Type {content_type[:100].decode('latin-1')!r} does not say how long the JSON is: add ;json-header-size=BYTES",
            is_found=False,
        )
    return found[1]


def kind_of(body: bytes) -> Kind:
    """Which protocol's JSON this is. About 0.5 us where it begins with its tensors."""
    found = _OURS.search(body)
    if found is None:
        return "values"
    # A column of TensorFlow Serving's may hold objects too, but only `{"b64": ...}`.
    return "v2" if found[1] == b"inputs" and found[2] and b'"datatype"' in body else "tfs"


def as_instances(body: bytes) -> bytes:
    """A body of `values` in TensorFlow Serving's form.

    Raises:
        BadRequestError: it is empty, or no JSON.
    """
    if not body.strip():
        raise BadRequestError("JSON Parse error: The document is empty", is_found=False)
    values = list(_values(body)) if _may_be_several(body) else [body]
    if len(values) == 1:
        return b'{"instances":%b}' % (values[0] if _ROWS.match(values[0]) else b"[%b]" % values[0])
    return b'{"instances":[%b]}' % b",".join(values)


def _may_be_several(body: bytes) -> bool:
    if bytes(body[:64]).lstrip()[:1] not in (b"[", b"{"):
        return True
    structure = body.translate(None, _NOT_STRUCTURE)
    return any(mark in structure for mark in _NEXT)


def _values(body: bytes) -> Iterator[bytes]:
    """JSON values behind each other, with whatever space between."""
    try:
        text = bytes(body).decode("utf-8")
    except UnicodeDecodeError as problem:
        raise BadRequestError(f"the body is not UTF-8 at byte {problem.start}", is_found=False) from None
    at = _end(text, 0)
    while at < len(text):
        try:
            _, end = _DECODER.raw_decode(text, at)
        except json.JSONDecodeError as problem:
            raise BadRequestError(
                f"JSON Parse error: Invalid value. at offset: {problem.pos}", is_found=False
            ) from None
        except (ValueError, RecursionError):
            raise BadRequestError("JSON Parse error: the body cannot be read", is_found=False) from None
        yield text[at:end].encode()
        at = _end(text, end)


def _end(text: str, at: int) -> int:
    space = _SPACE.match(text, at)
    return space.end() if space is not None else at


class _WithParameters(msgspec.Struct, omit_defaults=True, forbid_unknown_fields=True):
    """What Vertex AI's `:predict` hands on."""

    instances: msgspec.Raw
    parameters: dict[str, object] | None = None
    signature_name: str | None = None
    output_filter: list[str] | None = None


_READER = msgspec.json.Decoder(_WithParameters)
TAKEN = ("signature_name", "output_filter")


def without_parameters(body: bytes) -> bytes:
    """`{"instances": ..., "parameters": {...}}` of Vertex AI with what its parameters ask for where TensorFlow Serving has it.

    Raises:
        BadRequestError: there is a parameter of another name.
    """
    if b'"parameters"' not in body:
        return body
    try:
        asked = _READER.decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return body  # the exact reader says what is wrong with it, or takes it
    unknown = sorted(set(asked.parameters or ()) - set(TAKEN))
    if unknown:
        raise BadRequestError(
            f'"parameters" has {", ".join(map(repr, unknown))[:200]}; it may have {" and ".join(map(repr, TAKEN))}',
            is_found=False,
        )
    given = {**{name: getattr(asked, name) for name in TAKEN}, **(asked.parameters or {})}
    extra = b"".join(b',"%b":%b' % (name.encode(), msgspec.json.encode(given[name])) for name in TAKEN if given[name])
    return b'{"instances":%b%b}' % (bytes(asked.instances), extra)
