"""What commands of releases share: shares, limits and times as people write them, and how a canary is shown."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import click

from skylift.cli._options import complete_endpoints, endpoint_option

if TYPE_CHECKING:
    from skylift.artifacts.comparing import CanaryLimits
    from skylift.cli._options import F
    from skylift.client import Stack
    from skylift.client.canaries import Progress

    _OfNumber = click.ParamType[float]
else:
    _OfNumber = click.ParamType  # generic since click 8.5


class Share(_OfNumber):
    """`10%` or `0.1`."""

    name = "share"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        text = str(value).strip()
        try:
            share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
        except ValueError:
            self.fail(f"{value!r} is no share; write 10% or 0.1", param, ctx)
        if not 0 <= share < 1:
            self.fail(f"{value!r} is not from 0 to below 1; write 10% or 0.1", param, ctx)
        return share


class Span(_OfNumber):
    """`90s`, `10m`, `2h`, or a number of seconds."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smh]?)", str(value).strip())
        if found is None:
            self.fail(f"{value!r} is no time; write 90s, 10m or 2h", param, ctx)
        return float(found[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[found[2]]


def limits_of(pairs: tuple[str, ...]) -> CanaryLimits | None:
    """Limits of `NAME=VALUE`; None where none are given.

    Raises:
        click.BadParameter: no such limit, or no value of it.
    """
    if not pairs:
        return None
    import msgspec

    from skylift.artifacts.comparing import CanaryLimits

    known = CanaryLimits.__struct_fields__
    found: dict[str, float] = {}
    for pair in pairs:
        name, _, text = pair.partition("=")
        if name not in known:
            raise click.BadParameter(f"{name!r} is no limit; there is {', '.join(known)}", param_hint="--limit")
        found[name] = _number(name, text)
    return msgspec.convert(found, CanaryLimits)


def _number(name: str, text: str) -> float:
    try:
        value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        raise click.BadParameter(f"{name}={text!r} is no number", param_hint="--limit") from None
    if not 0 <= value < float("inf") or (name == "requests" and value != int(value)):
        raise click.BadParameter(f"{name}={text} is out of range", param_hint="--limit")
    return int(value) if name == "requests" else value


def endpoint_argument(command: F) -> F:
    """The endpoint, as an argument or with `--endpoint`."""
    command = click.argument("named", metavar="[ENDPOINT]", required=False, shell_complete=complete_endpoints)(command)
    return endpoint_option(command)


def one_endpoint(named: str | None, flag: str | None) -> str | None:
    """The endpoint that was named, either way."""
    if named and flag and named != flag:
        raise click.UsageError(f"two endpoints are named: {named} and {flag}")
    return named or flag


def share(weight: float) -> str:
    """A share for people.

    Examples:
        >>> share(0.1), share(0.005), share(0.29)
        ('10%', '0.5%', '29%')
    """
    return f"{weight * 100:.4g}%"


def line(progress: Progress) -> str:
    """A canary in one line."""
    sides = (progress.stable, progress.canary)
    failed = " vs ".join(_rate(one.errors, one.requests) or "-" for one in sides)
    slow = " vs ".join(f"{one.p99_ms:.3g}" if one.p99_ms is not None else "-" for one in sides)
    return (
        f"{progress.model} has {share(progress.weight)}: {progress.canary.requests} of "
        f"{progress.stable.requests + progress.canary.requests} requests, errors {failed}, p99 {slow} ms "
        f"({progress.beside} vs canary)"
    )


def show(progress: Progress) -> None:
    """A canary and the version beside it, as a table."""
    from skylift.cli import _render

    rows = [
        (
            name,
            part,
            one.requests,
            _rate(one.errors, one.requests),
            _rate(one.refusals, one.requests),
            _ms(one.p50_ms),
            _ms(one.p99_ms),
        )
        for name, part, one in (
            (progress.beside, share(1 - progress.weight), progress.stable),
            (progress.model, f"{share(progress.weight)} canary", progress.canary),
        )
    ]
    _render.table(["version", "share", ">requests", ">errors", ">refused", ">p50 ms", ">p99 ms"], rows)
    if progress.vetoed:
        click.echo(f"  {click.style('vetoed', fg='red')}: {progress.vetoed}")


def _rate(part: int, whole: int) -> str:
    return f"{part / whole:.2%}" if whole else ""


def _ms(value: float | None) -> str:
    return f"{value:.3g}" if value is not None else ""


def follow(stack: Stack, endpoint: str, seconds: float | None, *, as_json: bool) -> Progress | None:
    """Follow a canary until it is vetoed or taken away, or time is over; what was seen last.

    Raises:
        VetoedError: it was vetoed.
        Interrupted: the terminal was left; the canary goes on.
    """
    from skylift.cli import _progress
    from skylift.cli._errors import Interrupted
    from skylift.client import canaries
    from skylift.client.releases import VetoedError

    last: Progress | None = None
    try:
        with _progress.spinner("waiting for requests", quiet=as_json) as say:
            for last in canaries.watch(stack, endpoint=endpoint, seconds=seconds):
                say(line(last))
    except KeyboardInterrupt:
        raise Interrupted(
            f"the canary of endpoint {endpoint} goes on without this terminal",
            "`skylift status` shows how it fares, `skylift promote` and `skylift rollback` end it",
            endpoint=endpoint,
        ) from None
    if last is not None and last.vetoed:
        if not as_json:
            show(last)
        raise VetoedError(
            f"the canary {last.model} was vetoed: {last.vetoed}; {last.beside} answers alone",
            hint="`skylift rollback` takes the canary off the record",
            details={"deployment": last.deployment, "why": last.vetoed},
        )
    return last
