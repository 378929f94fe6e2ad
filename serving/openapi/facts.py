"""What the description of a server is made from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from serving.interface import PREDICT
from serving.signature import DEFAULT_SIGNATURE, ModelSignature
from skylift.artifacts.records import TaskInfo


@dataclass(frozen=True)
class ServedVersion:
    """A version that answers.

    Args:
        labels: other names of it, of TensorFlow Serving's kind.
        is_default: whether it answers where no version is named.
        methods: what signatures were exported for, where that is not PREDICT.
        samples: rows as a request gives them, for examples; the first few are enough.
    """

    name: str
    version: int
    signatures: Mapping[str, ModelSignature]
    task: TaskInfo = field(default_factory=TaskInfo)
    labels: Sequence[str] = ()
    is_default: bool = True
    methods: Mapping[str, str] = field(default_factory=dict)
    samples: Sequence[Any] = ()

    def method(self, signature: str) -> str:
        return self.methods.get(signature, PREDICT)

    @property
    def main_signature(self) -> str | None:
        """The one that is meant where none is named; Open Inference Protocol knows only this."""
        if DEFAULT_SIGNATURE in self.signatures:
            return DEFAULT_SIGNATURE
        return next(iter(self.signatures)) if len(self.signatures) == 1 else None


@dataclass(frozen=True)
class Contract:
    """A route that a cloud's service asks for.

    Args:
        model: whose predictions; empty for a health route.
        service: the service's name, for people.
    """

    path: str
    service: str
    api: Literal["predict", "health"]
    model: str = ""


@dataclass(frozen=True)
class ServerFacts:
    """Everything that the document says.

    Args:
        is_guarded: whether a key or token must be sent; health routes stay open.
        can_manage: whether models are loaded and unloaded by request.
    """

    versions: Sequence[ServedVersion]
    server_version: str
    has_tfs: bool = True
    has_v2: bool = True
    has_metrics: bool = True
    is_guarded: bool = False
    can_manage: bool = True
    contracts: Sequence[Contract] = ()
