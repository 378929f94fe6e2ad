"""The table of commands, and what every command owes its readers."""

from __future__ import annotations

from collections.abc import Iterator

import click
import pytest

from skylift.cli import cli
from skylift.cli._group import COMMANDS, SECTIONS


def _all(command: click.Command, path: str = "skylift") -> Iterator[tuple[str, click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command, info_name=path)
        for name in command.list_commands(context):
            sub = command.get_command(context, name)
            assert sub is not None
            yield from _all(sub, f"{path} {name}")


EVERY = dict(_all(cli))


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_table_says_what_the_command_says(name):
    assert EVERY[f"skylift {name}"].get_short_help_str(limit=200) == COMMANDS[name]
    assert EVERY[f"skylift {name}"].name == name


def test_no_command_is_listed_twice():
    assert sum(map(len, SECTIONS.values())) == len(COMMANDS)


@pytest.mark.parametrize("path", EVERY)
def test_every_command_is_explained(path):
    assert EVERY[path].help, "a docstring is what --help shows"
    for parameter in EVERY[path].params:
        if isinstance(parameter, click.Option) and not isinstance(parameter, click.Argument):
            assert parameter.help, f"{parameter.opts[0]} has no help"
            assert parameter.help.endswith((".", "].")), f"{parameter.opts[0]}: {parameter.help}"


@pytest.mark.parametrize("path", [path for path, one in EVERY.items() if not isinstance(one, click.Group)])
def test_every_command_takes_json_and_debug(path):
    names = {name for parameter in EVERY[path].params for name in parameter.opts}
    assert {"--json", "--debug"} <= names


def test_help_shows_every_section_and_command(skylift):
    shown = skylift("--help")
    assert shown.code == 0
    for section, commands in SECTIONS.items():
        assert f"{section}:" in shown.out
        for name in commands:
            assert f"  {name} " in shown.out


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [
        (["staus"], "status"),
        (["depoly", "mnist"], "deploy"),
        (["status", "--jsn"], "--json"),
        (["models", "shw"], "show"),
    ],
)
def test_a_typing_mistake_is_told_what_was_meant(skylift, arguments, meant):
    ended = skylift(*arguments)
    assert ended.code == 2
    assert "Did you mean" in ended.err
    assert meant in ended.err


def test_what_is_like_nothing_is_only_refused(skylift):
    ended = skylift("xyzzy")
    assert ended.code == 2
    assert "xyzzy" in ended.err and "Did you mean" not in ended.err
