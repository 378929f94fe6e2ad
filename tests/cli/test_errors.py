"""How a command ends when something is wrong: message, hint, exit code, JSON, traceback."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys

import click
import pytest

from skylift import errors
from skylift.cli import _errors
from skylift.cli._group import App, cli
from skylift.cli._options import common, confirm

KINDS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.SkyliftError)]


@pytest.fixture
def raising(monkeypatch):
    """Lets `skylift runs` raise an error."""

    def arrange(error: BaseException) -> None:
        @click.command("runs")
        @common
        def command(as_json: bool) -> None:
            """Raise."""
            raise error

        monkeypatch.setattr("skylift.cli.runs.command", command)

    return arrange


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_each_kind_has_its_exit_code_message_and_fix(skylift, raising, kind):
    raising(kind("it is wrong", hint="mend it", details={"where": "here"}))
    ended = skylift("runs")
    assert ended.code == kind.exit_code
    assert ended.out == ""
    assert ended.err == "Error: it is wrong\n  Fix: mend it\n"
    document = skylift("runs", "--json")
    assert document.code == kind.exit_code
    assert document.err == ""
    assert document.document == {
        "error": {
            "kind": kind.kind,
            "message": "it is wrong",
            "hint": "mend it",
            "exit_code": kind.exit_code,
            "details": {"where": "here"},
        }
    }


@pytest.mark.parametrize("place", [["--debug", "runs"], ["runs", "--debug"]])
def test_a_traceback_comes_only_with_debug(skylift, raising, place):
    raising(errors.InputError("it is wrong"))
    assert "Traceback" not in skylift("runs").err
    assert "Traceback" in skylift(*place).err


def test_what_nobody_foresaw_is_called_a_mistake_of_ours(skylift, raising):
    raising(ZeroDivisionError("division by zero"))
    ended = skylift("runs")
    assert ended.code == 1
    assert "unexpected ZeroDivisionError: division by zero" in ended.err and "--debug" in ended.err
    assert "Traceback" not in ended.err
    assert skylift("runs", "--json").document["error"]["kind"] == "error"


@pytest.mark.parametrize(
    ("number", "words"), [(errno.ENOSPC, "the disk is full"), (errno.EROFS, "/x/y"), (errno.EACCES, "/x/y")]
)
def test_a_fault_of_the_machine_is_no_mistake_of_ours(skylift, raising, number, words):
    raising(OSError(number, os.strerror(number), "/x/y"))
    ended = skylift("runs")
    assert ended.code == errors.MachineError.exit_code
    assert words in ended.err and "unexpected" not in ended.err


@pytest.mark.parametrize("arguments", [["nothing"], ["runs", "--nothing"], ["train", "--set", "x"], ["cancel"]])
def test_a_wrong_command_line_is_one_document_too(skylift, arguments):
    ended = skylift(*arguments, "--json")
    assert ended.code == 2
    assert ended.document["error"]["kind"] == "usage"
    assert ended.document["error"]["exit_code"] == 2
    assert ended.err == ""


def test_json_may_stand_before_the_command(skylift, raising):
    raising(errors.NotFoundError("none"))
    assert skylift("--json", "runs").document["error"]["kind"] == "not_found"


def test_an_interrupt_leaves_with_130(skylift, raising):
    raising(KeyboardInterrupt())
    assert skylift("runs").code == 130
    assert skylift("runs", "--json").document["error"]["kind"] == "interrupted"


def test_an_interrupt_says_what_goes_on(skylift, raising):
    raising(_errors.Interrupted("run r1 goes on", "`skylift logs -f r1` follows it", run="r1"))
    ended = skylift("runs")
    assert ended.code == 130
    assert "run r1 goes on" in ended.err and "logs -f r1" in ended.err
    assert skylift("runs", "--json").document["error"]["details"] == {"run": "r1"}


class TestConfirm:
    def test_refuses_to_guess_without_a_terminal(self, skylift, monkeypatch):
        with open(os.devnull) as nobody:
            monkeypatch.setattr("sys.stdin", nobody)
            with pytest.raises(click.UsageError, match="--yes"):
                confirm("Remove it?", yes=False)

    def test_does_not_ask_where_yes_was_given(self):
        confirm("Remove it?", yes=True)

    @pytest.mark.parametrize(("answer", "code", "words"), [("n\n", 1, "nothing was changed"), ("y\n", 0, "")])
    def test_takes_an_answer(self, monkeypatch, capsys, answer, code, words):
        @click.command()
        def asks() -> None:
            confirm("Remove it?", yes=False)

        read, write = os.pipe()
        os.write(write, answer.encode())
        os.close(write)
        with open(read) as stdin:
            monkeypatch.setattr("sys.stdin", stdin)
            monkeypatch.setattr(stdin, "isatty", lambda: True, raising=False)
            assert _errors.run(asks, []) == code  # type: ignore[arg-type]
        assert words in capsys.readouterr().err


def test_a_reader_that_went_away_is_no_error():
    program = subprocess.Popen(
        [sys.executable, "-m", "skylift.cli", "--help"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert program.stdout is not None and program.stderr is not None
    program.stdout.close()
    said = program.stderr.read()
    program.stderr.close()
    assert (program.wait(), said) == (0, b"")


def test_words_behind_two_dashes_are_no_options(skylift, empty):
    assert "Error: " in skylift("runs", "--", "--json").err


def test_settings_mistakes_reach_the_document(skylift, empty):
    (empty / "Pulumi.yaml").write_text("name: skylift\nruntime: python\n")
    (empty / "stacks").mkdir()
    (empty / "stacks" / "Pulumi.local.yaml").write_text("config:\n  skylift:target: lokal\n  skylift:ownr: me\n")
    error = skylift("up", "--yes", "--json").document["error"]
    assert error["kind"] == "settings"
    assert [one["key"] for one in error["details"]["mistakes"]] == ["skylift:target", "skylift:ownr"]


def test_the_app_is_shared_with_groups_and_commands():
    context = click.Context(cli, obj=App(as_json=True))
    assert context.ensure_object(App).as_json


def test_json_error_is_readable_text(skylift, raising):
    raising(errors.InputError("größer als 5 × 5"))
    assert "größer als 5 × 5" in skylift("runs", "--json").out
    assert json.loads(skylift("runs", "--json").out)["error"]["message"] == "größer als 5 × 5"
