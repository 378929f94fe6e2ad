"""Answers in the media type that a client accepts (RFC 9110, section 12.5.1)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache

from serving.backends.base import Array
from serving.media import accept, csv, csv_out, npy, npz
from serving.media.accept import Item
from serving.media.errors import MediaError

JSON = b"application/json"
TYPES = (JSON, npy.NPY, npz.NPZ, csv.CSV)
_SHOWN = ", ".join(name.decode() for name in TYPES)


@dataclass(frozen=True, slots=True)
class Form:
    """How to answer. `output` is the one that is wanted, None for all."""

    media_type: bytes
    output: str | None = None
    with_header: bool = False

    @property
    def is_json(self) -> bool:
        return self.media_type == JSON


_PLAIN_JSON = Form(JSON)


def form(header: bytes, default: bytes = JSON) -> Form:
    """What a client likes best. Costs 0.2 us for a header that was seen before.

    Args:
        header: the value of `Accept`, empty where it was not sent.
        default: of `TYPES`, where the client takes anything.

    Raises:
        MediaError: 406, as the client takes nothing that there is.
    """
    if not header or header == b"*/*":
        return _PLAIN_JSON if default == JSON else Form(default)
    return _form(header[:1024], default)


@lru_cache(maxsize=256)
def _form(header: bytes, default: bytes) -> Form:
    asked = accept.items(header)
    order = (default, *(name for name in TYPES if name != default))
    best, weight = None, 0.0
    for name in order:
        item = _matching(name.decode(), asked)
        if item is not None and item.weight > weight:
            best, weight = (name, item), item.weight
    if best is None:
        if not asked:
            return Form(default)
        raise MediaError(f"nothing that Accept names can be answered: there are {_SHOWN}", status=406)
    name, item = best
    return Form(name, item.parameters.get("output"), item.parameters.get("header") == "present")


def _matching(name: str, asked: tuple[Item, ...]) -> Item | None:
    """What a client says of a type: the most specific alternative counts."""
    for pattern in (name, name.partition("/")[0] + "/*", "*/*", "*"):
        for item in asked:
            if item.name == pattern:
                return item
    return None


def encode(form: Form, outputs: Mapping[str, Array]) -> tuple[bytes, bytes]:
    """An answer's content type and body. JSON is the protocols' own matter.

    Raises:
        MediaError: 406, as the outputs cannot be written that way; the message says what can.
    """
    if form.media_type == npy.NPY:
        name = npy.choose(outputs, form.output)
        return npy.NPY, npy.pack(name, outputs[name])
    if form.output is not None:
        name = npy.choose(outputs, form.output)
        outputs = {name: outputs[name]}
    if form.media_type == npz.NPZ:
        return npz.NPZ, npz.pack(outputs)
    if form.media_type == csv.CSV:
        return b"text/csv; charset=utf-8", csv_out.pack(outputs, with_header=form.with_header)
    raise AssertionError(form.media_type)


def check(form: Form, outputs: Collection[str]) -> None:
    """Refuse what cannot be answered before anything is computed.

    Raises:
        MediaError: 406, as `npy.choose`.
    """
    if form.media_type == npy.NPY or form.output is not None:
        npy.choose(outputs, form.output)
