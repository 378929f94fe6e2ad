"""Options that commands share, as decorators, and the completions of their values."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.shell_completion import CompletionItem

from skylift.cli._group import App

if TYPE_CHECKING:
    from skylift.client import Stack

F = TypeVar("F", bound=Callable[..., Any])


def _remember_json(ctx: click.Context, _param: click.Parameter, value: bool) -> bool:
    app = ctx.ensure_object(App)
    app.as_json = app.as_json or value  # a group's `--json` counts for its command too
    return app.as_json


def _remember_debug(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
    app = ctx.ensure_object(App)
    app.debug = app.debug or value


def common(command: F) -> F:
    """`--json` and `--debug`, for every command."""
    command = click.option(
        "--json", "as_json", is_flag=True, callback=_remember_json, is_eager=True, help="Print JSON for machines."
    )(command)
    return click.option(
        "--debug",
        is_flag=True,
        expose_value=False,
        callback=_remember_debug,
        is_eager=True,
        help="Show the traceback of an error.",
    )(command)


def complete_stacks(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    return _quietly(lambda: _project(ctx).stacks(), incomplete)


def complete_runs(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    def ids() -> list[str]:
        from skylift.artifacts import runs

        stack = open_stack(ctx, None)
        found = runs.list_runs(stack.keep, stack.work, limit=50)
        return ["last", *(run.id for run in found)]

    return _quietly(ids, incomplete)


def complete_models(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    def names() -> list[str]:
        from skylift.artifacts import layout

        return list(open_stack(ctx, None).keep.folders(layout.MODELS))

    return _quietly(names, incomplete)


def complete_endpoints(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    def names() -> list[str]:
        from skylift.artifacts import endpoints

        return endpoints.list_endpoints(open_stack(ctx, None).keep)

    return _quietly(names, incomplete)


def complete_recipes(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    def names() -> list[str]:
        from skylift.launch import recipes

        return [recipe.name for recipe in recipes.bundled()]

    return _quietly(names, incomplete)


def _quietly(names: Callable[[], list[str]], incomplete: str) -> list[CompletionItem]:
    """A completion that cannot be had is no error: the shell shows nothing."""
    try:
        return [CompletionItem(name) for name in names() if name.startswith(incomplete)]
    except Exception:
        return []


def stack_argument(command: F) -> F:
    """The stack, as an argument or with `--stack`, of commands that act on a whole stack."""
    command = click.argument("stack_name", metavar="[STACK]", required=False, shell_complete=complete_stacks)(command)
    return stack_option(command)


def stack_option(command: F) -> F:
    """`--stack`: which stack a command works with."""
    return click.option(
        "-s",
        "--stack",
        "stack_flag",
        metavar="STACK",
        envvar="SKYLIFT_STACK",
        shell_complete=complete_stacks,
        help="The stack. Default: $SKYLIFT_STACK, else the only one.",
    )(command)


def endpoint_option(command: F) -> F:
    return click.option(
        "-e",
        "--endpoint",
        default=None,
        metavar="NAME",
        shell_complete=complete_endpoints,
        help="The endpoint. Default: the stack's only one.",
    )(command)


def yes_option(command: F) -> F:
    return click.option("-y", "--yes", is_flag=True, help="Do not ask.")(command)


def confirm(question: str, *, yes: bool) -> None:
    """Ask, unless `--yes`; without a terminal refuse rather than guess.

    Raises:
        click.Abort: the answer is no.
        click.UsageError: there is nobody to ask.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise click.UsageError("there is no terminal to ask on; pass --yes if you mean it")
    click.confirm(question, abort=True, err=True)


def _project(ctx: click.Context) -> Any:
    from skylift.stack.project import Project

    return Project.find(ctx.ensure_object(App).project)


def open_stack(ctx: click.Context, name: str | None, other: str | None = None) -> Stack:
    """The stack that a command works with: named, by environment, or the only one."""
    from skylift.cli._engine import BuildBar
    from skylift.client import Stack

    if name and other and name != other:
        raise click.UsageError(f"two stacks are named: {name} and {other}")
    app = ctx.ensure_object(App)
    bar = BuildBar(quiet=app.as_json)
    ctx.call_on_close(bar.close)
    return Stack(name or other, project=app.project, on_build=bar)
