"""Client certificates: the names in one that TLS has verified, and whom they mean."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
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
