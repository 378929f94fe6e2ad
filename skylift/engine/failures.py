"""Turns what the engine says of a failure into one error of ours: the same kind that the program or a provider raised where it was
ours, else the essential lines; never a traceback."""

from __future__ import annotations

import re
from collections.abc import Sequence

from skylift import errors
from skylift.engine.clouds import cloud_failure
from skylift.errors import ConflictError, CredentialsError, MachineError, NotFoundError, ProvisionError, SkyliftError

_KINDS: dict[str, type[SkyliftError]] = {
    name: kind
    for name, kind in vars(errors).items()
    if isinstance(kind, type) and issubclass(kind, SkyliftError) and kind is not SkyliftError
}
_OURS = re.compile(rf"(?:skylift\.\w+\.)?\b({'|'.join(_KINDS)}): (.*)", re.DOTALL)
_LOCKED = re.compile(r"created by (\S+?)@(\S+) \(pid (\d+)\) at (\S+)")
_NOISE = (
    "update failed",
    "preview failed",
    "resource registration failed",
    "failed to register",
    "an unhandled error occurred: program exited",
)


class LockedError(ConflictError):
    """Another engine holds the stack."""


def is_missing_stack(text: str) -> bool:
    """Whether the engine says that the stack is not in its backend yet."""
    return "no stack named" in text


def is_locked(text: str) -> bool:
    """Whether the engine says that another update holds the stack."""
    return "the stack is currently locked" in text or "Another update is currently in progress" in text


def locked(text: str, stack: str) -> LockedError:
    """The error for a stack that another process is changing; names the process."""
    match = _LOCKED.search(text)
    who = f" by {match[1]} on {match[2]} (pid {match[3]}) since {match[4]}" if match else ""
    return LockedError(
        f"stack {stack!r} is being changed{who}",
        hint=f"wait for it to end; if it is gone for certain, run `pulumi cancel --stack {stack} --yes` in the shell that "
        f'`eval "$(skylift env {stack})"` makes',
        details={"stack": stack, "user": match[1], "host": match[2], "pid": int(match[3]), "since": match[4]}
        if match
        else {"stack": stack},
    )


def failure(stack: str, verb: str, messages: Sequence[str], stderr: str, log: str) -> SkyliftError:
    """The error of a failed operation.

    Args:
        verb: `up`, `preview`, `refresh`, `destroy`.
        messages: error diagnostics in order.
        stderr: what the program printed beside them.
        log: path of the whole output.
    """
    texts = [*messages, stderr]
    for text in texts:
        if is_locked(text):
            return locked(text, stack)
    for text in texts:
        match = _OURS.search(text)
        if match:
            return _ours(match[1], match[2], stack)
    for text in texts:
        known = _known(text, stack) or cloud_failure(" ".join(_without_frames(text)), stack)
        if known is not None:
            return known
    lines = _essential(texts)
    return ProvisionError(
        f"`{verb}` of stack {stack!r} failed:\n" + "\n".join(f"  {line}" for line in lines),
        hint=f"the engine's whole output is {log}",
        details={"stack": stack, "diagnostics": lines, "log": log},
    )


def _ours(kind: str, text: str, stack: str) -> SkyliftError:
    message, _, hint = text.rstrip().partition("\n  hint: ")
    return _KINDS[kind](message, hint=hint.split("\n\n")[0].strip(), details={"stack": stack})


def _known(text: str, stack: str) -> SkyliftError | None:
    if "incorrect passphrase" in text or "passphrase must be set" in text:
        return CredentialsError(
            f"the passphrase does not fit stack {stack!r}",
            hint="it was made with another one: set PULUMI_CONFIG_PASSPHRASE or PULUMI_CONFIG_PASSPHRASE_FILE to that, or restore "
            "`.skylift/passphrase`; if the stack never was up, remove `encryptionsalt` from its file",
        )
    if is_missing_stack(text):
        return NotFoundError(f"stack {stack!r} was never up", hint=f"run `skylift up {stack}`")
    if "no space left on device" in text:
        return MachineError("the disk is full", hint="free some space and run again", details={"stack": stack})
    if "permission denied" in text.lower() and "/.pulumi/" in text:
        return MachineError(
            f"Pulumi's state cannot be written: {_essential([text])[0]}", hint="mend the rights of that folder"
        )
    return None


def _essential(texts: Sequence[str]) -> list[str]:
    """The lines that say what is wrong: no frames of a traceback, nothing twice, 20 at most."""
    lines: list[str] = []
    for text in texts:
        for line in _without_frames(text):
            clean = line.strip().removeprefix("error: ")
            if clean and clean not in lines and not clean.lower().startswith(_NOISE):
                lines.append(clean)
    return lines[:20] or ["the engine gave no reason"]


def _without_frames(text: str) -> list[str]:
    if "Traceback (most recent call last)" not in text:
        return text.splitlines()
    kept = [line for line in text.splitlines() if line.strip() and not line.strip().startswith("Traceback")]
    frame = max((number for number, line in enumerate(kept) if re.match(r"\s+File \"", line)), default=-1)
    first = next(
        (number for number in range(frame + 1, len(kept)) if re.match(r"\s*[\w.]+(Error|Exception)\b", kept[number])), 0
    )
    return kept[first:]
