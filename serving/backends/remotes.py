"""Which parts of a chain other servers compute, and how they are asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from serving.backends.part_key import Headers


@dataclass(frozen=True)
class Remotes:
    """
    Args:
        urls: by number of a part, counted from 1, the address of an endpoint that serves it, several with commas between.
        headers: gives what is sent to them beside, such as `Authorization`.
        must_answer: whether each is asked at the load what it takes and gives; else a server that is away is found out by requests.
        timeout_seconds: of a part whose caller has no earlier deadline.
    """

    urls: Mapping[int, str] = field(default_factory=dict)
    headers: Headers | None = None
    must_answer: bool = True
    timeout_seconds: float = 30.0


LOCAL = Remotes()
