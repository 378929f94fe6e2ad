"""SDKs loaded class by class are the SDKs as they are: compared in processes of their own, with and without."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import textwrap
import zipfile
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from infra import lazy_code

ROOT = Path(__file__).parents[2]
SDKS = ("pulumi_aws", "pulumi_gcp", "pulumi_azure_native", "pulumi_kubernetes")
LAZY = {"SKYLIFT_EAGER": ""}
EAGER = {"SKYLIFT_EAGER": "1"}


def run(*arguments: str, paths: tuple[Path, ...] = (), **variables: str) -> str:
    """What a Python program says, with `paths` before all others on its path."""
    variables["PYTHONPATH"] = os.pathsep.join(map(str, (*paths, ROOT)))
    done = subprocess.run(
        [sys.executable, "-P", *arguments], env={**os.environ, **variables}, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@cache
def report(sdk: str, eager: str) -> dict[str, Any]:
    if importlib.util.find_spec(sdk) is None:
        pytest.skip(f"{sdk} is not installed")
    found: dict[str, Any] = json.loads(run(str(Path(__file__).with_name("sdk_report.py")), sdk, SKYLIFT_EAGER=eager))
    return found


@pytest.mark.parametrize("sdk", SDKS)
class TestEachSdk:
    def test_the_same_inputs_reach_the_engine_and_the_same_outputs_come_back(self, sdk: str) -> None:
        lazily, plainly = report(sdk, "")["declared"], report(sdk, "1")["declared"]
        assert plainly["inputs"] and plainly["answers"] and "sdk_report.py" in plainly["trace"]
        assert lazily == plainly

    def test_every_name_type_and_annotation_is_the_same(self, sdk: str) -> None:
        lazily, plainly = report(sdk, ""), report(sdk, "1")
        modules = plainly.keys() - {"declared", "loaded"}
        assert modules and all(len(plainly[module]["types"]) > 100 for module in modules)
        for module in modules:
            assert lazily[module] == plainly[module]

    def test_few_of_its_modules_are_loaded(self, sdk: str) -> None:
        lazily, plainly = report(sdk, "")["loaded"], report(sdk, "1")["loaded"]
        assert set(lazily) < set(plainly)
        assert sum("." in each.partition(".")[2] for each in lazily) < len(plainly) / 3


def program(text: str, tmp_path: Path, *paths: Path, **variables: str) -> str:
    """What a program says that installs the lazy import first."""
    file = tmp_path / "program.py"
    file.write_text("from infra import lazy\nlazy.install()\nimport sys, pulumi\n" + textwrap.dedent(text))
    return run(str(file), paths=paths, **variables).strip()


@pytest.fixture
def sdk(tmp_path: Path) -> Path:
    """A folder with a small SDK as the generator would write it, but named like a cloud's."""
    folder = tmp_path / "site"
    types = (
        "import pulumi\nfrom typing import Optional\nfrom typing_extensions import TypedDict\nfrom . import outputs\n"
    )
    nested = """
__all__ = ['NestedArgsDict', 'NestedArgs']

class NestedArgsDict(TypedDict):
    size: int

@pulumi.input_type
class NestedArgs:
    def __init__(__self__, *, size: int, inner: Optional['NestedArgs'] = None):
        pulumi.set(__self__, 'size', size)

    @property
    @pulumi.getter(name='theSize')
    def size(self) -> int:
        return pulumi.get(self, 'size')

    @property
    @pulumi.getter
    def inner(self) -> 'Optional[NestedArgs]':
        return pulumi.get(self, 'inner')
"""
    files = {
        "__init__.py": "",
        "svc/__init__.py": "from .get_thing import *\nfrom .thing import *\nfrom ._inputs import *\nfrom . import outputs\n",
        "svc/_inputs.py": types + nested,
        "svc/outputs.py": "__all__ = []\n",
        "svc/thing.py": "from ._inputs import *\n__all__ = ['Thing']\nclass Thing:\n    nested = lambda self: NestedArgs\n",
        "svc/get_thing.py": "__all__ = ['get_thing']\ndef get_thing(): return 'got'\n",
    }
    for name, text in files.items():
        path = folder / "pulumi_aws" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


LOOK = """
    import pulumi_aws.svc as svc
    from pulumi import _types
    assert svc.Thing().nested() is svc.NestedArgs and svc.Thing.__module__ == "pulumi_aws.svc.thing"
    assert str(_types.input_type_types(svc.NestedArgs)["inner"]) == "<class 'pulumi_aws.svc._inputs.NestedArgs'>"
    assert svc.get_thing() == "got" and svc.NestedArgs(size=3).size == 3
    assert not hasattr(svc, "nothing")
    assert sorted(svc._inputs.__all__) == ["NestedArgs", "NestedArgsDict"]
    print(type(svc).__name__, type(svc._inputs).__name__)
"""


class TestInstall:
    def test_a_generated_layout_is_loaded_lazily(self, sdk: Path, tmp_path: Path) -> None:
        assert program(LOOK, tmp_path, sdk, **LAZY) == "_Package Types"

    def test_one_variable_turns_it_off(self, sdk: Path, tmp_path: Path) -> None:
        assert program(LOOK, tmp_path, sdk, **EAGER) == "module module"
        assert (
            program("print(len(sys.meta_path))", tmp_path, **EAGER)
            == run("-c", "import sys; print(len(sys.meta_path))").strip()
        )

    def test_installing_twice_is_installing_once(self, tmp_path: Path) -> None:
        assert (
            program("before = list(sys.meta_path); lazy.install(); print(before == sys.meta_path)", tmp_path, **LAZY)
            == "True"
        )

    def test_a_class_is_made_when_it_is_asked_for(self, sdk: Path, tmp_path: Path) -> None:
        text = """
            import pulumi_aws.svc as svc
            svc.Thing
            print("pulumi_aws.svc.get_thing" in sys.modules, "NestedArgs" in vars(svc._inputs))
            svc.Thing().nested()
            print("NestedArgs" in vars(svc._inputs), "NestedArgsDict" in vars(svc._inputs))
        """
        assert program(text, tmp_path, sdk, **LAZY).splitlines() == ["False False", "True False"]

    def test_a_function_named_like_its_module_wins_whoever_imports_first(self, sdk: Path, tmp_path: Path) -> None:
        text = """
            import pulumi_aws.svc as svc
            from pulumi_aws.svc.get_thing import get_thing
            print(svc.get_thing is get_thing)
        """
        assert program(text, tmp_path, sdk, **LAZY) == "True" == program(text, tmp_path, sdk, **EAGER)

    def test_a_name_that_is_nowhere_is_a_plain_error(self, sdk: Path, tmp_path: Path) -> None:
        text = """
            import pulumi_aws.svc as svc
            for module, name in ((svc, "Bukcet"), (svc._inputs, "BukcetArgs")):
                try: getattr(module, name)
                except AttributeError as error: print(error)
            try: from pulumi_aws.svc import Bukcet
            except ImportError as error: print(str(error).partition(" (")[0])
        """
        assert program(text, tmp_path, sdk, **LAZY) == program(text, tmp_path, sdk, **EAGER)


@pytest.fixture
def writing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    monkeypatch.delenv("PYTHONPYCACHEPREFIX", raising=False)


def kept(sdk: Path) -> list[Path]:
    return sorted(sdk.rglob(f"*.opt-{lazy_code.TAG}.pyc"))


class TestKept:
    """What was made of a source is read again, as long as it is of that source."""

    def test_beside_pythons_own_and_read_the_next_time(self, sdk: Path, tmp_path: Path, writing: None) -> None:
        assert program(LOOK, tmp_path, sdk, **LAZY) == "_Package Types"
        files = kept(sdk)
        assert {file.parent.name for file in files} == {"__pycache__"} and len(files) > 3
        times = [file.stat().st_mtime_ns for file in files]
        assert program(LOOK, tmp_path, sdk, **LAZY) == "_Package Types"
        assert [file.stat().st_mtime_ns for file in files] == times

    def test_a_changed_source_counts(self, sdk: Path, tmp_path: Path, writing: None) -> None:
        text = "import pulumi_aws.svc as svc; print(svc.get_thing())"
        assert program(text, tmp_path, sdk, **LAZY) == "got"
        source = sdk / "pulumi_aws" / "svc" / "get_thing.py"
        source.write_text(source.read_text().replace("'got'", "'got anew'"))
        assert program(text, tmp_path, sdk, **LAZY) == "got anew"

    @pytest.mark.parametrize("damage", [b"", b"no bytecode"], ids=["cut", "nonsense"])
    def test_a_damaged_file_is_made_anew(self, sdk: Path, tmp_path: Path, writing: None, damage: bytes) -> None:
        program(LOOK, tmp_path, sdk, **LAZY)
        for file in kept(sdk):
            file.write_bytes(damage)
        assert program(LOOK, tmp_path, sdk, **LAZY) == "_Package Types"
        assert all(file.read_bytes() != damage for file in kept(sdk))

    def test_nothing_is_written_where_python_shall_write_nothing(self, sdk: Path, tmp_path: Path) -> None:
        assert program(LOOK, tmp_path, sdk, PYTHONDONTWRITEBYTECODE="1", **LAZY) == "_Package Types"
        assert kept(sdk) == []

    def test_in_the_folder_that_python_shall_keep_bytecode_in(self, sdk: Path, tmp_path: Path, writing: None) -> None:
        folder = tmp_path / "elsewhere"
        folder.mkdir()
        program(LOOK, tmp_path, sdk, PYTHONPYCACHEPREFIX=str(folder), **LAZY)
        assert kept(sdk) == [] and kept(folder)


class TestUnknownLayout:
    """What does not look as the generator writes it is imported as Python always does, and works."""

    @pytest.mark.parametrize(
        ("file", "more"),
        [
            ("_inputs.py", "\nNestedArgs.more = 1\n"),
            ("_inputs.py", "\ndef helper(): return NestedArgs\n"),
            ("_inputs.py", "\nclass NestedArgsDict(TypedDict):\n    other: int\n"),
            ("_inputs.py", "\nclass Bare: pass\n"),
            (
                "_inputs.py",
                "\n@__import__('functools').total_ordering\nclass A:\n    def __init__(self): pass\n    def __lt__(self, o): return 1\n",
            ),
        ],
        ids=["a statement", "a function", "a class twice", "another class", "another decorator"],
    )
    def test_of_nested_types(self, sdk: Path, tmp_path: Path, file: str, more: str) -> None:
        path = sdk / "pulumi_aws" / "svc" / file
        path.write_text(path.read_text() + more)
        assert program(LOOK, tmp_path, sdk, **LAZY) == "_Package module"

    def test_of_a_package_that_uses_what_it_imports(self, sdk: Path, tmp_path: Path) -> None:
        path = sdk / "pulumi_aws" / "svc" / "__init__.py"
        path.write_text(path.read_text() + "Thing.used = True\n")
        assert program(LOOK, tmp_path, sdk, **LAZY) == "module Types"

    def test_in_an_archive(self, sdk: Path, tmp_path: Path) -> None:
        archive = tmp_path / "sdk.zip"
        with zipfile.ZipFile(archive, "w") as file:
            for path in sdk.rglob("*.py"):
                file.write(path, path.relative_to(sdk))
        assert program(LOOK, tmp_path, archive, **LAZY) == "module module"


class TestThrift:
    def test_debug_messages_stay_here_and_others_are_sent(self, tmp_path: Path) -> None:
        text = """
            from pulumi.runtime import settings
            class Engine:
                def Log(self, request): print(request.message)
            settings.SETTINGS.engine = Engine()
            pulumi.log.debug("debug")
            pulumi.log.info("info")
        """
        assert program(text, tmp_path, **LAZY) == "info"
        assert program(text, tmp_path, **EAGER) == "debug\ninfo"

    def test_cycles_are_still_collected(self, tmp_path: Path) -> None:
        text = """
            import gc, weakref
            class Cycle: pass
            first = Cycle(); first.itself = first
            gone = weakref.ref(first); del first
            rest = [[] for _ in range(150_000)]
            print(gone() is None)
        """
        assert program(text, tmp_path, **LAZY) == "True"

    def test_only_types_of_dated_versions_are_no_longer_told_as_aliases(self, tmp_path: Path) -> None:
        text = """
            import asyncio
            from pulumi.runtime.resource import prepare_aliases
            types = ["azure-native:web/v20200101:Site", "azure-native:web/v20200101preview:Site", "azure-native:app:Site"]
            options = pulumi.ResourceOptions(aliases=["urn:x", *(pulumi.Alias(type_=each) for each in types)])
            told = asyncio.run(prepare_aliases(None, options, True))
            print([each.urn or each.spec.type for each in told], len(options.aliases))
        """
        assert program(text, tmp_path, **LAZY) == "['urn:x', 'azure-native:app:Site'] 4"


def test_nothing_runs_while_a_text_is_parsed() -> None:
    text = "def f(a: X[int, Y[str]] = None, *, b: Q[R, S] = 3):\n    return [(c + (a * b)) for c in (1, 2)]\n" * 20
    told = run("-c", AT_EACH_COLLECTION, text, "parsing")
    assert told.strip() == "fine"


AT_EACH_COLLECTION = """
import ast, contextlib, gc, sys, threading
from infra.lazy_code import parsing

def parse_elsewhere(phase, info):
    if threading.current_thread() is threading.main_thread():
        other = threading.Thread(target=ast.parse, args=("a",))
        other.start()
        other.join()

def nested(depth):
    if depth:
        return nested(depth - 1)
    with parsing() if sys.argv[2] == "parsing" else contextlib.nullcontext():
        return ast.parse(sys.argv[1])

gc.callbacks.append(parse_elsewhere)
gc.set_threshold(10)
nested(20)
gc.callbacks.clear()
print("fine")
"""
