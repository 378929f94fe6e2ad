"""Samples of requests in the work bucket, and what of them is stored."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from serving.watch import sample_buffers, samples
from serving.watch.checks import check, read_redaction
from serving.watch.options import DriftOptions, Redaction, SampleOptions, WatchOptions
from serving.watch.redaction import Redactor
from serving.watch.samples import Sampler
from skylift.artifacts import layout
from skylift.errors import InputError, UnreachableError
from skylift.store import Store, open_store
from tests.serving.watch.watched import call, refused

X = np.arange(6, dtype=np.float32).reshape(2, 3)


def asked(**fields: Any) -> Any:
    return call(**{"inputs": {"x": X}, "outputs": {"y": X * 2}, "rows": 2, **fields})


class Counts(dict[str, int]):
    def __call__(self, outcome: str, number: int) -> None:
        self[outcome] = self.get(outcome, 0) + number


class Kept:
    """A work bucket in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store: Store = open_store(folder.as_uri())
        self.counts = Counts()

    def sampler(self, create: Callable[[str, bytes], object] | None = None, **options: Any) -> Sampler:
        usual = {"endpoint": "default", "replica": "host-1", "rate": 1.0, "per_minute": 1000}
        made = SampleOptions(**{**usual, **options})
        return Sampler(made, create or self.store.create, self.counts, key=b"k" * 32, worker=2)

    def lines(self) -> list[dict[str, Any]]:
        paths = sorted(self.folder.glob("samples/default/*/*.jsonl"))
        return [json.loads(line) for path in paths for line in path.read_text().splitlines()]


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    return Kept(tmp_path)


class TestSampler:
    def test_a_request_as_a_line(self, kept: Kept) -> None:
        sampler = kept.sampler()
        sampler.observe(asked(deployment=7, principal="somebody", client="10.0.0.7"))
        sampler.close()
        (line,) = kept.lines()
        assert line.pop("at").startswith(f"{datetime.now(UTC).year}-")
        assert line == {
            "schema": 1,
            "request_id": "id-1",
            "protocol": "tfs-rest",
            "api": "predict",
            "model": "m",
            "version": 3,
            "deployment": 7,
            "canary": False,
            "signature": "serving_default",
            "rows": 2,
            "ms": 2.25,
            "inputs": {"x": {"dtype": "float32", "shape": [2, 3], "data": [0, 1, 2, 3, 4, 5]}},
            "outputs": {"y": {"dtype": "float32", "shape": [2, 3], "data": [0, 2, 4, 6, 8, 10]}},
        }
        assert kept.counts == {"stored": 1}

    def test_the_key_names_endpoint_day_replica_and_worker(self, kept: Kept) -> None:
        for _ in range(2):  # a worker and the one that comes in its place
            sampler = kept.sampler()
            sampler.observe(asked())
            sampler.close()
        day = datetime.now(UTC).date()
        keys = sorted(found.key for found in kept.store.list(layout.samples("default")))
        assert len(keys) == 2
        assert keys[0].startswith(layout.sample_chunk("default", day, "host-1", 2, 0)[: -len("00000000.jsonl")])

    def test_a_share_of_what_was_answered_well(self, kept: Kept) -> None:
        sampler = kept.sampler(rate=0.1, per_minute=100_000)
        for _ in range(2000):
            sampler.observe(asked())
        sampler.observe(refused(inputs={"x": X}))
        sampler.observe(asked(status=500))
        sampler.close()
        assert 120 < len(kept.lines()) < 300
        assert {line["rows"] for line in kept.lines()} == {2}

    def test_tensors_are_copied_before_their_buffer_is_used_again(self, kept: Kept) -> None:
        buffer = np.ones((2, 3), np.float32)
        sampler = kept.sampler()
        sampler.observe(asked(inputs={"x": buffer}))
        buffer[:] = 99.0
        sampler.close()
        assert kept.lines()[0]["inputs"]["x"]["data"] == [1.0] * 6

    def test_only_the_first_rows(self, kept: Kept) -> None:
        sampler = kept.sampler(rows=3)
        sampler.observe(
            asked(inputs={"x": np.zeros((100, 2)), "k": np.int64(5)}, outputs={"y": np.zeros(100)}, rows=100)
        )
        sampler.close()
        (line,) = kept.lines()
        assert line["inputs"]["x"]["shape"] == [3, 2]
        assert line["inputs"]["k"] == {"dtype": "int64", "shape": [], "data": [5]}
        assert line["rows"] == 100

    def test_so_many_a_minute(self, kept: Kept) -> None:
        sampler = kept.sampler(per_minute=10)
        for _ in range(50):
            sampler.observe(asked())
        sampler.close()
        assert kept.counts == {"over_limit": 45, "stored": 5}

    def test_so_many_bytes_a_minute(self, kept: Kept) -> None:
        image = np.zeros((1, 64, 64), np.float32)
        sampler = kept.sampler(bytes_per_minute=100_000)
        for _ in range(50):
            sampler.observe(asked(inputs={"x": image}, outputs={"y": np.zeros(1)}, rows=1))
        sampler.close()
        assert kept.counts == {"over_limit": 47, "stored": 3}
        assert base64.b64decode(kept.lines()[0]["inputs"]["x"]["b64"]) == image.tobytes()

    def test_a_bucket_out_of_reach_costs_samples_only(
        self, kept: Kept, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr(samples, "WAITING_BYTES", 50_000)
        monkeypatch.setattr(sample_buffers, "WAITING_BYTES", 50_000)

        def create(key: str, raw: bytes) -> None:
            raise UnreachableError("the bucket cannot be reached", hint="look at the network")

        sampler = kept.sampler(create)
        for _ in range(1000):
            sampler.observe(asked())
        sampler.close()
        assert kept.counts["dropped"] >= 500
        assert kept.counts["dropped"] + kept.counts["over_limit"] == 1000
        events = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
        assert [event["event"] for event in events] == ["samples_not_written"]

    @pytest.mark.parametrize(
        "odd",
        [
            np.array([np.nan, np.inf, -np.inf]),
            np.empty((0, 3), np.float32),
            np.array([b"\xff\xfe", "ü\ud800", None, 3], dtype=object),
            np.array([1 + 2j]),
            np.array([True, False]),
            np.array([2**63], np.uint64),
            np.array(["a"], "U1"),
            np.float16(1.5),
        ],
    )
    def test_odd_tensors(self, kept: Kept, odd: Any) -> None:
        sampler = kept.sampler(redact=Redaction(keep=["x"]))
        sampler.observe(asked(inputs={"x": odd}, outputs={"y": odd}))
        sampler.observe(asked())
        sampler.close()
        assert len(kept.lines()) == 2

    def test_options_out_of_range_are_named_together(self) -> None:
        with pytest.raises(InputError, match=r"rate 2\.0 .*per_minute 0"):
            Sampler(SampleOptions(rate=2.0, per_minute=0), lambda *_: None, Counts())


TEXTS = np.array([b"alice@example.org", b"call 555-1234 now"], dtype=object)


def stored(rules: Redaction, key: bytes = b"k" * 32, **tensors: Any) -> dict[str, Any]:
    made: dict[str, Any] = json.loads(json.dumps(Redactor(rules, key).of(tensors)))
    return made


class TestRedaction:
    def test_texts_are_private_by_default(self) -> None:
        made = stored(Redaction(), x=TEXTS, z=X)
        assert "alice" not in str(made)
        assert [text["length"] for text in made["x"]["data"]] == [17, 17]
        assert made["z"]["data"] == [0, 1, 2, 3, 4, 5]

    def test_equal_texts_have_equal_hashes_under_one_key_only(self) -> None:
        one, two, other = (stored(Redaction(), key, x=TEXTS) for key in (b"a" * 32, b"a" * 32, b"b" * 32))
        assert one == two
        assert one != other
        assert stored(Redaction(), b"", x=TEXTS) != stored(Redaction(), b"", x=TEXTS)

    def test_what_is_kept_loses_what_a_pattern_matches(self) -> None:
        rules = Redaction(keep=["x"], patterns=[r"\S+@\S+", r"\d{3}-\d{4}"])
        assert stored(rules, x=TEXTS, y=TEXTS)["x"]["data"] == ["[removed]", "call [removed] now"]
        assert "alice" not in str(stored(rules, x=TEXTS, y=TEXTS)["y"])

    def test_long_texts_are_cut(self) -> None:
        made = stored(Redaction(keep=["x"]), x=np.array([b"a" * 5000], dtype=object))
        assert made["x"]["data"] == ["a" * 1024]

    def test_names_that_are_left_out(self) -> None:
        made = stored(Redaction(inputs=["x", "y"]), x=X, y=TEXTS)
        assert made["x"] == {"dtype": "float32", "shape": [2, 3], "removed": True}
        assert made["y"] == {"dtype": "string", "shape": [2], "removed": True}

    def test_numbers_that_are_hashed_row_by_row(self) -> None:
        made = stored(Redaction(hash=["x"]), x=np.array([[1.0, 2.0], [1.0, 2.0], [3.0, 4.0]]))
        one, two, three = made["x"]["hashes"]
        assert one == two != three
        assert "data" not in made["x"]

    def test_every_mistake_is_named(self) -> None:
        with pytest.raises(InputError) as caught:
            Redactor(Redaction(patterns=["(", "ok", "["], inputs=["x"], keep=["x"], hash=["x"]))
        assert caught.value.message.count("no regular expression") == 2
        assert "'x'" in caught.value.message

    def test_rules_from_a_file(self, tmp_path: Path) -> None:
        path = tmp_path / "redact.yaml"
        path.write_text("redact:\n  inputs: [ssn]\n  keep: [comment]\n  patterns: ['[^ ]+@[^ ]+']\n")
        rules = Redaction(inputs=["ssn"], keep=["comment"], patterns=["[^ ]+@[^ ]+"])
        assert read_redaction(path) == rules
        path.write_text('{"inputs": ["ssn"]}')
        assert read_redaction(path) == Redaction(inputs=["ssn"])
        path.write_text("")
        assert read_redaction(path) == Redaction()

    @pytest.mark.parametrize(
        ("text", "says"),
        [
            ("redact: {input: [x]}", "input"),
            ("redact: [x]", "array"),
            ("redact: {patterns: ['('], keep: [x]}", "no regular expression"),
            ("redact: {patterns: [x]}", "redact.keep"),
            ("{", "redact.yaml"),
        ],
    )
    def test_mistakes_of_a_file(self, tmp_path: Path, text: str, says: str) -> None:
        path = tmp_path / "redact.yaml"
        path.write_text(text)
        with pytest.raises(InputError, match=says):
            read_redaction(path)


def test_all_options_are_checked_at_once(tmp_path: Path) -> None:
    check(WatchOptions())
    wrong = WatchOptions(
        versions=0,
        access_log=str(tmp_path / "none" / "access.log"),
        access_log_rate=3.0,
        samples=SampleOptions(rate=-1.0, redact=Redaction(patterns=["("])),
        drift=DriftOptions(windows=(10,), per_second=0.0),
    )
    with pytest.raises(InputError) as caught:
        check(wrong)
    for said in ("versions 0", "no folder", "rate 3.0", "rate -1.0", "'('", "window of 10 rows", "per_second"):
        assert said in caught.value.message
