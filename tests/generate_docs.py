"""Writes docs/commands.md from the commands, docs/settings.md from the settings, docs/permissions.md from the grants:
`python -m tests.generate_docs`. tests/cli/test_docs.py holds that the files are what this writes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, get_args

import click
from msgspec import NODEFAULT
from msgspec.structs import FieldInfo

from skylift.cli import cli
from skylift.cli._group import SECTIONS
from skylift.stack.settings import Settings
from skylift.stack.settings.base import BucketUrl, Cidr, Duration, Email, ImageDigest, Name, Prefix, Section, Tags
from skylift.stack.settings.clouds import Principal
from skylift.stack.settings.kinds import Kind, fields, unfold
from tests import permissions_page

DOCS = Path(__file__).parents[1] / "docs"

EXAMPLE = """\
```yaml
config:
  skylift:target: local
  skylift:owner: ada
  skylift:endpoints:
    default: {port: 8501, workers: 2}
```"""


def commands() -> str:
    """docs/commands.md: every command with what it takes."""
    context = click.Context(cli, info_name="skylift")
    parts = [
        "# Commands",
        "Written by `python -m tests.generate_docs` from the commands themselves; do not edit.",
        "Every command takes `--json` (one JSON document on standard output, errors included), `--debug` (tracebacks) and `--help`. "
        "`skylift -C FOLDER …` works with the project in another folder. [Exit codes](exit-codes.md) tell scripts what happened.",
    ]
    for section, names in SECTIONS.items():
        parts.append(f"## {section}")
        for name in names:
            command = cli.get_command(context, name)
            assert command is not None
            parts += _command(command, click.Context(command, info_name=name, parent=context))
    return "\n\n".join(parts) + "\n"


def _command(command: click.Command, context: click.Context) -> Iterator[str]:
    pieces = " ".join(command.collect_usage_pieces(context))
    yield f"### {context.command_path}"
    yield f"`{context.command_path} {pieces}`"
    yield _prose(command.help or "")
    rows = [record for one in command.get_params(context) if (record := _option(one, context)) is not None]
    if rows:
        yield "| option | |\n|---|---|\n" + "\n".join(f"| `{name}` | {text} |" for name, text in rows)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            sub = command.get_command(context, name)
            assert sub is not None
            yield from _command(sub, click.Context(sub, info_name=name, parent=context))


def _option(parameter: click.Parameter, context: click.Context) -> tuple[str, str] | None:
    if not isinstance(parameter, click.Option) or {"--json", "--debug", "--help"} & set(parameter.opts):
        return None
    record = parameter.get_help_record(context)
    assert record is not None
    return record[0].replace("|", "\\|"), record[1].replace("|", "\\|")


def _prose(text: str) -> str:
    paragraphs = [paragraph.strip(" \n") for paragraph in text.split("\n\n")]
    return "\n\n".join(
        "```\n" + re.sub(r"(?m)^\s*", "", paragraph.removeprefix("\b\n")) + "\n```"
        if paragraph.startswith("\b")
        else " ".join(paragraph.split())
        for paragraph in paragraphs
    )


def settings() -> str:
    """docs/settings.md: every setting of a stack file."""
    parts = [
        "# Settings of a stack",
        "Written by `python -m tests.generate_docs` from skylift/stack/settings/; do not edit.",
        "A stack's settings stand in `stacks/Pulumi.<stack>.yaml` under `config:`. They are strict: an unknown key, a wrong type or a "
        "value out of range is refused before anything is touched, and every mistake of the file is listed at once.",
        EXAMPLE,
        "| setting | takes | default | |\n|---|---|---|---|\n" + "\n".join(_rows("skylift:", Settings)),
    ]
    return "\n\n".join(parts) + "\n"


def _rows(prefix: str, section: type[Section]) -> Iterator[str]:
    for name, field in fields(section).items():
        kind = unfold(field.type)
        if kind.shape is Section:
            yield from _rows(f"{prefix}{name}.", kind.plain)
        elif kind.shape is dict and unfold(get_args(kind.plain)[1]).shape is Section:
            yield f"| `{prefix}{name}` | {name} by name | `default` with all defaults | {kind.description} |"
            yield from _rows(f"{prefix}{name}.NAME.", get_args(kind.plain)[1])
        else:
            yield f"| `{prefix}{name}` | {_takes(kind)} | {_default(field)} | {kind.description} |"


def _default(field: FieldInfo) -> str:
    if field.required:
        return "required"
    return "none" if field.default in (None, NODEFAULT) else f"`{_yaml(field.default)}`"


def _yaml(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


NAMED = {
    (unfold(annotation).limits, unfold(annotation).checks): words
    for annotation, words in (
        (BucketUrl, "URL"),
        (Cidr, "range of addresses"),
        (Duration, "hours or days, `12h`, `7d`"),
        (Email, "e-mail address"),
        (ImageDigest, "image by digest"),
        (Name, "name"),
        (Prefix, "2 to 16 of a-z 0-9 -"),
        (Principal, "principal"),
        (Tags, "texts by key"),
    )
}


def _takes(kind: Kind) -> str:
    if kind.shape is Literal:
        return ", ".join(f"`{_yaml(value)}`" for value in get_args(kind.plain))
    if kind.shape is list:
        return f"list of: {_takes(unfold(get_args(kind.plain)[0]))}"
    if (kind.limits, kind.checks) in NAMED:
        return NAMED[kind.limits, kind.checks]
    words = {bool: "`true`, `false`", int: "whole number", float: "number", str: "text"}[kind.plain]
    low = [str(limit.ge) for limit in kind.limits if limit.ge is not None]
    low += [f"more than {limit.gt}" for limit in kind.limits if limit.gt is not None]
    high = [limit.le for limit in kind.limits if limit.le is not None]
    longest = [limit.max_length for limit in kind.limits if limit.max_length is not None]
    if low and high:
        return f"{words}, {low[0]} to {high[0]}"
    if low:
        return f"{words}, {low[0]}"
    return f"{words}, up to {longest[0]} letters" if longest else words


def pages() -> dict[Path, str]:
    return {
        DOCS / "commands.md": commands(),
        DOCS / "settings.md": settings(),
        DOCS / "permissions.md": permissions_page.page(),
    }


if __name__ == "__main__":
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")
