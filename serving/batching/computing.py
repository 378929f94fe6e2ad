"""What is done with a batch: joined, computed, divided. In the batcher's threads."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from serving.backends.base import Array, Backend, RunError
from serving.batching import joining
from serving.batching.counts import Counts
from serving.batching.jobs import Job, LateError, Outcome
from serving.batching.options import BatchOptions

_ALL_ALIKE = ("unavailable", "late")
"""Why a model gave no answer, where no request of the batch is to blame: it would be the same for each alone."""


class Computer:
    """Runs one model. Nothing that a model does gets out of it but as an outcome. Several threads may call it."""

    def __init__(self, backend: Backend, options: BatchOptions, counts: Counts, clock: Callable[[], float]) -> None:
        self._backend = backend
        self._options = options
        self._counts = counts
        self._clock = clock
        self._is_elsewhere = backend.concurrency > 1
        self._alone: set[str] = {name for name, one in backend.signatures.items() if not one.is_batched}

    def can_share(self, job: Job) -> bool:
        """Whether its signature answers row by row, as far as is known."""
        return job.key is not None and job.signature not in self._alone

    def compute(self, batch: list[Job], limit: int, started: float) -> list[Outcome]:
        """One outcome for each job. A single job may have more than `limit` rows: it is computed in parts."""
        first = batch[0]
        first.started = started
        if len(batch) == 1:
            return [self._compute_one(first, limit)]
        rows = sum([job.rows for job in batch])
        try:
            outputs = self._run_joined(batch, rows)
        except RunError as error:
            if error.cause in _ALL_ALIKE:
                return [error] * len(batch)
            outputs = {}
        if outputs:
            return list(joining.split(outputs, batch))
        for job in batch:
            job.started = started
        # One bad request must not fail its neighbours, nor a model that does not answer row by row.
        return [self._compute_one(job, limit) for job in batch]

    def _run_joined(self, batch: list[Job], rows: int) -> dict[str, Array]:
        size = joining.allowed(rows, self._options.allowed_rows)
        try:
            inputs = joining.joined(batch, size, is_ragged=self._options.pad_variable)
        except Exception as error:  # not enough memory, or rows that do not fit together
            raise _broken(error) from error
        outputs = self._run(batch, inputs, rows, size)
        if joining.is_by_row(outputs, size):
            return outputs
        self._alone.add(batch[0].signature)
        return {}

    def _compute_one(self, job: Job, limit: int) -> Outcome:
        if job.is_settled:
            return LateError()  # nobody is told: it has its outcome, or wants none
        try:
            if not self.can_share(job):
                return self._run([job], job.inputs, job.rows, job.rows)
            if job.rows > limit:
                return self._in_parts(job, limit)
            return self._padded(job, job.inputs, job.rows)
        except RunError as error:
            return error
        except Exception as error:  # not enough memory for padding or for the whole of its parts
            return _broken(error)

    def _padded(self, job: Job, inputs: Mapping[str, Array], rows: int) -> dict[str, Array]:
        size = joining.allowed(rows, self._options.allowed_rows)
        if size == rows:
            return self._run([job], inputs, rows, rows)
        outputs = self._run([job], joining.padded(inputs, size), rows, size)
        if joining.is_by_row(outputs, size):
            return {name: value[:rows] for name, value in outputs.items()}
        self._alone.add(job.signature)
        return self._run([job], inputs, rows, rows)

    def _in_parts(self, job: Job, limit: int) -> dict[str, Array]:
        whole, gathered = joining.Whole(job.rows), 0.0
        for start in range(0, job.rows, limit):
            if job.is_settled:
                raise LateError
            rows = min(limit, job.rows - start)
            part = self._padded(job, {name: value[start : start + rows] for name, value in job.inputs.items()}, rows)
            if not joining.is_by_row(part, rows):
                self._alone.add(job.signature)
                return self._run([job], job.inputs, job.rows, job.rows)
            if not whole.put(start, part):
                return self._run([job], job.inputs, job.rows, job.rows)
            gathered = gathered or job.gathered
        job.gathered = gathered
        return whole.outputs

    def _run(self, batch: list[Job], inputs: Mapping[str, Array], rows: int, size: int) -> dict[str, Array]:
        first = batch[0]
        gathered = self._clock()
        try:
            if len(batch) == 1:
                outputs = self._backend.run(first.signature, inputs, first.outputs, deadline=first.deadline)
            else:
                outputs = self._backend.run(first.signature, inputs, _wanted(batch), deadline=self._deadline(batch))
        except RunError:
            raise
        except BaseException as error:  # the thread must outlive whatever a model does
            raise _broken(error) from error
        computed = self._clock()
        started, batch_rows = first.started, max(rows, first.rows)
        for job in batch:
            job.started = started
            job.gathered = gathered
            job.computed = computed
            job.batch_rows = batch_rows
        self._counts.ran(rows, size - rows, computed - gathered)
        return outputs

    def _deadline(self, batch: list[Job]) -> float | None:
        """When nobody waits any more, for whoever waits for others; those whose time is over before are told by the batcher."""
        if not self._is_elsewhere:
            return None
        deadlines = [job.deadline for job in batch if job.deadline is not None]
        return max(deadlines) if len(deadlines) == len(batch) else None


def _wanted(batch: list[Job]) -> Sequence[str]:
    """What one of them wants; empty for all there is."""
    first = batch[0].outputs
    if not first:
        return ()
    names = dict.fromkeys(first)
    for job in batch:
        if not job.outputs:
            return ()
        names.update(dict.fromkeys(job.outputs))
    return list(names)


def _broken(error: BaseException) -> RunError:
    return RunError(f"{type(error).__name__}: {error}", is_callers_fault=False)
