"""What of a request may be stored. Private unless somebody says otherwise: numbers are kept, texts become a length and a keyed hash."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping
from typing import Any

import numpy as np

from serving.backends.base import Array
from serving.watch.checks import of_redaction, refuse
from serving.watch.options import Redaction

KEY_VARIABLE = "SKYLIFT_SAMPLE_KEY"
"""The secret by which texts are hashed: where all replicas have the same, equal texts have equal hashes. Without it each process makes
its own."""
LONGEST_TEXT = 1024
"""Bytes of a text that are kept: more is cut before a pattern sees it."""
LISTED = 256
"""A tensor of so many numbers is a list; a greater one is its bytes in base64."""
REMOVED = "[removed]"


class Redactor:
    """Applies the rules. Its work belongs into a thread.

    Args:
        key: for hashes; see KEY_VARIABLE.

    Raises:
        InputError: names every rule that cannot be kept.
    """

    def __init__(self, rules: Redaction, key: bytes = b"") -> None:
        refuse(of_redaction(rules))
        self._removed = frozenset(rules.inputs)
        self._hashed = frozenset(rules.hash)
        self._kept = frozenset(rules.keep)
        self._patterns = [re.compile(pattern) for pattern in rules.patterns]
        self._key = key or secrets.token_bytes(32)

    def of(self, tensors: Mapping[str, Array]) -> dict[str, Any]:
        """Tensors as JSON holds them: `{"dtype", "shape", "data" | "b64" | "hashes" | "removed"}` by name."""
        return {name: self._tensor(name, value) for name, value in tensors.items()}

    def _tensor(self, name: str, value: Array) -> dict[str, Any]:
        is_text = value.dtype.kind in "OSU"
        made: dict[str, Any] = {"dtype": "string" if is_text else value.dtype.name, "shape": list(value.shape)}
        if name in self._removed:
            made["removed"] = True
        elif name in self._hashed:
            made["hashes"] = [self._hash(_raw(row)) for row in (value if value.ndim else [value])]
        elif is_text:
            made["data"] = [self._text(name, _bytes(text)) for text in value.ravel().tolist()]
        else:
            made |= _numbers(value)
        return made

    def _text(self, name: str, text: bytes) -> Any:
        if name not in self._kept:
            return {"length": len(text), "hash": self._hash(text)}
        kept = text[:LONGEST_TEXT].decode("utf-8", "replace")
        for pattern in self._patterns:
            kept = pattern.sub(REMOVED, kept)
        return kept

    def _hash(self, raw: bytes) -> str:
        return hmac.new(self._key, raw, hashlib.sha256).hexdigest()[:24]


def _bytes(text: object) -> bytes:
    return text if isinstance(text, bytes) else str(text).encode("utf-8", "replace")


def _raw(row: Any) -> bytes:
    row = np.asarray(row)
    if row.dtype.kind not in "OSU":
        return bytes(row.tobytes())
    texts = [_bytes(text) for text in row.ravel().tolist()]
    return b"".join(len(text).to_bytes(8, "little") + text for text in texts)


def _numbers(value: Array) -> dict[str, Any]:
    if value.size <= LISTED and value.dtype.kind in "biuf":
        flat = value.ravel()
        if flat.dtype.kind != "f" or bool(np.isfinite(flat).all()):
            return {"data": flat.tolist()}
        return {"data": [one if np.isfinite(one) else str(one) for one in flat.astype(np.float64).tolist()]}
    little = value.astype(value.dtype.newbyteorder("<"), copy=False)
    return {"b64": base64.b64encode(little.tobytes()).decode()}
