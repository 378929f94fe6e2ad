"""Certificates and keys as PEM texts, checked before they are used. Nothing of a key is ever part of an error."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from skylift.errors import InputError

_BLOCK = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----.+?-----END \1-----", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Identity:
    """What a server shows and proves.

    Args:
        chain: PEM, its own certificate first.
        key: PEM, private.
        until: when the first of the chain's certificates ends.
        name: subject of its own, for logs.
    """

    chain: bytes
    key: bytes
    until: datetime
    name: str

    def __repr__(self) -> str:
        return f"Identity({self.name!r}, until={self.until:%Y-%m-%d})"

    @property
    def is_expired(self) -> bool:
        return self.until <= datetime.now(UTC)


def read(path: Path) -> bytes:
    """
    Raises:
        InputError: it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(
            f"{path} cannot be read: {error.strerror}", hint="give a PEM file that the server's user may read"
        ) from None


def identity(certificate: bytes, key: bytes | None, where: str, key_where: str = "") -> Identity:
    """A certificate chain and its key.

    Args:
        key: None where it lies among the certificates.
        where: path of the certificates, for errors; `key_where` of the key.

    Raises:
        InputError: one is missing, malformed or encrypted, or they do not belong together.
    """
    found = _certificates(certificate, where)
    key_where = key_where or where
    private, key_pem = _key(certificate if key is None else key, key_where)
    if not _fits(private, found[0]):
        if any(_fits(private, other) for other in found[1:]):
            raise InputError(
                f"the server's own certificate is not the first in {where}",
                hint="put it first, then those that signed it, each behind the one that it signed",
            )
        raise InputError(
            f"the private key in {key_where} is not that of the certificate in {where}",
            hint="give the key that the certificate was made for; `openssl x509 -noout -pubkey -in FILE` shows whose it is",
        )
    from cryptography.hazmat.primitives.serialization import Encoding

    chain = b"".join(one.public_bytes(Encoding.PEM) for one in found)
    until = min(one.not_valid_after_utc for one in found)
    return Identity(chain, key_pem, until, found[0].subject.rfc4514_string())


def authorities(pem: bytes, where: str) -> bytes:
    """The certificates of those who may sign clients' certificates.

    Raises:
        InputError: there is none.
    """
    from cryptography.hazmat.primitives.serialization import Encoding

    return b"".join(one.public_bytes(Encoding.PEM) for one in _certificates(pem, where))


def _blocks(pem: bytes) -> Sequence[tuple[bytes, bytes]]:
    return [(found[1], found[0]) for found in _BLOCK.finditer(pem)]


def _certificates(pem: bytes, where: str) -> list[Any]:
    from cryptography import x509

    blocks = [block for kind, block in _blocks(pem) if kind in (b"CERTIFICATE", b"X509 CERTIFICATE")]
    if not blocks:
        raise InputError(
            f"{where} holds no certificate", hint="it must hold `-----BEGIN CERTIFICATE-----` (PEM), not DER or PKCS#12"
        )
    try:
        return [x509.load_pem_x509_certificate(block) for block in blocks]
    except ValueError:
        raise InputError(
            f"a certificate in {where} is damaged", hint="fetch it anew from who signed it, in PEM form"
        ) from None


def _key(pem: bytes, where: str) -> tuple[Any, bytes]:
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    blocks = [block for kind, block in _blocks(pem) if kind.endswith(b"PRIVATE KEY")]
    if not blocks:
        raise InputError(
            f"{where} holds no private key",
            hint="it must hold `-----BEGIN PRIVATE KEY-----` (PEM), or name the key's own file",
        )
    try:
        return load_pem_private_key(blocks[0], None), blocks[0] + b"\n"
    except TypeError:
        raise InputError(
            f"the private key in {where} is encrypted",
            hint="`openssl pkey -in FILE -out PLAIN` decrypts it; keep that file to the server's user",
        ) from None
    except Exception:  # ValueError, UnsupportedAlgorithm; none may repeat a part of the key
        raise InputError(f"the private key in {where} is damaged or of a kind that TLS has not", hint="") from None


def _fits(private: Any, certificate: Any) -> bool:
    return bool(private.public_key() == certificate.public_key())
