"""Client certificates: the names in one that TLS has verified, and whom they mean."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from serving.guard.principals import Principal

_KINDS = {"DNS": "DNS", "URI": "URI", "email": "email", "IP Address": "IP"}


@dataclass(frozen=True, slots=True)
class Peer:
    """A verified client certificate.

    Args:
        names: `CN=…` of the subject, then `DNS:…`, `URI:…`, `email:…`, `IP:…`.
    """

    names: tuple[str, ...]


def of_tls(certificate: Mapping[str, Any] | None) -> Peer | None:
    """From `transport.get_extra_info("peercert")` (ssl.SSLSocket.getpeercert); None where the client sent none or nobody verified it."""
    if not certificate:
        return None
    subject = [f"CN={value}" for part in certificate.get("subject", ()) for name, value in part if name == "commonName"]
    others = [f"{_KINDS[kind]}:{name}" for kind, name in certificate.get("subjectAltName", ()) if kind in _KINDS]
    return Peer((*subject, *others))


def of_grpc(auth_context: Mapping[str, Iterable[bytes]]) -> Peer | None:
    """From a gRPC call's `context.auth_context()`."""
    pem = next(iter(auth_context.get("x509_pem_cert", ())), None)
    return None if pem is None else _of_pem(pem)


@lru_cache(maxsize=1024)
def _of_pem(pem: bytes) -> Peer:
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    certificate = x509.load_pem_x509_certificate(pem)
    names = [f"CN={one.value!s}" for one in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    kinds: dict[type, str] = {
        x509.DNSName: "DNS",
        x509.UniformResourceIdentifier: "URI",
        x509.RFC822Name: "email",
        x509.IPAddress: "IP",
    }
    try:
        others = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return Peer(tuple(names))
    return Peer((*names, *(f"{kinds[type(one)]}:{one.value}" for one in others if type(one) in kinds)))


class Known:
    """Certificates that the document names, in its order: the first that fits counts."""

    def __init__(self, entries: Iterable[tuple[Iterable[str], Principal]]) -> None:
        self._entries = [(re.compile("|".join(map(fnmatch.translate, match))), who) for match, who in entries]
        self._found: dict[Peer, Principal | None] = {}

    def find(self, peer: Peer) -> Principal | None:
        if peer not in self._found:
            if len(self._found) >= 1024:
                self._found.clear()
            fitting = (who for pattern, who in self._entries if any(map(pattern.match, peer.names)))
            self._found[peer] = next(fitting, None)
        return self._found[peer]
