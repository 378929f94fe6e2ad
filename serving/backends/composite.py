"""A version whose signatures are answered by several backends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from serving.backends.base import Array, Backend
from serving.signature import ModelSignature


class CompositeBackend:
    """`first` answers what it can, the others the signatures that it lacks.

    `parts` says who answers what: whoever gives each of them a queue and a thread keeps one from holding up another. `run` goes to the
    right one, too, one call at a time.
    """

    concurrency = 1

    def __init__(self, first: Backend, others: Sequence[Backend]) -> None:
        self.name = first.name
        self.platform = first.platform
        self._all = (first, *others)
        self.parts: Mapping[str, Backend] = {
            signature: backend for backend in reversed(self._all) for signature in backend.signatures
        }
        self.signatures: Mapping[str, ModelSignature] = {
            signature: self.parts[signature].signatures[signature] for signature in sorted(self.parts)
        }
        self.methods: Mapping[str, str] = {
            name: method for backend in reversed(self._all) for name, method in backend.methods.items()
        }
        self.defaults: Mapping[str, Mapping[str, Array]] = {
            name: values for backend in reversed(self._all) for name, values in backend.defaults.items()
        }

    def run(
        self,
        signature: str,
        inputs: Mapping[str, Array],
        outputs: Sequence[str] = (),
        *,
        deadline: float | None = None,
    ) -> dict[str, Array]:
        return self.parts[signature].run(signature, inputs, outputs, deadline=deadline)

    def close(self) -> None:
        for backend in self._all:
            backend.close()
