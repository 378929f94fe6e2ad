"""Writes docs/commands.md from the commands, docs/settings.md from the settings, docs/permissions.md from the grants:
`python -m tests.generate_docs`. tests/cli/test_docs.py holds that the files are what this writes.
"""

from __future__ import annotations

import re
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import annotated_types
import click
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from skylift.cli import cli
from skylift.cli._group import SECTIONS
from skylift.stack.settings import Settings
from skylift.stack.settings.base import BucketUrl, Cidr, Duration, Email, ImageDigest, Name, Prefix, Tags
from skylift.stack.settings.clouds import Principal
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


def _rows(prefix: str, model: type[BaseModel]) -> Iterator[str]:
    for name, field in model.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from _rows(f"{prefix}{name}.", inner)
        elif get_origin(inner) is dict and issubclass(get_args(inner)[1], BaseModel):
            yield f"| `{prefix}{name}` | {name} by name | `default` with all defaults | {field.description} |"
            yield from _rows(f"{prefix}{name}.NAME.", get_args(inner)[1])
        else:
            default = (
                "required"
                if field.is_required()
                else "none"
                if field.default in (None, [], {})
                else f"`{_yaml(field.default)}`"
            )
            yield f"| `{prefix}{name}` | {_takes(inner, field)} | {default} | {field.description} |"


def _yaml(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


NAMED = {
    BucketUrl: "URL",
    Cidr: "range of addresses",
    Duration: "hours or days, `12h`, `7d`",
    Email: "e-mail address",
    ImageDigest: "image by digest",
    Name: "name",
    Prefix: "2 to 16 of a-z 0-9 -",
    Principal: "principal",
    Tags: "texts by key",
}


def _takes(kind: Any, field: FieldInfo) -> str:
    origin = get_origin(kind)
    if origin is Literal:
        return ", ".join(f"`{_yaml(value)}`" for value in get_args(kind))
    if origin in (Union, types.UnionType):
        return _takes(next(one for one in get_args(kind) if one is not type(None)), field)
    if origin is list:
        return f"list of: {_takes(get_args(kind)[0], FieldInfo())}"
    if origin is Annotated:
        return NAMED[kind]
    if origin is dict:
        return NAMED[Tags]
    words = {bool: "`true`, `false`", int: "whole number", float: "number", str: "text"}[kind]
    low = [str(mark.ge) for mark in field.metadata if isinstance(mark, annotated_types.Ge)]
    low += [f"more than {mark.gt}" for mark in field.metadata if isinstance(mark, annotated_types.Gt)]
    high = [mark.le for mark in field.metadata if isinstance(mark, annotated_types.Le)]
    longest = [mark.max_length for mark in field.metadata if isinstance(mark, annotated_types.MaxLen)]
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
