"""The same steps on Apache Beam: the same bytes with several workers, and a whole job request for Dataflow. Slow: Beam's start."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

pytestmark = [
    pytest.mark.slow,
    # Not imported to find out: its protos and those of Pulumi do not live in one process.
    pytest.mark.skipif(
        find_spec("apache_beam") is None, reason="apache_beam is not installed: `uv sync --extra analyse`"
    ),
]

DATAFLOW = [
    "--project=project-1",
    "--region=europe-west4",
    "--temp_location=gs://some-bucket/temp",
    "--sdk_container_image=europe-west4-docker.pkg.dev/project-1/skylift/train@sha256:0",
]


def prepared(source: Path, keep: Path, *options: str) -> dict[str, str]:
    """What `training data add` publishes, by path and content."""
    keep.mkdir()
    program = [sys.executable, "-P", "-m", "training", "data", "add", "--name=points", f"--source={source}", "--json"]
    done = subprocess.run(
        [*program, f"--keep={keep.as_uri()}", *options], capture_output=True, text=True, check=False, timeout=240
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)["dataset"].startswith("points@")
    return {
        path.relative_to(keep).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(keep.rglob("*"))
        if path.is_file()
    }


def test_two_workers_give_the_same_bytes_as_one_process(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    (tmp_path / "in").mkdir()
    for part in range(3):  # each more than a piece takes with another beside it
        x = rng.normal(size=(60_000, 80)).astype(np.float32)
        x[rng.random(len(x)) < 0.01, 3] = np.nan
        columns = {f"c{number}": x[:, number] for number in range(4)} | {"x": np.nan_to_num(x[:, 4:])}
        np.savez(tmp_path / "in" / f"{part}.npz", **columns, y=rng.integers(0, 3, len(x)))
    alone = prepared(tmp_path / "in", tmp_path / "alone")
    shared = prepared(tmp_path / "in", tmp_path / "shared", "--runner=direct", "--workers=2")
    assert alone == shared
    assert len([name for name in alone if "/train/target" in name]) > 1, "several pieces, or nothing was shared out"


def test_the_request_for_dataflow_is_whole_before_it_is_sent() -> None:
    """Made by Beam's own client, without an account: what Google does with it was not tried."""
    from training.data.beam import dataflow_request
    from training.data.chunks import Part, Piece

    pieces = [
        Piece(number, "csv", 1, [Part(f"gs://some-bucket/in/{number}.csv", f"{number}.csv", 0, 1)])
        for number in range(3)
    ]
    job, proto = dataflow_request([*DATAFLOW, "--num_workers=3"], "survey", "gs://some-bucket/work", pieces)
    pools = list(job.environment.worker_pools)
    assert pools[0].num_workers == 3
    assert [each.container_image for each in pools[0].sdk_harness_container_images] == [DATAFLOW[3].partition("=")[2]]
    assert job.environment.temp_storage_prefix.endswith("some-bucket/temp")
    names = {transform.unique_name for transform in proto.components.transforms.values()}
    assert {"items", "share out", "survey"} <= names
    images = [env.payload for env in proto.components.environments.values() if env.urn == "beam:env:docker:v1"]
    assert images and all(DATAFLOW[3].partition("=")[2].encode() in payload for payload in images)


@pytest.mark.parametrize("lacking", range(4))
def test_what_dataflow_lacks_is_named_before_anything_is_asked_of_google(lacking: int) -> None:
    from skylift.errors import InputError
    from training.data.beam import check_dataflow

    options = [option for number, option in enumerate(DATAFLOW) if number != lacking]
    with pytest.raises(InputError, match=DATAFLOW[lacking].partition("=")[0]):
        check_dataflow(options)
    with pytest.raises(InputError, match="temp_location"):  # Beam would make a bucket of its own
        check_dataflow([*DATAFLOW[:2], "--temp_location=gs://b/t", DATAFLOW[3]])


def test_workers_elsewhere_need_places_that_they_reach() -> None:
    from skylift.errors import InputError
    from training.data.beam import Beam

    runner = Beam("flink", 1, [], lambda done, total, text: None)
    with pytest.raises(InputError, match="the source and --work must be in a bucket"):
        runner.check_places("/data/table.csv", None)
    runner.check_places("s3://bucket/table.csv", "s3://bucket/work")
