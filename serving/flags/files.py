"""The text files that flags name: how to batch, where the metrics are.

Messages: tensorflow_serving/servables/tensorflow/session_bundle_config.proto and config/monitoring_config.proto in
https://github.com/tensorflow/serving.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

from serving.batching.options import BatchOptions
from serving.sources.protofields import Reader
from serving.sources.prototext import Mistakes, parse, read_file

PER_MODEL_FILE = "batching_params.pbtxt"
"""Where a version says how it is to be batched (--enable_per_model_batching_parameters)."""
DEFAULT_BATCH, DEFAULT_BATCHES = 1000, 10
"""What the original takes for `max_batch_size` and `max_enqueued_batches` (shared_batch_scheduler.h)."""
_HINT = "docs/serving-sources.md says what the file may hold"
_BATCHING = {
    "max_batch_size": False,
    "batch_timeout_micros": False,
    "max_enqueued_batches": False,
    "num_batch_threads": False,
    "thread_pool_name": False,
    "allowed_batch_sizes": True,
    "pad_variable_length_inputs": False,
    "enable_large_batch_splitting": False,
    "max_execution_batch_size": False,
}


def read_batching(path: Path) -> tuple[BatchOptions, tuple[str, ...]]:
    """A BatchingParameters file: options, and notes on what of it changes nothing.

    Raises:
        NotFoundError: there is none.
        InputError: names all its mistakes.
    """
    return parse_batching(read_file(path), str(path))


def parse_batching(text: str, where: str) -> tuple[BatchOptions, tuple[str, ...]]:
    """The text of such a file.

    What is asked for holds: batches grow to `max_batch_size`, whatever measured cost says. So many rows may wait as fit into
    `max_enqueued_batches` batches.

    Raises:
        InputError: names all its mistakes.
    """
    mistakes = Mistakes(where, _HINT)
    reader = Reader(parse(text, mistakes), "BatchingParameters", _BATCHING, mistakes)
    largest = _wrapped(reader, "max_batch_size", DEFAULT_BATCH, least=1)
    batch = largest
    if _wrapped_boolean(reader, "enable_large_batch_splitting"):
        batch = _wrapped(reader, "max_execution_batch_size", largest, least=1)
        if batch > largest:
            mistakes.add(
                reader.line_of("max_execution_batch_size"),
                f"max_execution_batch_size {batch} is more than max_batch_size {largest}",
            )
    delay = _wrapped(reader, "batch_timeout_micros", 0, least=0)
    batches = _wrapped(reader, "max_enqueued_batches", DEFAULT_BATCHES, least=1)
    _wrapped(reader, "num_batch_threads", 1, least=1)
    if (name := reader.wrapped("thread_pool_name")) is not None:
        name.text("value")
    sizes = _sizes(reader, batch)
    is_padded = reader.boolean("pad_variable_length_inputs")
    mistakes.check()
    options = BatchOptions(
        max_batch_rows=batch,
        queue_rows=batches * batch,
        max_delay_seconds=delay / 1e6,
        allowed_rows=sizes,
        pad_variable=is_padded,
        tune=not ("max_batch_size" in reader or sizes),
    )
    return options, tuple(_notes(reader))


def _sizes(reader: Reader, batch: int) -> tuple[int, ...]:
    sizes = reader.integers("allowed_batch_sizes", least=1)
    if sizes and any(one >= other for one, other in pairwise(sizes)):
        reader.mistakes.add(reader.line_of("allowed_batch_sizes"), "allowed_batch_sizes must be in increasing order")
    elif sizes and sizes[-1] != batch:
        reader.mistakes.add(
            reader.line_of("allowed_batch_sizes"),
            f"the last of allowed_batch_sizes is {sizes[-1]}, it must equal the largest batch, {batch}",
        )
    return tuple(sizes)


def _notes(reader: Reader) -> list[str]:
    notes = []
    if "num_batch_threads" in reader:
        notes.append(
            "num_batch_threads has no effect: each worker computes one batch of a model at a time; use --workers"
        )
    if "thread_pool_name" in reader:
        notes.append("thread_pool_name has no effect: there is no pool to be named")
    if "max_execution_batch_size" in reader and not _wrapped_boolean(reader, "enable_large_batch_splitting"):
        notes.append("max_execution_batch_size has no effect without enable_large_batch_splitting")
    return notes


def _wrapped(reader: Reader, name: str, default: int, least: int) -> int:
    wrapper = reader.wrapped(name)
    return default if wrapper is None else wrapper.integer("value", least, least)


def _wrapped_boolean(reader: Reader, name: str) -> bool:
    wrapper = reader.wrapped(name)
    return wrapper is not None and wrapper.boolean("value")


def read_monitoring(path: Path) -> tuple[str, tuple[str, ...]]:
    """A MonitoringConfig file: where the metrics are to be (empty: where they always are), and notes.

    Raises:
        NotFoundError: there is none.
        InputError: names all its mistakes.
    """
    mistakes = Mistakes(str(path), _HINT)
    config = Reader(parse(read_file(path), mistakes), "MonitoringConfig", {"prometheus_config": False}, mistakes)
    block = config.block("prometheus_config")
    where, notes = "", []
    if block is not None:
        prometheus = Reader(block, "prometheus_config", {"enable": False, "path": False}, mistakes)
        where = prometheus.text("path")
        if where and not where.startswith("/"):
            mistakes.add(prometheus.line_of("path"), f"path {where!r} must begin with /")
        if not prometheus.boolean("enable"):
            notes.append("metrics stay on: prometheus_config does not turn them off")
    mistakes.check()
    return where, tuple(notes)
