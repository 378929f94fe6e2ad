"""`python -P -m serving`: opens the port, starts the workers, follows the pointer, reports, drains on SIGTERM."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

from serving import log
from serving.batching.options import BatchOptions
from serving.options import Limits, Options, WorkerOptions, default_replica, parse
from serving.supervisor import cpus
from serving.supervisor.bucket import Bucket
from serving.supervisor.cache import Cache
from serving.supervisor.follower import Follower
from serving.supervisor.pool import Pool
from serving.supervisor.port import address_of, open_port, reserve_port
from serving.supervisor.reporter import Reporter
from serving.supervisor.summary import Summary
from skylift import __version__
from skylift.artifacts.records import ReplicaReport, ReplicaState, now
from skylift.errors import InputError, SkyliftError
from skylift.store import split_url

REPORT_REMOVAL_SECONDS = 5.0


def main(arguments: Sequence[str]) -> int:
    """Serve until SIGTERM or SIGINT; the exit code."""
    try:
        options = parse(arguments)
        loop = asyncio.new_event_loop()
        code = loop.run_until_complete(_serve(options))
    except SkyliftError as error:
        hint = f" ({error.hint})" if error.hint else ""
        sys.stderr.write(f"serving: {error.message}{hint}\n")
        return error.exit_code
    # A thread may be waiting for a bucket that does not answer: an ordinary exit would wait with it.
    sys.stderr.flush()
    os._exit(code)


def endpoint_of(url: str) -> tuple[str, str]:
    """The keep bucket's URL and the endpoint's name.

    Raises:
        InputError: the URL names no endpoint.
    """
    keep_url, key = split_url(url)
    kind, _, name = key.partition("/")
    if kind != "endpoints" or not name or "/" in name:
        raise InputError(f"{url!r} names no endpoint", hint="expected BUCKET/endpoints/NAME")
    return keep_url, name


async def _serve(options: Options) -> int:
    keep_url, endpoint = endpoint_of(options.endpoint_url)
    keep = Bucket(keep_url)
    work = Bucket(options.work_url) if options.work_url else None
    listening = open_port(options.host, options.port)
    port = listening.getsockname()[1]
    grpc = reserve_port(options.host, options.grpc_port) if options.grpc_port is not None else None
    cache = Cache(options.cache or default_cache(keep_url), endpoint)
    worker_options = _worker_options(options, endpoint, address_of(grpc) if grpc is not None else "")
    supervisor = Supervisor(options, worker_options, keep, work, cache, listening, port)
    grpc_port = grpc.getsockname()[1] if grpc is not None else None
    log.event("listening", host=options.host, port=port, grpc_port=grpc_port, endpoint=endpoint, pid=os.getpid())
    return await supervisor.run()


def default_cache(keep_url: str) -> Path:
    """One folder per bucket below the user's cache."""
    import platformdirs

    name = hashlib.sha256(keep_url.encode()).hexdigest()[:16]
    return platformdirs.user_cache_path("skylift") / "serving" / name


class Supervisor:
    """The parts of a replica, from its start to its end."""

    def __init__(
        self,
        options: Options,
        worker_options: WorkerOptions,
        keep: Bucket,
        work: Bucket | None,
        cache: Cache,
        listening: socket.socket,
        port: int,
    ) -> None:
        self._options = options
        endpoint = self._endpoint = worker_options.endpoint
        self._listening = listening
        self._url = f"http://{'[' + options.host + ']' if ':' in options.host else options.host}:{port}"
        self._replica = options.replica or default_replica(port)
        self._started = now()
        self._is_draining = False
        self._pool = Pool(options.workers, listening, worker_options, self._changed)
        self._follower = Follower(
            keep,
            endpoint,
            cache,
            self._pool,
            self._changed,
            replica=self._replica,
            asks_approval=options.approval,
        )
        self._reporter = Reporter(work, self._report) if work is not None else None
        self._summary = Summary(endpoint, self._replica, self._pool.take_traffic)

    async def run(self) -> int:
        loop = asyncio.get_running_loop()
        asked, hurry = asyncio.Event(), asyncio.Event()

        def stop() -> None:
            (hurry if asked.is_set() else asked).set()

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop)
        self._pool.start()
        following = asyncio.create_task(self._follower.run())
        reporting = asyncio.create_task(self._reporter.run()) if self._reporter else None
        summing = asyncio.create_task(self._summary.run(self._options.summary_seconds))
        stopping = asyncio.create_task(asked.wait())
        done, _ = await asyncio.wait([following, stopping], return_when=asyncio.FIRST_COMPLETED)
        broken = following if following in done else None
        following.cancel()
        summing.cancel()
        await self._end(hurry, reporting)
        if broken is not None:
            broken.result()  # it never ends by itself: this raises what went wrong
        return 0

    async def _end(self, hurry: asyncio.Event, reporting: asyncio.Task[None] | None) -> None:
        log.event("draining", seconds=self._options.drain_seconds)
        self._is_draining = True
        self._listening.close()
        self._changed()
        await self._pool.drain(self._options.drain_seconds, hurry)
        self._summary.write()
        if self._reporter is not None and reporting is not None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._reporter.end(reporting), REPORT_REMOVAL_SECONDS)
        log.event("ended")

    def _changed(self) -> None:
        if self._reporter is not None:
            self._reporter.changed()

    def _report(self) -> ReplicaReport:
        follower = self._follower
        return ReplicaReport(
            endpoint=self._endpoint,
            replica=self._replica,
            host=socket.gethostname(),
            pid=os.getpid(),
            url=self._url,
            started=self._started,
            updated=now(),
            state=self._state(),
            serving=follower.serving.number if follower.serving else None,
            model=follower.serving.model if follower.serving else None,
            wanted=follower.wanted,
            failure=follower.failure,
            waiting=follower.waiting,
            canary=follower.canary,
            workers=self._options.workers,
            ready_workers=self._pool.ready_workers,
            backend=follower.backend,
            skylift=__version__,
        )

    def _state(self) -> ReplicaState:
        follower = self._follower
        if self._is_draining:
            return "draining"
        if follower.is_loading:
            return "loading"
        if follower.serving is not None:
            return "serving"
        if follower.failure is not None:
            return "failed"
        return "empty" if follower.is_ready else "loading"


def _worker_options(options: Options, endpoint: str, grpc_address: str) -> WorkerOptions:
    return WorkerOptions(
        endpoint=endpoint,
        threads=cpus.threads_per_worker(options.threads, options.workers),
        backend=options.backend,
        batching=BatchOptions(max_batch_rows=options.max_batch_rows, queue_rows=options.queue_rows),
        grpc_address=grpc_address,
        limits=Limits(body_bytes=options.max_body_mib * 1024 * 1024),
    )
