"""Talking with the training program while a study goes on: it suggests settings and says which trials are behind."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from typing import Any

import msgspec

from skylift.artifacts.studies import Direction, Study, Trial, TrialState
from skylift.errors import MachineError
from skylift.launch.asking import told_error

_COMMAND = (sys.executable, "-P", "-m", "training", "tune", "suggest")


class Suggester:
    """`python -P -m training tune suggest`, which ends with us. Optuna is imported there and nowhere here.

    Raises:
        MachineError: it ended without a word.
    """

    def __init__(self) -> None:
        self._said = tempfile.TemporaryFile()  # noqa: SIM115  closed with the program
        # Ctrl-C is ours to hear: what runs then is cancelled and remembered with the program's help.
        self._program = subprocess.Popen(
            _COMMAND,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            text=True,
            start_new_session=True,
        )

    def close(self) -> None:
        self._program.kill()
        self._program.communicate()
        self._said.close()

    def open(self, study: Study, ended: Sequence[Trial]) -> Direction:
        """Begin with what is known; whether the metric should grow or fall."""
        answer = self._ask(
            do="open",
            metric=study.metric,
            seed=study.base.seed,
            trials=study.trials,
            parallel=study.parallel,
            epochs=study.epochs,
            space=study.space,
            ended=list(ended),
        )
        direction: Direction = answer["direction"]
        return direction

    def ask(self, number: int) -> dict[str, Any] | None:
        """What trial `number` should try; None where every setting of the space has been tried."""
        values: dict[str, Any] | None = self._ask(do="ask", number=number)["values"]
        return values

    def take(self, number: int, values: dict[str, Any]) -> None:
        """Trial `number` tries these values, whatever would have been suggested."""
        self._ask(do="take", number=number, values=values)

    def report(self, number: int, epoch: int, value: float) -> bool:
        """What a trial is worth after an epoch; whether it should stop."""
        return bool(self._ask(do="report", number=number, epoch=epoch, value=value)["prune"])

    def tell(self, number: int, state: TrialState, value: float | None) -> None:
        """How a trial ended."""
        self._ask(do="tell", number=number, state=state, value=value)

    def _ask(self, **said: Any) -> Any:
        assert self._program.stdin is not None and self._program.stdout is not None
        try:
            self._program.stdin.write(msgspec.json.encode(said).decode() + "\n")
            self._program.stdin.flush()
            answer = json.loads(self._program.stdout.readline())
        except (OSError, ValueError):
            raise self._silent() from None
        error = told_error(answer)
        if error is not None:
            raise error
        return answer

    def _silent(self) -> MachineError:
        self._program.kill()
        self._program.wait()
        self._said.seek(0)
        last = (self._said.read().decode(errors="replace").strip() or "it said nothing").splitlines()[-1]
        return MachineError(
            f"the training program cannot suggest what to try: {last}",
            hint="`pip install 'skylift[train]'` brings what it needs; `skylift doctor` shows what this machine lacks",
        )
