"""Reads settings: from a stack file, from the engine, from plain values. Every mistake of a file comes in one SettingsError."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from skylift.errors import SettingsError, nearest
from skylift.stack.settings.base import PROJECT
from skylift.stack.settings.building import Builder
from skylift.stack.settings.kinds import fields, unfold
from skylift.stack.settings.mistakes import settings_error
from skylift.stack.settings.model import Settings
from skylift.stack.settings.rules import broken_rules


def check(raw: Mapping[str, Any], where: str, *, prefix: str = f"{PROJECT}:") -> Settings:
    """Settings from plain values.

    Args:
        raw: values by key without prefix.
        where: file name for the error.

    Raises:
        SettingsError: with every mistake.
    """
    builder = Builder(prefix)
    settings = builder.section(Settings, dict(raw))
    if settings is None:
        raise settings_error(builder.found, where)
    broken = broken_rules(settings, raw, prefix)
    if broken:
        raise settings_error(broken, where)
    return settings


def load(path: Path) -> Settings:
    """The settings of a stack file.

    Raises:
        SettingsError: the file cannot be read, is not YAML, or holds mistakes; all of them at once.
    """
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}", hint="check the path and its rights") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} is not YAML: {' '.join(str(error).split())}", hint="mend the line named") from None
    config = (document or {}).get("config") if isinstance(document or {}, dict) else None
    if not isinstance(config, dict):
        raise SettingsError(f"{path} has no `config:` section", hint="begin with:\nconfig:\n  skylift:target: local")
    return check(_own(config, str(path)), str(path))


def from_pulumi(config: Mapping[str, str], stack: str) -> Settings:
    """The settings as the engine hands them to a program: one string per key, JSON where the value is structured."""
    raw: dict[str, Any] = {}
    for key, text in config.items():
        if not key.startswith(f"{PROJECT}:"):
            continue
        name = key.removeprefix(f"{PROJECT}:")
        field = fields(Settings).get(name)
        if not text and field is not None and field.default is None:
            continue  # Pulumi.yaml's default for what is not set
        raw[name] = _unquoted(name, text)
    return check(raw, f"stacks/Pulumi.{stack}.yaml")


def _unquoted(name: str, value: Any) -> Any:
    """What the engine made a text of: it writes `false` of a stack file back as `"false"`."""
    field = fields(Settings).get(name)
    is_text = field is not None and unfold(field.type).plain is str
    if is_text or not isinstance(value, str):
        return value
    try:
        return yaml.safe_load(value)
    except yaml.YAMLError:
        return value


def _own(config: Mapping[str, Any], where: str) -> dict[str, Any]:
    own: dict[str, Any] = {}
    bare: list[dict[str, Any]] = []
    for key, value in config.items():
        name = str(key)
        if name.startswith(f"{PROJECT}:"):
            own[name.removeprefix(f"{PROJECT}:")] = _unquoted(name.removeprefix(f"{PROJECT}:"), value)
        elif ":" not in name:
            near = nearest(name, Settings.names())
            bare.append(
                {
                    "key": name,
                    "given": value,
                    "problem": "lacks the prefix `skylift:`",
                    "nearest": f"{PROJECT}:{near or name}",
                }
            )
    if bare:
        raise settings_error(bare, where)
    return own
