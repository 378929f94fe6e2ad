"""The built wheel, installed in an environment of its own, makes a project that works in an empty folder."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.slow


def _uv() -> str:
    found = os.environ.get("UV") or shutil.which("uv")
    if found is None:
        pytest.skip("uv is not on PATH; run the tests with `uv run pytest`")
    return found


def _run(*command: str | Path, **more: object) -> str:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False, **more)  # type: ignore[call-overload]
    assert done.returncode == 0, f"{command}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
    printed: str = done.stdout
    return printed


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    _run(_uv(), "build", "--wheel", "--out-dir", folder, ROOT)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of programs of an environment with only the wheel and what it asks for, at the locked versions."""
    folder = tmp_path_factory.mktemp("environment")
    environment = {key: value for key, value in os.environ.items() if key != "VIRTUAL_ENV"}
    _run(_uv(), "venv", "-q", "--python", "3.11", folder / "venv", env=environment)
    extras = f"skylift[train,serve,serve-tensorflow] @ {wheel.as_uri()}"
    constraints = ROOT / "requirements" / "local.txt"
    _run(
        _uv(),
        "pip",
        "install",
        "-q",
        "--compile-bytecode",
        "--python",
        folder / "venv",
        "-c",
        constraints,
        extras,
        env=environment,
    )
    yield folder / "venv" / "bin"
    shutil.rmtree(folder)


def test_wheel_carries_what_a_project_needs(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    wanted = ("Pulumi.yaml", "__main__.py.txt", "stacks/Pulumi.example-local.yaml", "requirements/local.txt")
    wanted += tuple(f"tools/{tool}/{file}" for tool in ("pulumi", "pulumi-python") for file in ("go.mod", "go.sum"))
    assert {f"skylift/_assets/{name}" for name in wanted} <= names
    assert not [name for name in names if "Pulumi.local" in name or name.startswith("tests/")]


def test_empty_folder_becomes_a_project_that_comes_up_and_goes_down(
    installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("VIRTUAL_ENV", "PYTHONPATH", "PULUMI_BACKEND_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PULUMI_HOME", str(tmp_path / "pulumi-home"))
    folder = tmp_path / "mine"
    folder.mkdir()
    # Folders of a user's own with our rooms' names must not stand in front of ours.
    for name in ("training", "serving", "infra"):
        (folder / name).mkdir()
        (folder / name / "__init__.py").write_text("raise RuntimeError('a folder of the user was imported')\n")
    skylift = installed / "skylift"
    written = json.loads(_run(skylift, "init", "--port", "0", "--json", cwd=folder))["written"]
    assert {Path(path).name for path in written} >= {
        "Pulumi.yaml",
        "__main__.py",
        "Pulumi.local.yaml",
        "requirements.txt",
    }
    try:
        up = json.loads(_run(skylift, "up", "--yes", "--json", cwd=folder))
        assert up["outputs"]["endpoints"]["default"]["url"].startswith("http://127.0.0.1:")
        recipes = json.loads(_run(skylift, "recipes", "--json", cwd=folder))
        assert "mnist" in {recipe["name"] for recipe in recipes}
        status = json.loads(_run(skylift, "status", "--json", cwd=folder))
        assert status["drift"] == []
    finally:
        left = json.loads(_run(skylift, "down", "--yes", "--delete-data", "--json", cwd=folder))["left"]
    assert left["clean"]
    assert left["buckets"] == []
