"""A local stack on the real engine, with a stand-in for the serving program: every fault that `up` must survive."""

import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from skylift import assets
from skylift.engine import (
    Engine,
    Message,
    ResourceStep,
    Tool,
    delete_data,
    environment,
    find_pulumi,
    leftovers,
    official,
)
from skylift.errors import (
    ConflictError,
    CredentialsError,
    MachineError,
    ProvisionError,
    SettingsError,
    UnreachableError,
)
from skylift.stack import processes
from skylift.stack.local import LocalFolders, read_record
from skylift.stack.project import Project
from tests.store.disks import make_read_only, small_disk

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
STANDIN = ROOT / "tests" / "infra" / "standin"
SETTINGS = """# written by hand
config:
  skylift:target: local
  skylift:endpoints:
    default: {{port: {port}, drain_seconds: 2.0}}
"""


@pytest.fixture(scope="session")
def tool() -> Tool:
    """The engine on PATH, in the cache, or built (which takes minutes once)."""

    def unreachable() -> None:
        raise UnreachableError("tests do not leave this machine")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(official, "require_reachable", unreachable)
        return find_pulumi()


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tool: Tool) -> Iterator[Project]:
    """A project in an empty folder, as `skylift init` makes it."""
    for name in ("PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE", "PULUMI_BACKEND_URL", "PULUMI_STACK"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PULUMI_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(STANDIN), str(ROOT)]))
    monkeypatch.setenv("STANDIN_NOT_READY", str(tmp_path / "not-ready"))
    monkeypatch.setenv("STANDIN_BROKEN", str(tmp_path / "broken"))
    monkeypatch.setenv("PATH", os.pathsep.join([str(tool.path.parent), os.environ["PATH"]]))
    root = tmp_path / "project"
    (root / "stacks").mkdir(parents=True)
    for name in ("Pulumi.yaml", "__main__.py"):
        shutil.copyfile(assets.path(name), root / name)
    project = Project(root)
    _write(project, 0)
    yield project
    (tmp_path / "not-ready").unlink(missing_ok=True)
    folders = LocalFolders(root, "local")
    for pid, birth in [
        found for folder in folders.endpoints.glob("*") for found in processes.by_argument(f"{folder}/cache")
    ]:
        processes.stop(pid, birth, grace=1)


def _write(project: Project, port: int | str, more: str = "") -> None:
    path = project.stack_file("local")
    salt = (
        [line for line in path.read_text().splitlines() if line.startswith("encryptionsalt")] if path.exists() else []
    )
    path.write_text(SETTINGS.format(port=port) + more + "\n".join(salt) + "\n")


def _supervisor(project: Project) -> tuple[int, str]:
    record = read_record(LocalFolders(project.root, "local").endpoint("default"))
    assert record is not None
    return record.pid, record.born


def _kill_supervisor(project: Project) -> None:
    pid, birth = _supervisor(project)
    os.kill(pid, signal.SIGKILL)
    assert processes.wait_until(lambda: not processes.alive(pid, birth), 5)


def _answers(url: str) -> bool:
    with urllib.request.urlopen(f"{url}/readyz", timeout=5) as answer:
        return bool(answer.status == 200)


def _program(project: Project) -> subprocess.Popen[str]:
    """`up` in a process of its own, which prints how it ended."""
    code = (
        "import sys; from pathlib import Path; from skylift.engine import Engine; from skylift.stack.project import Project\n"
        "try: print(Engine(Project(Path(sys.argv[1])), 'local').up().changes)\n"
        "except Exception as error: print(type(error).__name__, error)\n"
    )
    return subprocess.Popen([sys.executable, "-c", code, str(project.root)], stdout=subprocess.PIPE, text=True)


def _started(project: Project) -> Callable[[], bool]:
    return lambda: read_record(LocalFolders(project.root, "local").endpoint("default")) is not None


def test_up_twice_and_down(project: Project) -> None:
    engine = Engine(project, "local")
    with pytest.raises(ProvisionError, match="not up"):
        engine.outputs()
    assert leftovers(project, "local").clean
    seen: list[ResourceStep | Message] = []

    first = engine.up(seen.append)
    assert first.changes == {"create": 6}
    assert {step.name for step in first.steps} >= {"keep", "work", "default-supervisor"}
    states = [step.state for step in seen if isinstance(step, ResourceStep) and step.name == "default-supervisor"]
    assert states == ["started", "done"]
    outputs = engine.outputs()
    assert outputs.target == "local"
    assert _answers(outputs.endpoints["default"].url)
    for url in (outputs.buckets.keep, outputs.buckets.work):
        assert stat.S_IMODE(Path(url.removeprefix("file://")).stat().st_mode) == 0o700
    found = leftovers(project, "local")
    assert [str(port.port) for port in found.ports] == [outputs.endpoints["default"].url.rpartition(":")[2]]

    process = _supervisor(project)
    for summary in (engine.preview(), engine.up(), engine.refresh()):
        assert not summary.changed
        assert summary.changes["same"] == 6
    assert _supervisor(project) == process
    assert engine.outputs() == outputs
    assert "# written by hand" in project.stack_file("local").read_text()

    keep = Path(outputs.buckets.keep.removeprefix("file://"))
    (keep / "model").write_text("weights")
    assert engine.destroy().changes == {"delete": 6}
    after = leftovers(project, "local")
    assert after.clean, after
    assert processes.port_free("127.0.0.1", found.ports[0].port)
    assert not (project.root / ".skylift" / "local" / "local").exists()
    assert {bucket.kind: (bucket.files, bucket.bytes) for bucket in after.buckets} == {"keep": (1, 7), "work": (0, 0)}
    assert engine.destroy().changes == {}

    engine.up()
    assert (keep / "model").read_text() == "weights"
    engine.destroy()
    assert {bucket.kind for bucket in delete_data(project, "local")} == {"keep", "work"}
    assert not keep.exists()


def test_a_killed_supervisor_is_drift_that_refresh_shows_and_up_mends(project: Project) -> None:
    engine = Engine(project, "local")
    engine.up()
    url = engine.outputs().endpoints["default"].url
    _kill_supervisor(project)
    drift = engine.refresh(preview_only=True)
    assert [(step.name, step.op) for step in drift.steps] == [("default-supervisor", "update")]
    assert engine.refresh().changes == {"same": 5, "update": 1}
    assert [(step.name, step.op) for step in engine.up().steps] == [("default-supervisor", "update")]
    assert _answers(url)
    _kill_supervisor(project)
    assert engine.up().changes == {"same": 5, "update": 1}, "up mends without a refresh too"
    assert _answers(url)


def test_a_deleted_bucket_is_drift_that_refresh_shows_and_up_mends(project: Project) -> None:
    engine = Engine(project, "local")
    engine.up()
    work = LocalFolders(project.root, "local").bucket("work")
    work.rmdir()
    assert [(step.name, step.op) for step in engine.refresh().steps] == [("work", "delete")]
    assert [(step.name, step.op) for step in engine.up().steps] == [("work", "create")]
    assert work.is_dir()
    work.rmdir()
    assert [(step.name, step.op) for step in engine.up().steps] == [("work", "update")]
    assert work.is_dir()


def test_a_changed_port_moves_the_endpoint(project: Project) -> None:
    engine = Engine(project, "local")
    engine.up()
    old = engine.outputs().endpoints["default"].url
    port = processes.free_port("127.0.0.1")
    _write(project, port)
    (step,) = engine.preview().steps
    assert (step.name, step.op) == ("default-supervisor", "update")
    engine.up()
    assert engine.outputs().endpoints["default"].url == f"http://127.0.0.1:{port}"
    assert _answers(f"http://127.0.0.1:{port}")
    with pytest.raises(OSError, match="refused"):
        _answers(old)


def test_a_taken_port_is_said_before_anything_is_made(project: Project) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        _write(project, port)
        for operation in (Engine(project, "local").preview, Engine(project, "local").up):
            with pytest.raises(MachineError, match=f"port {port} of 127.0.0.1 is taken by .*{os.getpid()}") as caught:
                operation()
            assert "skylift:endpoints.default.port in stacks/Pulumi.local.yaml" in caught.value.hint
    assert Engine(project, "local").up().changed
    assert leftovers(project, "local").ports[0].port == port


def test_an_endpoint_that_cannot_start_says_why_and_the_next_up_goes_on(project: Project, tmp_path: Path) -> None:
    (tmp_path / "broken").touch()
    with pytest.raises(ProvisionError, match="broken on purpose") as caught:
        Engine(project, "local").up()
    assert "Traceback" not in caught.value.message
    assert leftovers(project, "local").clean
    (tmp_path / "broken").unlink()
    assert Engine(project, "local").up().changed
    assert not Engine(project, "local").up().changed


def test_all_mistakes_of_a_stack_file_come_at_once_and_no_traceback(project: Project) -> None:
    _write(project, "many", "  skylift:ownr: ada\n")
    with pytest.raises(SettingsError) as caught:
        Engine(project, "local").up()
    assert len(caught.value.details["mistakes"]) == 2
    shell = {**os.environ, **environment(project, "local")}
    done = subprocess.run(
        ["pulumi", "up", "--yes", "--stack", "local"], cwd=project.root, env=shell, capture_output=True, text=True
    )
    assert done.returncode != 0
    assert "SettingsError: stacks/Pulumi.local.yaml has 2 mistakes" in done.stdout
    assert "did you mean 'skylift:owner'?" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


def test_plain_pulumi_up_works_in_a_shell(project: Project, tmp_path: Path) -> None:
    exports = "".join(f"export {key}='{value}'\n" for key, value in environment(project, "local").items())
    script = f"set -e\n{exports}cd {project.root}\npulumi up --yes --stack local\npulumi stack output --json\n"
    bare = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "PYTHONPATH": os.environ["PYTHONPATH"]}
    done = subprocess.run(["sh", "-c", script], env=bare, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "6 created" in done.stdout
    assert not Engine(project, "local").up().changed, "the same stack, seen from inside"
    workspaces = list((tmp_path / "home").glob("workspaces/*"))
    assert not any("local" in path.read_text() for path in workspaces), "the user's selection is untouched"


def test_folders_of_the_users_with_our_names_do_not_stand_before_ours(project: Project) -> None:
    for name in ("infra", "serving", "training"):
        (project.root / name).mkdir()
        (project.root / name / "__init__.py").write_text("raise SystemExit('the wrong one')\n")
    assert Engine(project, "local").up().changes == {"create": 6}
    shell = {**os.environ, **environment(project, "local")}
    _kill_supervisor(project)
    done = subprocess.run(["pulumi", "up", "--yes"], cwd=project.root, env=shell, capture_output=True, text=True)
    assert "1 updated" in done.stdout, done.stdout + done.stderr
    assert Engine(project, "local").destroy().changed


def test_a_folder_of_somebody_elses_is_not_taken_for_a_bucket(project: Project) -> None:
    keep = LocalFolders(project.root, "local").bucket("keep")
    keep.mkdir(parents=True)
    (keep / "thesis").write_text("years")
    with pytest.raises(ConflictError, match="holds files that are not this stack's"):
        Engine(project, "local").up()
    assert (keep / "thesis").read_text() == "years"


def test_a_passphrase_that_does_not_fit_is_said(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    Engine(project, "local").up()
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "another")
    with pytest.raises(CredentialsError, match="the passphrase does not fit stack 'local'"):
        Engine(project, "local").up()


def test_a_full_disk_is_said_before_state_is_touched_and_the_next_up_goes_on(project: Project, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "8m") as disk:
        shutil.copytree(project.root, disk, dirs_exist_ok=True)
        small = Engine(Project(disk), "local")
        (disk / "ballast").write_bytes(b"x" * (7 << 20))
        with pytest.raises(MachineError, match="the disk is full"):
            small.up()
        (disk / "ballast").unlink()
        assert small.up().changes == {"create": 6}
        (disk / "ballast").write_bytes(b"x" * (7 << 20))
        with pytest.raises(MachineError, match="the disk is full"):
            small.up()
        assert small.outputs().target == "local"
        (disk / "ballast").unlink()
        assert not small.up().changed
        small.destroy()
        make_read_only(disk)
        with pytest.raises(MachineError, match="cannot be written: Read-only"):
            small.up()


def test_a_disposable_stack_takes_its_data_with_it(project: Project) -> None:
    _write(project, 0, "  skylift:disposable: true\n")
    engine = Engine(project, "local")
    engine.up()
    keep = LocalFolders(project.root, "local").bucket("keep")
    (keep / "model").write_text("weights")
    engine.destroy()
    assert leftovers(project, "local").buckets == ()
    assert not keep.exists()


def test_an_up_that_was_killed_in_the_middle_goes_on_with_the_next(project: Project, tmp_path: Path) -> None:
    """The whole tree of the engine is killed while it waits for the endpoint: a lock, a pending create and a supervisor are left."""
    import psutil

    (tmp_path / "not-ready").touch()
    first = _program(project)
    assert processes.wait_until(_started(project), 30)
    left = _supervisor(project)
    assert len(leftovers(project, "local").locks) == 1
    tree = [
        first.pid,
        *(child.pid for child in psutil.Process(first.pid).children(recursive=True) if child.pid != left[0]),
    ]
    for pid in tree:
        os.kill(pid, signal.SIGKILL)
    first.communicate()
    assert processes.alive(*left)
    (tmp_path / "not-ready").unlink()
    assert Engine(project, "local").up().changed
    assert _supervisor(project) == left, "the one that was starting is taken over"
    assert not Engine(project, "local").up().changed
    Engine(project, "local").destroy()
    assert leftovers(project, "local").clean


def test_when_only_the_engine_is_killed_its_plugins_end_too(project: Project, tmp_path: Path) -> None:
    import psutil

    (tmp_path / "not-ready").touch()
    first = _program(project)
    assert processes.wait_until(_started(project), 30)
    left = _supervisor(project)
    family = [child for child in psutil.Process(first.pid).children(recursive=True) if child.pid != left[0]]
    (engine,) = [child for child in family if child.name() == "pulumi"]
    hosts = [child for child in family if child.name() == "pulumi-language-python"]
    engine.kill()
    first.communicate()
    (tmp_path / "not-ready").unlink()
    _, alive = psutil.wait_procs([child for child in family if child not in hosts], timeout=20)
    assert [child.cmdline() for child in alive] == []
    Engine(project, "local").up()
    _, alive = psutil.wait_procs(hosts, timeout=5)
    assert [child.cmdline() for child in alive] == [], "and the language host with the next up"
    assert not Engine(project, "local").up().changed


def test_of_two_at_once_one_finishes_and_the_other_is_told_who_holds_it(project: Project, tmp_path: Path) -> None:
    (tmp_path / "not-ready").touch()
    first = _program(project)
    assert processes.wait_until(_started(project), 30)
    with pytest.raises(ConflictError, match=r"is being changed by .* \(pid \d+\)"):
        Engine(project, "local").up()
    (tmp_path / "not-ready").unlink()
    assert "create" in first.communicate()[0]
    assert not Engine(project, "local").up().changed


def test_of_two_that_begin_in_the_same_moment_one_makes_it(project: Project) -> None:
    Engine(project, "local").create()
    both = [_program(project) for _ in range(2)]
    said = [process.communicate()[0] for process in both]
    made = [text for text in said if "create" in text]
    assert len(made) == 1, said
    assert all("create" in text or "same" in text or text.startswith("LockedError") for text in said), said
    assert not Engine(project, "local").up().changed


def test_an_interrupt_lets_the_engine_end_in_order(project: Project, tmp_path: Path) -> None:
    (tmp_path / "not-ready").touch()
    first = _program(project)
    assert processes.wait_until(_started(project), 30)
    first.send_signal(signal.SIGINT)
    threading.Timer(0.5, (tmp_path / "not-ready").unlink).start()
    first.communicate(timeout=60)
    assert leftovers(project, "local").locks == ()
    Engine(project, "local").up()
    assert not Engine(project, "local").up().changed


def test_state_keeps_a_small_reference_to_the_providers(project: Project) -> None:
    Engine(project, "local").up()
    state = json.loads((project.state_folder / ".pulumi/stacks/skylift/local.json").read_text())
    providers = [
        found["inputs"]["__provider"]
        for found in state["checkpoint"]["latest"]["resources"]
        if "__provider" in found.get("inputs", {})
    ]
    assert len(providers) == 3
    assert all(isinstance(text, str) and len(text) < 200 for text in providers)


def test_outputs_are_read_in_well_under_a_second_without_the_sdk(project: Project) -> None:
    Engine(project, "local").up()
    code = (
        "import sys; from pathlib import Path; from skylift.engine import Engine; from skylift.stack.project import Project\n"
        "print(Engine(Project(Path(sys.argv[1])), 'local').outputs().target, *({'pulumi', 'skylift.stack.settings'} & {*sys.modules}))"
    )
    begun = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", code, str(project.root)], capture_output=True, text=True)
    assert done.stdout.split() == ["local"], done.stderr
    assert time.perf_counter() - begun < 3
