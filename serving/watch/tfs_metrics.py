"""The metrics of TensorFlow Serving by its own names, labels and buckets, so that dashboards made for it go on.

Names and labels: servables/tensorflow/util.cc, saved_model_warmup_util.cc, batching/batching_session.cc of TensorFlow Serving,
cc/saved_model/loader.cc of TensorFlow. Where it has a path for a version, so have we; `runtime` names what computes.
"""

from __future__ import annotations

from serving.watch import histograms
from serving.watch.exposition import Page, labels
from serving.watch.histograms import summed_up
from serving.watch.snapshots import Cell, Snapshot
from serving.watch.status_names import is_grpc, name_of

_SERVING = ":tensorflow:serving:"
_CAMEL = {
    "predict": "Predict",
    "classify": "Classify",
    "regress": "Regress",
    "multi_inference": "MultiInference",
    "infer": "Infer",
    "explain": "Explain",
}
_RUNTIMES = {"tensorflow_savedmodel": "TF1", "onnx_onnxv1": "ONNX", "tensorflow_tflite": "TFLite"}
"""By a version's platform: TensorFlow Serving knows the first."""
POOL = "batch_threads"
"""TensorFlow Serving's default for the thread pool of its batches."""


def render(page: Page, snapshot: Snapshot) -> None:
    _requests(page, snapshot)
    _latencies(page, snapshot)
    _examples(page, snapshot)
    _batching(page, snapshot)
    _loads(page, snapshot)


def _requests(page: Page, snapshot: Snapshot) -> None:
    counts: dict[str, int] = {}
    for cell in snapshot.cells:
        for status, count in cell.statuses.items():
            text = labels(model_name=cell.model, status=name_of(cell.protocol, status))
            counts[text] = counts.get(text, 0) + count
    page.family(f"{_SERVING}request_count", "counter", "The total number of requests.")
    for text, count in counts.items():
        page.sample(text, count)


def _latencies(page: Page, snapshot: Snapshot) -> None:
    runtimes = {(one.model, one.version): one.platform for one in snapshot.gauges.versions}

    def runtime(cell: Cell) -> str:
        platform = runtimes.get((cell.model, cell.version), "")
        return _RUNTIMES.get(platform, platform)

    page.family(f"{_SERVING}request_latency", "histogram", "Wall time of a successful request [us].")
    entered = [(_entrance(cell), cell.latency) for cell in snapshot.cells]
    for text, counts in summed_up(entered).items():
        page.histogram(text, histograms.LATENCY_US, counts)
    page.family(f"{_SERVING}runtime_latency", "histogram", "Wall time of the model's computation [us].")
    ran = [
        (labels(model_name=cell.model, API=_CAMEL[cell.api], runtime=runtime(cell)), cell.runtime)
        for cell in snapshot.cells
    ]
    for text, counts in summed_up(ran).items():
        page.histogram(text, histograms.LATENCY_US, counts)


def _entrance(cell: Cell) -> str:
    """TensorFlow Serving writes `predict` for REST and `Predict` for gRPC."""
    if is_grpc(cell.protocol):
        return labels(model_name=cell.model, API=_CAMEL[cell.api], entrypoint="GRPC")
    return labels(model_name=cell.model, API=cell.api, entrypoint="REST")


def _examples(page: Page, snapshot: Snapshot) -> None:
    whole = summed_up([(labels(model=cell.model), cell.examples) for cell in snapshot.cells])
    page.family(f"{_SERVING}request_example_counts", "histogram", "tf.train.Examples of a request.")
    for text, counts in whole.items():
        page.histogram(text, histograms.EXAMPLES, counts)
    page.family(f"{_SERVING}request_example_count_total", "counter", "The total number of tf.train.Examples.")
    for text, counts in whole.items():
        page.sample(text, int(counts[-1]))


def _batching(page: Page, snapshot: Snapshot) -> None:
    page.family(f"{_SERVING}batching_session:queuing_latency", "histogram", "Time that a request waited [us].")
    page.histogram(labels(thread_pool_name=POOL), histograms.QUEUING_US, snapshot.queuing)
    page.family(f"{_SERVING}batching_session:wrapped_run_count", "counter", "Batches that were computed.")
    page.sample("", sum(histograms.count(one.rows) for one in snapshot.batches))


def _loads(page: Page, snapshot: Snapshot) -> None:
    loads = ":tensorflow:cc:saved_model:"
    page.family(f"{loads}load_attempt_count", "counter", "Loads of a version.")
    for one in snapshot.loads:
        for status, count in (("success", one.succeeded), ("fail", one.failed)):
            if count:
                page.sample(labels(model_path=one.path, status=status), count)
    page.family(f"{loads}load_latency", "counter", "Time of the loads that went well [us].")
    for one in snapshot.loads:
        if one.succeeded:
            page.sample(labels(model_path=one.path), one.load_us)
    page.family(f"{_SERVING}model_warmup_latency", "histogram", "Time of a version's first requests [us].")
    for one in snapshot.loads:
        for status, counts in (("OK", one.warmed), ("INTERNAL", one.not_warmed)):
            if any(counts):
                page.histogram(labels(model_path=one.path, status=status), histograms.LATENCY_US, counts)
