"""`models add` from the client's side: what it refuses at a glance, and what the training program's answer becomes."""

from __future__ import annotations

import os
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from onnx import TensorProto, helper, save

from skylift.artifacts import models
from skylift.client import importing
from skylift.client.importing import Meaning
from skylift.errors import InputError, MachineError, NotFoundError
from skylift.launch import asking
from skylift.store import Store, open_store


@dataclass
class OnlyBucket:
    """What `add` needs of a stack."""

    keep: Store


@pytest.fixture
def stack(tmp_path: Path) -> Any:
    (tmp_path / "keep").mkdir()
    return OnlyBucket(open_store(f"file://{tmp_path / 'keep'}"))


def softmax(path: Path) -> Path:
    tensors = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["rows", 3]) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Softmax", ["x"], ["y"])], "g", tensors[:1], tensors[1:])
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), str(path))
    return path


def test_an_onnx_file_becomes_a_version_with_its_meaning(stack: Any, tmp_path: Path) -> None:
    notes: list[str] = []
    meaning = Meaning(labels=("-1", "0", " +1"))
    published = importing.add(stack, "signs", softmax(tmp_path / "net.onnx"), meaning, tell=notes.append)
    assert (published.name, published.version, notes) == ("signs", 1, [])
    ref = models.resolve(stack.keep, "signs")
    assert ref.digest == published.digest
    manifest = models.verify(stack.keep, ref)
    assert manifest.task.labels == ["-1", "0", "+1"]
    assert "@" in manifest.by


def test_an_error_of_the_program_keeps_its_words_and_its_hint(stack: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"3 value\(s\) per row .*2 labels") as caught:
        importing.add(stack, "signs", softmax(tmp_path / "net.onnx"), Meaning(labels=("a", "b")))
    assert caught.value.details == {"values": 3, "labels": 2}
    assert "one label per value" in caught.value.hint
    (tmp_path / "bad.onnx").write_bytes(b"garbage" * 99)
    with pytest.raises(InputError, match=r"cannot load bad\.onnx"):
        importing.add(stack, "signs", tmp_path / "bad.onnx")
    assert models.list_models(stack.keep) == []


class TestAtAGlance:
    """Refused before any program starts: each of these takes milliseconds."""

    @pytest.fixture(autouse=True)
    def no_program(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def started(arguments: Any) -> Any:
            raise AssertionError(f"a program was started: {arguments}")

        monkeypatch.setattr(asking, "ask_training", started)

    def refused(self, stack: Any, path: Path, said: str, name: str = "mine") -> InputError:
        with pytest.raises(InputError, match=said) as caught:
            importing.add(stack, name, path)
        assert caught.value.hint
        return caught.value

    def test_endings_that_are_unknown(self, stack: Any, tmp_path: Path) -> None:
        for name in ("net.pt", "net"):
            (tmp_path / name).write_bytes(b"x")
            error = self.refused(stack, tmp_path / name, "no known kind of model")
            assert ".onnx" in error.hint

    def test_nothing_there_and_nothing_in_it(self, stack: Any, tmp_path: Path) -> None:
        self.refused(stack, tmp_path / "no.onnx", "there is no file or folder")
        (tmp_path / "empty.onnx").touch()
        self.refused(stack, tmp_path / "empty.onnx", "is empty")
        (tmp_path / "folder").mkdir()
        self.refused(stack, tmp_path / "folder", "is an empty folder")
        os.mkfifo(tmp_path / "pipe.onnx")
        self.refused(stack, tmp_path / "pipe.onnx", "neither a file nor a folder")

    def test_a_folder_around_the_model_points_at_it(self, stack: Any, tmp_path: Path) -> None:
        (tmp_path / "served" / "1").mkdir(parents=True)
        (tmp_path / "served" / "1" / "saved_model.pb").write_bytes(b"x")
        error = self.refused(stack, tmp_path / "served", r"it has no saved_model\.pb")
        assert str(tmp_path / "served" / "1") in error.hint
        error = self.refused(stack, tmp_path / "served" / "1" / "saved_model.pb", "one file of a SavedModel")
        assert str(tmp_path / "served" / "1") in error.hint

    def test_keras_files_that_are_cut_off_or_something_else(self, stack: Any, tmp_path: Path) -> None:
        whole = tmp_path / "whole.keras"
        with zipfile.ZipFile(whole, "w") as archive:
            archive.writestr("config.json", "{}" * 500)
        (tmp_path / "cut.keras").write_bytes(whole.read_bytes()[:300])
        self.refused(stack, tmp_path / "cut.keras", "is cut off or damaged")
        (tmp_path / "text.keras").write_text("hello")
        self.refused(stack, tmp_path / "text.keras", "is no Keras file")
        (tmp_path / "old.keras").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(99))
        assert ".h5" in self.refused(stack, tmp_path / "old.keras", "is an HDF5 file").hint
        (tmp_path / "text.h5").write_text("hello")
        self.refused(stack, tmp_path / "text.h5", "is no HDF5 file")

    @pytest.mark.skipif(os.geteuid() == 0, reason="the superuser reads everything")
    def test_a_file_that_may_not_be_read(self, stack: Any, tmp_path: Path) -> None:
        softmax(tmp_path / "net.onnx").chmod(0)
        self.refused(stack, tmp_path / "net.onnx", "cannot be read: Permission denied")

    def test_names_and_labels_that_are_not_allowed(self, stack: Any, tmp_path: Path) -> None:
        self.refused(stack, softmax(tmp_path / "net.onnx"), "is not allowed", name="My Model")
        with pytest.raises(InputError, match="has a comma in it"):
            importing.add(stack, "mine", tmp_path / "net.onnx", Meaning(labels=("a,b", "c")))


class TestAsking:
    """Errors that a program prints come back as what they were."""

    def answer(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, script: str) -> Any:
        program = tmp_path / "python"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(program))
        return asking.ask_training(["recipes"])

    def test_kinds_and_exit_codes_become_classes(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        shape = '{{"error": {{"kind": "{kind}", "message": "m", "hint": "h", "exit_code": {code}, "details": {{}}}}}}'
        for kind, code, expected in (("not_found", 4, NotFoundError), ("unheard_of", 3, InputError)):
            script = f"echo '{shape.format(kind=kind, code=code)}'; exit {code}"
            with pytest.raises(expected) as caught:
                self.answer(monkeypatch, tmp_path, script)
            assert type(caught.value) is expected and (caught.value.message, caught.value.hint) == ("m", "h")

    def test_a_program_that_ends_without_a_word(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        with pytest.raises(MachineError, match="No module named training"):
            self.answer(monkeypatch, tmp_path, "echo No module named training >&2; exit 1")
        with pytest.raises(MachineError, match="ended by signal 9"):
            self.answer(monkeypatch, tmp_path, "kill -9 $$")
