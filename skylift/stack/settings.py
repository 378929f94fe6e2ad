"""A stack's settings: strict, typed, frozen. docs/settings.md is generated from this file, Pulumi.yaml's `config:` is tested against it.

A stack file is `stacks/Pulumi.<stack>.yaml`; settings stand under `config:` with the prefix `skylift:`.
Every mistake of a file comes in one SettingsError: file, key, given value, allowed values, nearest key.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from skylift.errors import SettingsError, nearest

PROJECT = "skylift"
Target = Literal["local"]
TARGETS: tuple[str, ...] = get_args(Target)

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$")]


def _bucket_url(value: str) -> str:
    if not value.startswith(("file:///", "s3://", "gs://", "az://")):
        raise ValueError("must be a URL: file:///folder, s3://bucket, gs://bucket or az://account/container")
    return value.rstrip("/")


BucketUrl = Annotated[str, AfterValidator(_bucket_url)]


class Strict(BaseModel):
    """No unknown keys, no silent conversions, no change after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


class BucketSettings(Strict):
    """The two buckets. What is not named is made by the stack; what is named is used as it is and never removed."""

    keep: BucketUrl | None = Field(
        None, description="URL of a bucket that exists already, for models, runs and deployments."
    )
    work: BucketUrl | None = Field(
        None, description="URL of a bucket that exists already, for logs, events and checkpoints."
    )


class EndpointSettings(Strict):
    """One served address."""

    host: Literal["127.0.0.1", "::1"] = Field(
        "127.0.0.1", description="Address to listen on; only this machine can reach it."
    )
    port: int = Field(8501, ge=0, le=65535, description="HTTP port. 0 takes a free one at the first `up` and keeps it.")
    workers: int = Field(1, ge=1, le=256, description="Serving processes that share the port.")
    backend: Literal["auto", "onnx", "tensorflow"] = Field(
        "auto",
        description="What computes: `auto` takes ONNX Runtime where the version's parity holds, else TensorFlow.",
    )
    threads: int = Field(
        0, ge=0, le=256, description="Threads of one worker. 0 divides the CPUs that this machine lends by the workers."
    )
    queue_rows: int = Field(
        4096, ge=1, le=1_000_000, description="Rows that may wait per worker; more are refused with 429."
    )
    max_batch_rows: int = Field(64, ge=1, le=65536, description="Rows that are computed at once.")
    drain_seconds: float = Field(30.0, ge=0, le=3600, description="How long requests in flight may take at a stop [s].")


class Settings(Strict):
    """All settings of a stack."""

    target: Target = Field(description="Where the stack runs.")
    backend: str | None = Field(
        None, description="URL of Pulumi's state. Default: a folder in the project's hidden folder `.skylift`."
    )
    owner: str | None = Field(
        None, max_length=63, description="Who answers for the stack; shown by `status`, a tag on clouds."
    )
    disposable: bool = Field(
        False, description="Whether `down` deletes the stack's own buckets with all that is in them."
    )
    buckets: BucketSettings = Field(BucketSettings(), description="Buckets of yours to use in place of new ones.")
    endpoints: dict[Name, EndpointSettings] = Field(
        {"default": EndpointSettings()}, description="Served addresses by name."
    )


def check(raw: Mapping[str, Any], where: str, *, prefix: str = f"{PROJECT}:") -> Settings:
    """Settings from plain values.

    Args:
        raw: values by key without prefix.
        where: file name for the error.

    Raises:
        SettingsError: with every mistake.
    """
    try:
        settings = Settings.model_validate(dict(raw), strict=True)
    except ValidationError as error:
        raise _settings_error(_mistakes(error, prefix), where) from None
    mistakes = _cross_checks(settings, prefix)
    if mistakes:
        raise _settings_error(mistakes, where)
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
        field = Settings.model_fields.get(name)
        if not text and field is not None and field.default is None:
            continue  # Pulumi.yaml's default for what is not set
        raw[name] = text if field is not None and field.annotation in (str, str | None) else yaml.safe_load(text)
    return check(raw, f"stacks/Pulumi.{stack}.yaml")


def _own(config: Mapping[str, Any], where: str) -> dict[str, Any]:
    own: dict[str, Any] = {}
    mistakes: list[dict[str, Any]] = []
    for key, value in config.items():
        name = str(key)
        if name.startswith(f"{PROJECT}:"):
            own[name.removeprefix(f"{PROJECT}:")] = value
        elif ":" not in name:
            near = nearest(name, Settings.model_fields)
            mistakes.append(
                {
                    "key": name,
                    "given": value,
                    "problem": "lacks the prefix `skylift:`",
                    "nearest": f"{PROJECT}:{near or name}",
                }
            )
    if mistakes:
        raise _settings_error(mistakes, where)
    return own


def _cross_checks(settings: Settings, prefix: str) -> list[dict[str, Any]]:
    mistakes: list[dict[str, Any]] = []
    taken: dict[int, str] = {}
    for name, endpoint in settings.endpoints.items():
        if endpoint.port and endpoint.port in taken:
            mistakes.append(
                {
                    "key": f"{prefix}endpoints.{name}.port",
                    "given": endpoint.port,
                    "problem": f"is the port of endpoint {taken[endpoint.port]!r} already",
                }
            )
        taken.setdefault(endpoint.port, name)
        if endpoint.max_batch_rows > endpoint.queue_rows:
            mistakes.append(
                {
                    "key": f"{prefix}endpoints.{name}.max_batch_rows",
                    "given": endpoint.max_batch_rows,
                    "problem": f"is more than queue_rows ({endpoint.queue_rows})",
                }
            )
    keep, work = settings.buckets.keep, settings.buckets.work
    if keep is not None and keep == work:
        mistakes.append(
            {"key": f"{prefix}buckets.work", "given": work, "problem": "must not be the same bucket as keep"}
        )
    return mistakes


def _mistakes(error: ValidationError, prefix: str) -> list[dict[str, Any]]:
    return [_mistake(detail, prefix) for detail in error.errors(include_url=False)]


def _mistake(detail: Any, prefix: str) -> dict[str, Any]:
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
        "greater_than_equal": "must be at least {ge}",
        "less_than_equal": "must be at most {le}",
        "int_type": "must be a whole number",
        "float_type": "must be a number",
        "bool_type": "must be true or false",
        "string_type": "must be text",
        "string_pattern_mismatch": "may hold a-z 0-9 . _ - only, and must begin and end with a letter or digit",
        "string_too_long": "must be at most {max_length} characters long",
        "model_type": "must be a section with keys of its own",
        "dict_type": "must be a section with keys of its own",
        "value_error": "{error}",
    }
    template = sentences.get(kind)
    return template.format(**context) if template else str(detail["msg"])


def _fields_at(location: list[str]) -> list[str]:
    """Names that are allowed at a place: [] the settings, [endpoints, x] an endpoint."""
    sections: dict[str, type[Strict]] = {"endpoints": EndpointSettings, "buckets": BucketSettings}
    return list(sections[location[0]].model_fields if location else Settings.model_fields)


def _settings_error(mistakes: list[dict[str, Any]], where: str) -> SettingsError:
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
