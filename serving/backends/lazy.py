"""A model that is loaded when it is first asked."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from serving import log
from serving.backends.base import Array, Backend, RunError
from serving.signature import ModelSignature
from skylift.errors import SkyliftError

AGAIN_SECONDS = 10.0
"""After a load that failed: so long the same answer is given without another try."""


class LazyBackend:
    """Stands for a backend from its known signatures until the first `run`, which loads it.

    The call that loads takes as long as loading does (TensorFlow: some seconds), and those behind it in the same queue wait with it; so
    it wants a queue of its own. A request that gives up meanwhile does not stop the load.
    """

    methods: Mapping[str, str] = {}
    defaults: Mapping[str, Mapping[str, Array]] = {}
    concurrency = 1

    def __init__(
        self,
        name: str,
        platform: str,
        signatures: Mapping[str, ModelSignature],
        load: Callable[[], Backend],
    ) -> None:
        self.name = name
        self.platform = platform
        self.signatures = signatures
        self._load = load
        self._backend: Backend | None = None
        self._failed: tuple[float, str] | None = None

    @property
    def is_loaded(self) -> bool:
        return self._backend is not None

    def run(
        self,
        signature: str,
        inputs: Mapping[str, Array],
        outputs: Sequence[str] = (),
        *,
        deadline: float | None = None,
    ) -> dict[str, Array]:
        backend = self._backend or self._open()
        return backend.run(signature, inputs, outputs, deadline=deadline)

    def close(self) -> None:
        if self._backend is not None:
            self._backend.close()
        self._backend = None

    def _open(self) -> Backend:
        if self._failed is not None and time.monotonic() - self._failed[0] < AGAIN_SECONDS:
            raise self._unavailable(self._failed[1])
        began = time.monotonic()
        try:
            self._backend = self._load()
        except Exception as error:
            message = error.message if isinstance(error, SkyliftError) else f"{type(error).__name__}: {error}"
            self._failed = time.monotonic(), message
            raise self._unavailable(message) from None
        self._failed = None
        log.event(
            "loaded_on_demand",
            backend=self.name,
            signatures=list(self.signatures),
            seconds=round(time.monotonic() - began, 3),
        )
        return self._backend

    def _unavailable(self, message: str) -> RunError:
        return RunError(
            f"signature {', '.join(self.signatures)} cannot be loaded: {message}",
            is_callers_fault=False,
            cause="unavailable",
            retry_after=AGAIN_SECONDS,
        )
