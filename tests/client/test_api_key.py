"""An endpoint that asks who calls, asked by `skylift predict`."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from skylift.artifacts import access, records
from skylift.client.prediction import API_KEY
from skylift.errors import CredentialsError, InputError
from tests.client.conftest import StackBench


@pytest.fixture
def tokens(bench: StackBench, tmp_path: Path) -> tuple[str, str]:
    """Of a key that may ask everything, and of one for another model. The server is there."""
    document = access.empty()
    may, entry = access.new_key(document, "may")
    may_not, other = access.new_key(document, "other", models=("other",))
    path = tmp_path / "access.json"
    path.write_bytes(records.encode(msgspec.structs.replace(document, keys=(entry, other))))
    bench.deploy(bench.publish_scale(2))
    bench.serve("--access", str(path))
    bench.wait_report(lambda report: report.serving == 1)
    return may, may_not


def test_the_key_of_the_environment_is_sent(
    bench: StackBench, tokens: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(API_KEY, raising=False)
    with pytest.raises(CredentialsError) as unknown:
        bench.stack.predict([1, 2, 3])
    assert API_KEY in unknown.value.hint
    monkeypatch.setenv(API_KEY, tokens[1])
    with pytest.raises(CredentialsError) as other:
        bench.stack.predict([1, 2, 3])
    assert "skylift keys list" in other.value.hint
    assert tokens[1] not in f"{other.value} {other.value.hint}"
    monkeypatch.setenv(API_KEY, f"{tokens[0]}\n")
    assert bench.stack.predict([1, 2, 3])[0].raw == [2.0, 4.0, 6.0]


def test_what_is_no_key_is_not_shown(bench: StackBench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.deploy(bench.publish_scale(2))
    bench.promise("http://127.0.0.1:1")
    monkeypatch.setenv(API_KEY, "secret\nX-Other: 1")
    with pytest.raises(InputError) as wrong:
        bench.stack.predict([1, 2, 3])
    assert "secret" not in f"{wrong.value} {wrong.value.hint}"
