"""`python -P -m serving`: opens the port, starts the workers, follows the pointer, reports, drains on SIGTERM."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from serving import log
from serving.arguments import Options, default_replica, own_options, parse
from serving.batching.options import BatchOptions
from serving.contracts.credentials import use_service_credentials
from serving.contracts.last_copy import LastCopy
from serving.contracts.mounted import find_models
from serving.contracts.options import ContractOptions
from serving.contracts.shelf import Shelf
from serving.contracts.surroundings import SERVE
from serving.options import Limits, WorkerOptions
from serving.sources.fetch import Versions
from serving.sources.folders import Source
from serving.supervisor import cpus
from serving.supervisor.answers import Answers, Book
from serving.supervisor.bucket import Bucket
from serving.supervisor.cache import Cache
from serving.supervisor.follower import Follower
from serving.supervisor.library import Library
from serving.supervisor.models_file import ModelsFile
from serving.supervisor.pool import Pool
from serving.supervisor.port import open_port
from serving.supervisor.reporter import Reporter
from serving.supervisor.summary import Summary
from serving.watch.options import Redaction, SampleOptions, WatchOptions
from skylift import __version__
from skylift.artifacts.records import ReplicaReport, ReplicaState, now
from skylift.errors import InputError, SkyliftError
from skylift.store import split_url

REPORT_REMOVAL_SECONDS = 5.0
COUNT_SECONDS = 10.0


def main(arguments: Sequence[str]) -> int:
    """Serve until SIGTERM or SIGINT; the exit code."""
    try:
        options = _options(arguments)
        if options is None:
            return 0
        log.use(options.log_format)
        use_service_credentials()
        loop = asyncio.new_event_loop()
        code = loop.run_until_complete(_serve(options))
    except SkyliftError as error:
        hint = f" ({error.hint})" if error.hint else ""
        sys.stderr.write(f"serving: {error.message}{hint}\n")
        return error.exit_code
    # A thread may be waiting for a bucket that does not answer: an ordinary exit would wait with it.
    sys.stderr.flush()
    os._exit(code)


def script() -> None:
    """The command `skylift-serve`."""
    sys.exit(main(sys.argv[1:]))


def _options(arguments: Sequence[str]) -> Options | None:
    """Ours, or those of TensorFlow Serving's own flags; None where only help was asked for."""
    from serving.flags import ours, reading

    if not reading.is_tensorflow_serving(arguments):
        return parse(arguments, os.environ)
    if arguments[:1] == [SERVE]:
        arguments = arguments[1:]
    from serving.flags import parsing, table

    flags = parsing.parse(arguments, own_options())
    if flags.show:
        sys.stdout.write(table.usage() if flags.show == "help" else f"skylift {__version__}\n")
        return None
    return ours.options_of(flags, os.environ)


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
    _check(options)
    listening = open_port(options.host, options.port)
    grpc = open_port(options.grpc_host or options.host, options.grpc_port) if options.grpc_port is not None else None
    supervisor = Supervisor(options, listening, grpc)
    log.event(
        "listening",
        host=options.host,
        port=listening.getsockname()[1],
        grpc_port=grpc.getsockname()[1] if grpc is not None else None,
        endpoint=supervisor.endpoint,
        pid=os.getpid(),
    )
    for note in options.notes:
        log.event("no_effect", message=note)
    plain = [number for number, urls in options.parts.items() if "http://" in urls]
    if plain:
        log.event("parts_unencrypted", parts=plain, message="tensors, and a key if there is one, travel without TLS")
    return await supervisor.run()


def _check(options: Options) -> None:
    """Find before anything starts what every worker would stumble over.

    Raises:
        InputError: a certificate, a key or an access document that is wrong.
    """
    if options.endpoint_url:
        endpoint_of(options.endpoint_url)
    if options.access:
        from serving.guard import sources

        sources.check(options.access)
    if options.parts:
        from serving.backends import part_key

        part_key.headers_of(str(options.part_key_file or ""))
    if options.tls_cert is not None:
        from serving.guard import tls

        tls.of_files(
            options.tls_cert, options.tls_key, options.tls_client_ca, client_verify=not options.tls_client_optional
        )


def default_cache(keep_url: str) -> Path:
    """One folder per bucket below the user's cache."""
    import platformdirs

    name = hashlib.sha256(keep_url.encode()).hexdigest()[:16]
    return platformdirs.user_cache_path("skylift") / "serving" / name


class Supervisor:
    """The parts of a replica, from its start to its end."""

    def __init__(self, options: Options, listening: socket.socket, grpc: socket.socket | None = None) -> None:
        self._options = options
        self._listening, self._grpc = listening, grpc
        port = listening.getsockname()[1]
        host = f"[{options.host}]" if ":" in options.host else options.host
        self._url = f"{'https' if options.tls_cert else 'http'}://{host}:{port}"
        self._replica = options.replica or default_replica(port)
        self._started = now()
        self._is_draining = False
        keep_url, self.endpoint = endpoint_of(options.endpoint_url) if options.endpoint_url else ("", "")
        book = Book()
        self._pool = Pool(
            options.workers,
            listening,
            _worker_options(options, self.endpoint, self._replica),
            self._changed,
            asked=lambda ask: self._answers.answer(ask),
            snapshot=book.write,
            grpc=grpc,
        )
        self._follower: Follower | None = None
        self._library: Library | None = None
        self._models_file: ModelsFile | None = None
        if self.endpoint:
            cache = Cache(options.cache or default_cache(keep_url), self.endpoint, options.parts)
            self._follower = Follower(
                Bucket(keep_url),
                self.endpoint,
                cache,
                self._pool,
                self._changed,
                replica=self._replica,
                asks_approval=options.approval,
                mounted=_last_copy(options),
            )
        else:
            self._library = _library(options, self._pool, self._changed)
            path, seconds = options.models_poll_path, options.models_poll_seconds
            if options.models_file is not None:
                path, seconds = options.models_file, options.poll_seconds
            if path is not None and seconds:
                self._models_file = ModelsFile(path, seconds, self._library)
        shelf = Shelf(self._library, options.models_folder, options.workers)
        self._answers = Answers(book, self._pool, self._library, shelf)
        work = Bucket(options.work_url) if options.work_url and self._follower is not None else None
        self._reporter = Reporter(work, self._report) if work is not None else None
        self._summary = Summary(self.endpoint, self._replica, self._pool.take_traffic)

    async def run(self) -> int:
        loop = asyncio.get_running_loop()
        asked, hurry = asyncio.Event(), asyncio.Event()

        def stop() -> None:
            (hurry if asked.is_set() else asked).set()

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop)
        loop.add_signal_handler(signal.SIGHUP, self._pool.reopen)
        self._pool.start()
        source = self._follower or self._library
        assert source is not None
        following = asyncio.create_task(source.run())
        rereading = asyncio.create_task(self._models_file.run()) if self._models_file is not None else None
        reporting = asyncio.create_task(self._reporter.run()) if self._reporter else None
        summing = asyncio.create_task(self._summary.run(self._options.summary_seconds))
        counting = asyncio.create_task(self._count())
        stopping = asyncio.create_task(asked.wait())
        done, _ = await asyncio.wait([following, stopping], return_when=asyncio.FIRST_COMPLETED)
        broken = following if following in done else None
        for task in (following, summing, rereading, counting):
            if task is not None:
                task.cancel()
        await self._end(hurry, reporting)
        if broken is not None:
            broken.result()  # it never ends by itself: this raises what went wrong
        return 0

    async def _end(self, hurry: asyncio.Event, reporting: asyncio.Task[None] | None) -> None:
        log.event("draining", seconds=self._options.drain_seconds)
        self._is_draining = True
        self._listening.close()
        if self._grpc is not None:
            self._grpc.close()
        self._changed()
        await self._pool.drain(self._options.drain_seconds, hurry)
        self._summary.write()
        if self._reporter is not None and reporting is not None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._reporter.end(reporting), REPORT_REMOVAL_SECONDS)
        log.event("ended")

    async def _count(self) -> None:
        """Hear from every worker now and then: what one counted since is lost when it is killed."""
        while True:
            await asyncio.sleep(COUNT_SECONDS)
            await self._pool.snapshots()

    def _changed(self) -> None:
        if self._reporter is not None:
            self._reporter.changed()

    def _report(self) -> ReplicaReport:
        follower = self._follower
        assert follower is not None
        return ReplicaReport(
            endpoint=self.endpoint,
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
        assert follower is not None
        if self._is_draining:
            return "draining"
        if follower.is_loading:
            return "loading"
        if follower.serving is not None:
            return "serving"
        if follower.failure is not None:
            return "failed"
        return "empty" if follower.is_ready else "loading"


def _last_copy(options: Options) -> LastCopy | None:
    if options.mounted is None or options.approval:  # nobody's consent to a mounted model can be shown
        return None
    return LastCopy(options.mounted, options.default_model, Versions(options.cache or default_cache("models")))


def _library(options: Options, pool: Pool, changed: Callable[[], None]) -> Library:
    from serving.sources.config import read_models

    configs = read_models(options.models_file).models if options.models_file is not None else options.models
    if not configs and options.mounted is not None:
        configs = find_models(options.mounted)
    root = options.cache or default_cache("models")
    versions = Versions(root)
    return Library(
        configs,
        pool,
        lambda config: Source(config, versions),
        changed,
        poll_seconds=options.poll_seconds,
        mode="resources" if options.spare_memory else "availability",
        max_retries=options.max_retries,
        retry_seconds=options.retry_seconds,
        allow_unavailable_labels=options.allow_unavailable_labels,
    )


def _watch_options(options: Options, endpoint: str, replica: str) -> WatchOptions:
    """
    Raises:
        InputError: names every mistake.
    """
    from serving.watch import checks

    samples = SampleOptions(
        work=options.work_url or "",
        endpoint=endpoint,
        replica=replica,
        rate=options.sample_rate,
        per_minute=options.samples_per_minute,
        redact=checks.read_redaction(options.redact) if options.redact is not None else Redaction(),
    )
    watch = WatchOptions(access_log=options.access_log, access_log_rate=options.access_log_rate, samples=samples)
    checks.check(watch)
    return watch


def _worker_options(options: Options, endpoint: str, replica: str) -> WorkerOptions:
    return WorkerOptions(
        endpoint=endpoint,
        threads=cpus.threads_per_worker(options.threads, options.workers),
        backend=options.backend,
        batching=options.batching
        or BatchOptions(
            max_batch_rows=options.max_batch_rows,
            queue_rows=options.queue_rows,
            max_delay_seconds=options.batch_delay_ms / 1000,
        ),
        contracts=ContractOptions(
            health_route=options.health_route,
            predict_route=options.predict_route,
            default_model=options.default_model,
        ),
        log_format=options.log_format,
        gpu_memory_mib=options.gpu_memory_mib,
        tags=options.tags,
        prefer_tflite=options.prefer_tflite,
        warm_iterations=options.warm_iterations,
        checks_method_names=options.checks_method_names,
        parts=options.parts,
        part_key_file=str(options.part_key_file or ""),
        tensor_content=options.tensor_content,
        per_model_batching=options.per_model_batching,
        metrics_path=options.metrics_path,
        cors=options.cors,
        ssl_config=str(options.ssl_config or ""),
        grpc_socket=options.grpc_socket,
        grpc_streams=options.grpc_streams,
        grpc_message_bytes=options.grpc_message_bytes,
        workers=options.workers,
        access=options.access,
        tls_cert=str(options.tls_cert or ""),
        tls_key=str(options.tls_key or ""),
        tls_client_ca=str(options.tls_client_ca or ""),
        tls_client_optional=options.tls_client_optional,
        watch=_watch_options(options, endpoint, replica),
        request_seconds=options.request_seconds,
        limits=Limits(body_bytes=options.max_body_mib * 1024 * 1024),
    )
