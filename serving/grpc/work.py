"""What a request for a prediction asks to be computed, and what is made of the outputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from serving.backends.base import Array
from serving.interface import Servable


class Work(NamedTuple):
    """
    Args:
        outputs: names of those that are wanted; none means all.
        answer: the message made of the outputs; raises StatusError.
    """

    servable: Servable
    signature: str
    inputs: Mapping[str, Array]
    outputs: Sequence[str]
    answer: Callable[[Mapping[str, Array]], Any]

    async def done(self, deadline: float | None) -> Any:
        """Have it computed and wait for the answer.

        Raises:
            StatusError: as `Servable.predict`.
        """
        return self.answer(await self.servable.predict(self.signature, self.inputs, deadline, self.outputs))
