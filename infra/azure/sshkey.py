"""A public SSH key that nobody has the private half of.

Azure makes no Linux machine without a password or an SSH key. A key pair would put a private key into the state; here is none: the public
key is a point of the curve Ed25519 that a hash was mapped to, so its private half is not known to anybody, and finding it is the
discrete logarithm problem. It is the same at every `up`, and opens nothing. https://www.rfc-editor.org/rfc/rfc8032#section-5.1
"""

from __future__ import annotations

import base64
import hashlib

_P = 2**255 - 19
_D = (-121665 * pow(121666, _P - 2, _P)) % _P
_KIND = b"ssh-ed25519"


def keyless(seed: str) -> str:
    """A line for authorized_keys, made from the seed alone."""
    counter = 0
    while True:
        y = int.from_bytes(hashlib.sha256(f"skylift/{seed}/{counter}".encode()).digest(), "little") % 2**255
        if is_point(y):
            break
        counter += 1
    blob = _field(_KIND) + _field(y.to_bytes(32, "little"))
    return f"{_KIND.decode()} {base64.b64encode(blob).decode()} nobody"


def is_point(y: int) -> bool:
    """Whether there is a point of the curve with this y, of an order that is not small: x² = (y² - 1) / (d y² + 1) has a root."""
    if not 1 < y < _P - 1:
        return False
    square = (y * y - 1) * pow(_D * y * y + 1, _P - 2, _P) % _P
    return pow(square, (_P - 1) // 2, _P) == 1


def _field(value: bytes) -> bytes:
    return len(value).to_bytes(4, "big") + value
