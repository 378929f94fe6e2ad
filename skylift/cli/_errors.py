"""One place where errors become a message, a hint and an exit code."""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Sequence

import click

from skylift.cli._group import App
from skylift.errors import SkyliftError

INTERRUPTED = 130


def run(group: click.Group, args: Sequence[str]) -> int:
    """Run the command line; return the exit code. Never lets a traceback out without `--debug`."""
    app = App(debug="--debug" in args or bool(os.environ.get("SKYLIFT_DEBUG")))
    try:
        code = group.main(args=list(args), prog_name="skylift", standalone_mode=False, obj=app)
        return code if isinstance(code, int) else 0
    except click.exceptions.Exit as leave:
        return leave.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        click.echo("\ninterrupted", err=True)
        return INTERRUPTED
    except BrokenPipeError:
        # The reader went away (`skylift logs | head`): that is no error of ours.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except SkyliftError as error:
        return report(error, app)
    except Exception as error:
        return unexpected(error, app)


def report(error: SkyliftError, app: App) -> int:
    """Show an error of ours: as JSON on standard output with `--json`, else for people on standard error."""
    if app.debug:
        traceback.print_exception(error)
    if app.as_json:
        click.echo(json.dumps(error.to_dict(), indent=2, default=str))
    else:
        click.secho("Error: ", fg="red", bold=True, nl=False, err=True)
        click.echo(error.message, err=True)
        if error.hint:
            click.secho("  Fix: ", fg="green", nl=False, err=True)
            click.echo(error.hint, err=True)
    return error.exit_code


def unexpected(error: Exception, app: App) -> int:
    """An error that nobody foresaw is a mistake of ours: say so, and how to see more."""
    ours = SkyliftError(
        f"unexpected {type(error).__name__}: {error}",
        hint="this is a mistake in skylift; run it again with --debug and report what that prints",
    )
    if isinstance(error, OSError) and error.errno == 28:
        from skylift.errors import MachineError

        ours = MachineError(
            f"the disk is full: {error.filename or error}",
            hint="free some space (`skylift gc` shows what may go) and run the same command again",
        )
    if app.debug:
        traceback.print_exception(error)
    return report(ours, App(as_json=app.as_json))
