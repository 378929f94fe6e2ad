"""What waits to be computed, in the order in which it came. The caller holds a lock around every call."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from serving.batching.jobs import Job

LOOK_AHEAD = 256
"""Requests of another key that are passed over at most to fill a batch."""


class Pending:
    """The queue. `rows`, `count` and `size` are of the jobs that still wait.

    A job that goes in any other way than by its turn stays in the deque as a shell until its turn comes, so that going costs nothing.
    """

    def __init__(self) -> None:
        self.rows = 0
        self.count = 0
        self.size = 0
        self._jobs: deque[Job] = deque()

    def add(self, job: Job) -> None:
        job.is_waiting = True
        self._jobs.append(job)
        self.rows += job.rows
        self.count += 1
        self.size += job.size

    def oldest(self) -> Job | None:
        jobs = self._jobs
        while jobs and not jobs[0].is_waiting:
            jobs.popleft()
        return jobs[0] if jobs else None

    def drop(self, job: Job) -> bool:
        """Take a job out of its turn. False if it does not wait."""
        if not job.is_waiting:
            return False
        self._leave(job)
        shells = len(self._jobs) - self.count
        if shells > 64 and shells > self.count:
            self._jobs = deque(one for one in self._jobs if one.is_waiting)
        return True

    def take(self, limit: int, can_share: Callable[[Job], bool]) -> list[Job]:
        """The oldest job, and those after it with the same key as far as they fit into `limit` rows.

        Jobs of other keys keep their place; those of one key are never taken out of order.
        """
        first = self.oldest()
        if first is None:
            return []
        self._jobs.popleft()
        self._leave(first)
        batch = [first]
        if self.count and first.rows < limit and can_share(first):
            self._fill(batch, limit - first.rows)
        return batch

    def expired(self, is_over: Callable[[Job], bool]) -> list[Job]:
        """Take out every job of which `is_over` holds."""
        gone = [job for job in self._jobs if job.is_waiting and is_over(job)]
        for job in gone:
            self.drop(job)
        return gone

    def shed_to(self, rows: int) -> list[Job]:
        """Take out the oldest jobs until no more than `rows` rows wait, but leave one."""
        gone = []
        while self.rows > rows and self.count > 1:
            job = self.oldest()
            assert job is not None
            self._jobs.popleft()
            self._leave(job)
            gone.append(job)
        return gone

    def first_due(self, seconds: float) -> float:
        """When the first of those that wait must be given up: by its own deadline, or after so many seconds."""
        dues = (_due(job, seconds) for job in self._jobs if job.is_waiting)
        return min(dues, default=float("inf"))

    def _fill(self, batch: list[Job], room: int) -> None:
        jobs, key = self._jobs, batch[0].key
        passed: list[Job] = []
        while room and jobs and len(passed) < LOOK_AHEAD:
            job = jobs[0]
            if not job.is_waiting:
                jobs.popleft()
            elif job.key != key:
                passed.append(jobs.popleft())
            elif job.rows > room:
                break
            else:
                jobs.popleft()
                self._leave(job)
                batch.append(job)
                room -= job.rows
        jobs.extendleft(reversed(passed))

    def _leave(self, job: Job) -> None:
        job.is_waiting = False
        self.rows -= job.rows
        self.count -= 1
        self.size -= job.size


def _due(job: Job, seconds: float) -> float:
    latest = job.submitted + seconds
    return latest if job.deadline is None or job.deadline > latest else job.deadline
