import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from skylift.engine import find, golang, official
from skylift.engine.progress import BuildProgress
from skylift.errors import MachineError, UnreachableError

Install = Callable[..., Path]


@pytest.fixture(autouse=True)
def bare_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No engine, no Go, nothing reachable, an empty cache."""
    monkeypatch.setattr(find, "cache_folder", lambda: tmp_path / "cache" / "pulumi")
    monkeypatch.setenv("PULUMI_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin") + os.pathsep + "/usr/bin" + os.pathsep + "/bin")
    monkeypatch.setattr(golang, "program", lambda: None)
    (tmp_path / "bin").mkdir()

    def unreachable() -> None:
        raise UnreachableError("the official installation cannot be reached")

    monkeypatch.setattr(official, "require_reachable", unreachable)


@pytest.fixture
def install(tmp_path: Path) -> Install:
    """Put an engine of a version, with or without its parts, into a folder."""

    def inner(version: str = "v3.210.0", parts: tuple[str, ...] = find.PARTS, folder: Path = tmp_path / "bin") -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        for part in parts:
            (folder / part).write_text(f"#!/bin/sh\necho asked >> {tmp_path}/asked\necho {version}\n")
            (folder / part).chmod(0o755)
        return folder / "pulumi"

    return inner


def test_the_one_on_path_is_taken(install: Install) -> None:
    path = install()
    tool = find.find_pulumi(build=False)
    assert (tool.path, tool.version, tool.source, tool.path_entries) == (path, "3.210.0", "PATH", (path.parent,))


def test_its_version_is_asked_once_until_the_file_changes(install: Install, tmp_path: Path) -> None:
    install()
    for _ in range(3):
        find.find_pulumi(build=False)
    assert (tmp_path / "asked").read_text().count("asked") == 1
    install("v3.2110.0")
    assert find.find_pulumi(build=False).version == "3.2110.0"


@pytest.mark.parametrize(
    ("version", "parts", "why"),
    [
        ("v3.199.9", find.PARTS, "is 3.199.9, older than 3.200.0"),
        ("v3.210.0", ("pulumi",), "lacks pulumi-language-python"),
        ("", find.PARTS, "does not tell its version"),
    ],
)
def test_one_that_does_not_do_is_named_with_the_reason(
    install: Install, version: str, parts: tuple[str, ...], why: str
) -> None:
    install(version, parts)
    with pytest.raises(MachineError) as caught:
        find.find_pulumi()
    assert why in caught.value.message


def test_without_any_way_one_error_names_all_of_them() -> None:
    with pytest.raises(MachineError) as caught:
        find.find_pulumi()
    for reason in ("none on PATH", "cannot be reached", "no Go"):
        assert reason in caught.value.message
    for way in ("PATH", "get.pulumi.com", "Go 1.24", "apt install golang"):
        assert way in caught.value.hint


def test_a_whole_one_in_the_cache_needs_no_process(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    install(folder=find.built_folder())

    def started(*_: object, **__: object) -> None:
        raise AssertionError("started a process")

    monkeypatch.setattr(subprocess, "Popen", started)
    begun = time.perf_counter()
    tool = find.find_pulumi()
    assert time.perf_counter() - begun < 0.05
    assert (tool.source, tool.version) == ("built", find.pinned_version())


def test_half_of_one_in_the_cache_counts_for_nothing(install: Install) -> None:
    install(parts=find.PARTS[:2], folder=find.built_folder())
    with pytest.raises(MachineError):
        find.find_pulumi(build=False)


def test_the_official_one_in_the_cache_is_found(install: Install) -> None:
    install(folder=find.cache_folder() / f"official-3.272.0-{sys.platform}-{os.uname().machine}" / "bin")
    assert find.find_pulumi().source == "official"


def test_the_official_installation_is_made_where_it_can_be_reached(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(official, "require_reachable", lambda: None)
    monkeypatch.setattr(official, "install", lambda folder, _: install(folder=folder / "bin"))
    tool = find.find_pulumi()
    assert (tool.source, tool.version) == ("official", official.version())
    assert tool.path.is_file()


def test_a_build_that_fails_leaves_nothing_and_gives_gos_reason(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    go.write_text("#!/bin/sh\necho 'go: module lookup refused' >&2\nexit 1\n")
    go.chmod(0o755)
    monkeypatch.setattr(golang, "program", lambda: go)
    monkeypatch.setattr(golang, "NEEDED_BYTES", 0)
    with pytest.raises(MachineError, match="module lookup refused"):
        find.find_pulumi()
    assert [path.suffix for path in find.cache_folder().iterdir()] == [".lock"]


def test_too_little_disk_is_said_before_the_build(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    go = tmp_path / "go"
    go.write_text("#!/bin/sh\necho /nowhere; echo /nowhere\n")
    go.chmod(0o755)
    monkeypatch.setattr(golang, "program", lambda: go)
    monkeypatch.setattr(golang, "NEEDED_BYTES", 2**62)
    with pytest.raises(MachineError, match="GiB of disk"):
        find.find_pulumi()


_MAKER = """
import sys, time
from pathlib import Path
from skylift.engine.find import make_once
target, log = Path(sys.argv[1]), Path(sys.argv[2])
said = []
def make(fresh):
    with log.open("a") as file: file.write("made\\n")
    (fresh / "first").write_text("x")
    deadline = time.monotonic() + 20
    while not Path(sys.argv[3]).exists() and time.monotonic() < deadline: time.sleep(0.01)
    (fresh / "second").write_text("x")
print("begun", flush=True)
make_once(target, make, lambda folder: (folder / "second").is_file(), lambda p: print(p.stage, flush=True))
print("whole" if (target / "first").is_file() and (target / "second").is_file() else "broken", flush=True)
"""


def _maker(target: Path, log: Path, go_on: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", _MAKER, str(target), str(log), str(go_on)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def _line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_two_builds_at_once_make_one_and_both_use_it(tmp_path: Path) -> None:
    target, log, go_on = tmp_path / "engine", tmp_path / "log", tmp_path / "go-on"
    first = _maker(target, log, go_on)
    assert _line(first) == "begun"
    _until(log.exists)
    second = _maker(target, log, go_on)
    assert _line(second) == "begun"
    assert _line(second).startswith("waiting for another process")
    assert not target.exists()
    go_on.touch()
    assert (_line(first), _line(second)) == ("whole", "whole")
    assert log.read_text() == "made\n"
    assert (first.communicate()[0], second.communicate()[0]) == ("", "")
    assert not list(tmp_path.glob("engine.part-*"))


def test_a_build_that_was_killed_is_cleared_away_by_the_next(tmp_path: Path) -> None:
    target, log, go_on = tmp_path / "engine", tmp_path / "log", tmp_path / "go-on"
    first = _maker(target, log, go_on)
    _until(log.exists)
    first.kill()
    first.communicate()
    assert not target.exists()
    assert list(tmp_path.glob("engine.part-*"))
    go_on.touch()
    second = _maker(target, log, go_on)
    assert second.communicate()[0].split() == ["begun", "whole"]
    assert not list(tmp_path.glob("engine.part-*"))


def test_progress_of_a_build_has_an_estimate(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A `go` that compiles 60 of 80 packages, in the words of the real one."""
    go = tmp_path / "go"
    sdk = tmp_path / "sdk"
    for script in golang.SCRIPTS:
        (sdk / script).parent.mkdir(parents=True, exist_ok=True)
        (sdk / script).write_text("#!/bin/sh\n")
    go.write_text(
        "#!/bin/sh\n"
        f"case \"$1\" in\nmod) echo '{json.dumps({'Dir': str(sdk)})}';;\n"
        "list) seq 80;;\n"
        'build) for i in $(seq 60); do echo "package/$i" >&2; done; : > "$5";;\nesac\n'
    )
    go.chmod(0o755)
    monkeypatch.setattr(golang, "program", lambda: go)
    monkeypatch.setattr(golang, "NEEDED_BYTES", 0)
    shown: list[BuildProgress] = []
    tool = find.find_pulumi(progress=shown.append)
    assert tool.source == "built"
    assert find.is_whole(find.built_folder())
    assert {progress.total for progress in shown[1:]} == {80}
    assert any(progress.done == 60 and progress.seconds_left is not None for progress in shown)
    assert "four minutes" in shown[0].stage
