"""The same steps on Apache Beam, for sets that one machine would take too long over. Beam is imported when it is used.

Each step is one pipeline: the items are shared out to workers, and each does what this process would have done. What steps leave for
each other goes through the work folder, so the bytes are the same, and memory is that of one piece on every worker.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

import msgspec

from skylift.errors import InputError, MachineError
from training.data import steps
from training.data.runners import TEXTS, Tell

LOCAL = "direct"
SUPPORTED = (LOCAL, "dataflow")
_BUCKET = re.compile(r"gs://[a-z0-9][a-z0-9._-]+[a-z0-9]/.+")
"""Where this does not hold, Beam makes a bucket of its own without a word."""
_NAMES = {"dataflow": "DataflowRunner", "flink": "FlinkRunner", "spark": "SparkRunner", "prism": "PrismRunner"}


class Beam:
    """A runner of Beam's.

    Args:
        name: `direct` (processes of this machine), `dataflow`, or any other that Beam knows, which is handed on untried.
        workers: processes of the direct runner.
        options: Beam's own, such as `--project=P --region=R --temp_location=gs://…`.

    Raises:
        MachineError: Beam is not installed.
        InputError: Dataflow lacks something that it must be told.
    """

    def __init__(self, name: str, workers: int, options: Sequence[str], tell: Tell) -> None:
        _module("apache_beam")
        self._name = name.lower()
        self._workers = workers
        self._options = list(options)
        self._tell = tell
        if self._name == "dataflow":
            check_dataflow(self._options)

    def check_places(self, source: str, work: str | None) -> None:
        """Refuse places that remote workers cannot reach.

        Raises:
            InputError: the source or the work folder is on this machine alone.
        """
        if self._name == LOCAL:
            return
        far = [
            text
            for text, place in (("the source", source), ("--work", work or ""))
            if urlsplit(place).scheme not in ("gs", "s3", "az")
        ]
        if far:
            raise InputError(
                f"{' and '.join(far)} must be in a bucket for runner {self._name!r}: its workers are other machines",
                hint="give s3://, gs:// or az:// URLs for the source and for --work",
            )

    def each(self, step: str, url: str, items: Sequence[msgspec.Struct]) -> None:
        """Do a step for every item on the workers; their first error ends it."""
        self._tell(0, len(items), TEXTS[step])
        pipeline = build(self._runner(), self._pipeline_options(step), step, url, items)
        try:
            result = pipeline.run()
            result.wait_until_finish()
        except Exception as error:
            raise MachineError(
                f"Beam's runner {self._name!r} failed at {step}: {str(error).splitlines()[0] if str(error) else type(error).__name__}",
                hint="--debug shows all of it; without --runner the same steps run in one process",
            ) from error
        self._tell(len(items), len(items), TEXTS[step])

    def _runner(self) -> Any:
        if self._name != LOCAL:
            return _NAMES.get(self._name, self._name)
        local = _module("apache_beam.runners.portability.fn_api_runner.fn_runner")
        return local.FnApiRunner()  # "DirectRunner" may fetch another program over the network

    def _pipeline_options(self, step: str) -> list[str]:
        if self._name == LOCAL:
            mode = "multi_processing" if self._workers > 1 else "in_memory"
            return [f"--direct_running_mode={mode}", f"--direct_num_workers={self._workers}", *self._options]
        return [f"--runner={_NAMES.get(self._name, self._name)}", *_job_name(self._options, step), *self._options]


def build(runner: Any, options: Sequence[str], step: str, url: str, items: Sequence[msgspec.Struct]) -> Any:
    """The pipeline of one step."""
    beam = _module("apache_beam")
    from apache_beam.options.pipeline_options import PipelineOptions

    encoded = [msgspec.msgpack.encode(item) for item in items]
    pipeline = beam.Pipeline(runner=runner, options=PipelineOptions(list(options)))
    shared = pipeline | "items" >> beam.Create(encoded) | "share out" >> beam.Reshuffle()
    _ = shared | step >> beam.Map(_do, step, url)
    return pipeline


def _do(item: bytes, step: str, url: str) -> None:
    steps.run(step, url, item)


def check_dataflow(options: Sequence[str]) -> None:
    """What Dataflow must be told, all of it at once.

    Raises:
        InputError: something is missing or is no URL of the kind.
    """
    from apache_beam.options.pipeline_options import GoogleCloudOptions, PipelineOptions, WorkerOptions

    known = PipelineOptions(list(options))
    cloud, workers = known.view_as(GoogleCloudOptions), known.view_as(WorkerOptions)
    wrong = [
        text
        for text, fine in (
            ("--project=PROJECT", cloud.project),
            ("--region=REGION", cloud.region),
            ("--temp_location=gs://BUCKET/FOLDER", _BUCKET.fullmatch(cloud.temp_location or "")),
            ("--sdk_container_image=IMAGE (the training image, which holds skylift)", workers.sdk_container_image),
        )
        if not fine
    ]
    if wrong:
        raise InputError(
            f"Dataflow needs {', '.join(wrong)}", hint=" ".join(f"--beam={text.split(' ')[0]}" for text in wrong)
        )


def _job_name(options: Sequence[str], step: str) -> list[str]:
    """A name for each step's own job: two at work may not have the same."""
    from apache_beam.options.pipeline_options import GoogleCloudOptions, PipelineOptions

    given = PipelineOptions(list(options)).view_as(GoogleCloudOptions).job_name
    return [] if given else [f"--job_name=skylift-data-{step}"]


def dataflow_request(options: Sequence[str], step: str, url: str, items: Sequence[msgspec.Struct]) -> tuple[Any, Any]:
    """The job request that Dataflow would get, and the pipeline inside it, both as Beam's messages. Nothing is sent."""
    from apache_beam.options.pipeline_options import PipelineOptions

    apiclient = _module("apache_beam.runners.dataflow.internal.apiclient")

    check_dataflow(options)
    asked = [*_job_name(options, step), *options, "--dry_run=True", "--no_auth"]
    runner = _module("apache_beam.runners.dataflow.dataflow_runner").DataflowRunner()
    result = build(runner, asked, step, url, items).run()
    proto = runner.proto_pipeline
    environment = apiclient.Environment(
        proto_pipeline_staged_url="",
        packages=[],
        options=PipelineOptions(asked),
        environment_version="2.0",
        proto_pipeline=proto,
    )
    job = result.job.proto
    job.environment = environment.proto
    return job, proto


def _module(name: str) -> Any:
    """A module of Beam's, most of which have no types.

    Raises:
        MachineError: Beam is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError:
        raise MachineError(
            "Apache Beam is not installed, which --runner needs", hint="pip install 'skylift[analyse]'"
        ) from None
