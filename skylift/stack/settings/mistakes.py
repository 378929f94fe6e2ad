"""Turns what is wrong with a file into one error that says everything at once: key, given value, allowed values, nearest key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args, get_origin

from pydantic import ValidationError

from skylift.errors import SettingsError, nearest
from skylift.stack.settings.base import NAME_PATTERN, Strict
from skylift.stack.settings.model import TARGETS, Settings

Mistake = dict[str, Any]


def mistakes(error: ValidationError, prefix: str) -> list[Mistake]:
    """Of each fault that pydantic found, one mistake."""
    return [_mistake(detail, prefix) for detail in error.errors(include_url=False)]


def _mistake(detail: Any, prefix: str) -> Mistake:
    location = [str(part) for part in detail["loc"] if part != "[key]"]
    key = prefix + ".".join(location)
    context = detail.get("ctx", {})
    if detail["type"] == "missing":
        allowed = TARGETS if location == ["target"] else ()
        return {"key": key, "problem": "is missing", "allowed": list(allowed)}
    if detail["type"] == "extra_forbidden":
        known = _fields_at(location[:-1])
        near = nearest(location[-1], known)
        siblings = prefix + ".".join([*location[:-1], ""]) if location[:-1] else prefix
        return {
            "key": key,
            "given": detail["input"],
            "problem": "is no setting",
            "nearest": f"{siblings}{near}" if near else None,
            "allowed": sorted(known),
        }
    mistake: dict[str, Any] = {"key": key, "given": detail["input"], "problem": _problem(detail)}
    if detail["type"] == "literal_error":
        values = [value.strip("'") for value in context["expected"].replace(" or ", ", ").split(", ")]
        mistake["allowed"] = values
        mistake["nearest"] = nearest(str(detail["input"]), values)
    return mistake


def _problem(detail: Any) -> str:
    kind, context = detail["type"], detail.get("ctx", {})
    sentences = {
        "literal_error": "is not allowed",
        "greater_than": "must be more than {gt}",
        "greater_than_equal": "must be at least {ge}",
        "less_than_equal": "must be at most {le}",
        "int_type": "must be a whole number",
        "float_type": "must be a number",
        "bool_type": "must be true or false",
        "string_type": "must be text; put it in quotes",
        "string_pattern_mismatch": "must be of the form {pattern}",
        "string_too_long": "must be at most {max_length} characters long",
        "string_too_short": "must be at least {min_length} characters long",
        "too_long": "may hold {max_length} at the most",
        "list_type": "must be a list",
        "model_type": "must be a section with keys of its own",
        "dict_type": "must be a section with keys of its own",
        "value_error": "{error}",
    }
    if kind == "string_pattern_mismatch" and context["pattern"] == NAME_PATTERN:
        return "may hold a-z 0-9 . _ - only, and must begin and end with a letter or digit"
    template = sentences.get(kind)
    return template.format(**context) if template else str(detail["msg"])


def _fields_at(location: list[str]) -> list[str]:
    """Names that are allowed at a place: [] the settings, [endpoints, x] an endpoint, [pools, x] a pool."""
    model: type[Strict] = Settings
    parts = iter(location)
    for part in parts:
        inner = model.model_fields[part].annotation
        if get_origin(inner) is dict:
            inner = get_args(inner)[1]
            next(parts, None)
        assert isinstance(inner, type) and issubclass(inner, Strict)
        model = inner
    return list(model.model_fields)


def settings_error(mistakes: list[Mistake], where: str) -> SettingsError:
    lines = [describe(mistake) for mistake in mistakes]
    count = "one mistake" if len(lines) == 1 else f"{len(lines)} mistakes"
    return SettingsError(
        f"{where} has {count}:\n" + "\n".join(f"  {line}" for line in lines),
        hint=f"mend {where}; docs/settings.md explains every setting",
        details={"file": where, "mistakes": mistakes},
    )


def describe(mistake: Mapping[str, Any]) -> str:
    """One mistake as one sentence."""
    text = f"{mistake['key']}"
    if "given" in mistake:
        text += f" = {mistake['given']!r}"
    text += f" {mistake['problem']}"
    if mistake.get("nearest"):
        text += f"; did you mean {mistake['nearest']!r}?"
    if mistake.get("allowed"):
        text += f" (allowed: {', '.join(map(str, mistake['allowed']))})"
    return text
