from pathlib import Path

import pytest

from skylift.engine import doctor, golang
from skylift.errors import MachineError


@pytest.fixture(autouse=True)
def no_credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in (
        "GOOGLE_APPLICATION_CREDENTIALS",
        "AWS_PROFILE",
        "AWS_ACCESS_KEY_ID",
        "AZURE_CLIENT_ID",
        "CLOUDSDK_CONFIG",
    ):
        monkeypatch.delenv(name, raising=False)


def _by_name() -> dict[str, doctor.Check]:
    return {check.name: check for check in doctor.checks()}


def test_everything_is_looked_at_and_each_gap_has_a_fix() -> None:
    found = _by_name()
    assert set(found) >= {"Python", "Pulumi", "Go", "TensorFlow", "ONNX Runtime", "Docker", "Disk", "Keyring"}
    assert set(found) >= {"Google Cloud credentials", "AWS credentials", "Azure credentials"}
    assert all(check.found for check in found.values())
    assert all(check.fix for check in found.values() if check.level != "ok" and check.name != "Go")
    assert found["Python"].level == "ok"


def test_credentials_are_seen_but_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert _by_name()["AWS credentials"].level == "warn"
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "credentials").write_text("[default]\naws_secret_access_key = hush\n")
    monkeypatch.setenv("AZURE_CLIENT_ID", "hush")
    (tmp_path / ".config" / "gcloud").mkdir(parents=True)
    (tmp_path / ".config" / "gcloud" / "application_default_credentials.json").write_text("{hush}")
    found = _by_name()
    for cloud in ("AWS", "Azure", "Google Cloud"):
        assert found[f"{cloud} credentials"].level == "ok"
    assert "hush" not in str(found)


def test_without_pulumi_and_go_the_fix_names_the_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(**_: object) -> None:
        raise MachineError("no Pulumi engine", hint="install Pulumi, or Go")

    monkeypatch.setattr(doctor, "find_pulumi", nothing)
    assert doctor._pulumi().level == ("warn" if golang.program() else "missing")
    monkeypatch.setattr(golang, "program", lambda: None)
    assert (doctor._pulumi().level, doctor._pulumi().fix) == ("missing", "install Pulumi, or Go")
    assert doctor._go().level == "warn"


def test_low_disk_is_warned_of(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(doctor, "LOW_DISK_GIB", 10.0**9)
    check = doctor._disk(tmp_path / "not" / "yet")
    assert check.level == "warn"
    assert "skylift gc" in check.fix
