"""One place where errors become a message, a hint and an exit code; with `--json` one JSON document on standard output."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

import click

from skylift.cli._group import App

if TYPE_CHECKING:
    from collections.abc import Sequence

    from skylift.errors import SkyliftError

DECLINED = 1
USAGE = 2
INTERRUPTED = 130

_FULL, _READ_ONLY, _FORBIDDEN = 28, 30, 13


class Interrupted(KeyboardInterrupt):
    """Ctrl-C where there is something to say: what goes on without us, and how to come back to it."""

    def __init__(self, message: str, hint: str = "", **details: Any) -> None:
        super().__init__(message)
        self.hint = hint
        self.details = details


def run(group: click.Group, args: Sequence[str]) -> int:
    """Run the command line; return the exit code. Never lets a traceback out without `--debug`."""
    options = args[: list(args).index("--")] if "--" in args else args
    app = App(debug="--debug" in options or bool(os.environ.get("SKYLIFT_DEBUG")), as_json="--json" in options)
    try:
        code = group.main(args=list(args), prog_name="skylift", standalone_mode=False, obj=app)
        return code if isinstance(code, int) else 0
    except click.exceptions.Exit as leave:
        return leave.exit_code
    except click.ClickException as error:
        return usage(error, app)
    except (KeyboardInterrupt, click.Abort) as error:
        return stopped(error, app)
    except (BrokenPipeError, SystemExit) as error:
        return _left(error)
    except Exception as error:
        from skylift.errors import SkyliftError

        return report(error, app) if isinstance(error, SkyliftError) else unexpected(error, app)


def report(error: SkyliftError, app: App) -> int:
    """Show an error of ours: as JSON on standard output with `--json`, else for people on standard error."""
    if app.debug:
        import traceback

        traceback.print_exception(error)
    _show(app, **error.to_dict()["error"])
    return error.exit_code


def usage(error: click.ClickException, app: App) -> int:
    """A wrong command line. People get click's own words, with the line that shows how to get help."""
    if not app.as_json:
        error.show()
        return error.exit_code
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "skylift"
    _show(app, "usage", error.format_message(), f"`{path} --help` shows what it takes", error.exit_code)
    return error.exit_code


def stopped(error: BaseException, app: App) -> int:
    """Ctrl-C, or a `no` to a question; click turns both into an Abort and keeps the reason behind it."""
    behind = error.__cause__ or error.__context__ if isinstance(error, click.Abort) else error
    if not isinstance(behind, KeyboardInterrupt):
        _show(app, "declined", "nothing was changed", "", DECLINED)
        return DECLINED
    if isinstance(behind, Interrupted):
        _show(app, "interrupted", str(behind), behind.hint, INTERRUPTED, behind.details)
    else:
        _show(app, "interrupted", "interrupted", "", INTERRUPTED)
    return INTERRUPTED


def unexpected(error: Exception, app: App) -> int:
    """An error that nobody foresaw: of this machine where the system says so, else a mistake of ours."""
    from skylift.errors import SkyliftError

    ours = _of_the_machine(error) or SkyliftError(
        f"unexpected {type(error).__name__}: {error}",
        hint="this is a mistake in skylift; run it again with --debug and report what that prints",
    )
    if app.debug:
        import traceback

        traceback.print_exception(error)
    return report(ours, App(as_json=app.as_json))


def _of_the_machine(error: Exception) -> SkyliftError | None:
    from skylift.errors import MachineError

    if not isinstance(error, OSError):
        return None
    where = error.filename or "a file"
    if error.errno == _FULL:
        return MachineError(
            f"the disk is full: {where} cannot be written",
            hint="free some space (`skylift gc` shows what may go) and run the same command again",
        )
    if error.errno in (_READ_ONLY, _FORBIDDEN):
        return MachineError(
            f"{where} cannot be read or written: {error.strerror}",
            hint="mend its rights, or work in a folder that is yours",
        )
    return None


def _show(app: App, kind: str, message: str, hint: str, exit_code: int, details: dict[str, Any] | None = None) -> None:
    if app.as_json:
        import json

        facts = {"kind": kind, "message": message, "hint": hint, "exit_code": exit_code, "details": details or {}}
        click.echo(json.dumps({"error": facts}, indent=2, default=str, ensure_ascii=False))
        return
    if exit_code in (DECLINED, INTERRUPTED) and kind in ("declined", "interrupted"):
        click.echo(message, err=True)
    else:
        click.echo(f"{click.style('Error: ', fg='red', bold=True)}{message}", err=True)
    if hint:
        click.echo(f"{click.style('  Fix: ' if kind != 'interrupted' else '  Next: ', fg='green')}{hint}", err=True)


def _left(error: BaseException) -> int:
    """Click leaves by itself in two cases: a completion, with its code; and when the reader of our output went away
    (`skylift logs | head`), which is no error of ours, and then nothing must be flushed any more."""
    if isinstance(error, SystemExit) and "_SKYLIFT_COMPLETE" in os.environ:
        return error.code if isinstance(error.code, int) else 0
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.__stdout__.fileno() if sys.__stdout__ else 1)
    return 0
