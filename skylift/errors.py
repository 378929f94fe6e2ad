"""Every error that Skylift raises on purpose, with the exit code a script can act on.

* SkyliftError                 1   anything of ours
  + InputError                 3   a setting, file, option value or record is wrong
    - SettingsError            3   a stack file, with all its mistakes
    - RecordError              3   a record in a bucket that cannot be read
    - RecipeError              3   a recipe that breaks the contract
  + NotFoundError              4   no such stack, run, model, recipe, object
  + ConflictError              5   somebody else changed or holds it
  + MachineError               6   this machine lacks something: a tool, disk, a port, a right on a folder
  + CredentialsError           7   not signed in, or not allowed
  + ProvisionError             8   the Pulumi engine could not finish
    - QuotaError               8   the account's quota does not allow it
    - CapacityError            8   the cloud has no such machine free
  + RunFailedError             9   the training run ended without a model
  + DeployError                10  a version was refused, or taken back
  + UnreachableError           11  a server or a bucket does not answer, or not in time
  + SavedError                 75  stopped on request, saved, to be resumed (EX_TEMPFAIL)

Exit code 2 is click's (usage), 130 an interrupt from the keyboard. docs/exit-codes.md shows the same table.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from collections.abc import Iterable


class SkyliftError(Exception):
    """An error with a message for people, a hint that names the fix, and facts for machines.

    Args:
        message: what is wrong and where, one sentence, no trailing full stop.
        hint: what to do about it; empty only where nothing can be done.
        details: the same facts by name, for `--json`.
    """

    exit_code: ClassVar[int] = 1
    kind: ClassVar[str] = "error"

    def __init__(self, message: str, *, hint: str = "", details: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.details = details or {}

    def to_dict(self) -> dict[str, Any]:
        """What `--json` prints for this error."""
        return {
            "error": {
                "kind": self.kind,
                "message": self.message,
                "hint": self.hint,
                "exit_code": self.exit_code,
                "details": self.details,
            }
        }


class InputError(SkyliftError):
    """Something that a person wrote is wrong."""

    exit_code = 3
    kind = "input"


class SettingsError(InputError):
    """A stack file with one or more mistakes; `details["mistakes"]` lists them all."""

    kind = "settings"


class RecordError(InputError):
    """A record that is malformed, or written by a newer Skylift."""

    kind = "record"


class RecipeError(InputError):
    """A recipe that cannot be imported or breaks the recipe contract."""

    kind = "recipe"


class NotFoundError(SkyliftError):
    """Nothing has that name."""

    exit_code = 4
    kind = "not_found"


class ConflictError(SkyliftError):
    """Somebody else was first, or still holds it."""

    exit_code = 5
    kind = "conflict"


class MachineError(SkyliftError):
    """This machine lacks something."""

    exit_code = 6
    kind = "machine"


class CredentialsError(SkyliftError):
    """Not signed in, or not allowed."""

    exit_code = 7
    kind = "credentials"


class ProvisionError(SkyliftError):
    """The Pulumi engine could not finish."""

    exit_code = 8
    kind = "provision"


class QuotaError(ProvisionError):
    """The account may not have that many. Somebody must raise the quota; trying again does not help."""

    kind = "quota"


class CapacityError(ProvisionError):
    """The cloud has none free. Another zone, machine or moment may help; a higher quota does not."""

    kind = "capacity"


class RunFailedError(SkyliftError):
    """A training run ended without a model."""

    exit_code = 9
    kind = "run_failed"


class DeployError(SkyliftError):
    """A version was refused before it served, or taken back after it failed to load."""

    exit_code = 10
    kind = "deploy"


class UnreachableError(SkyliftError):
    """A server or bucket does not answer, or not in time."""

    exit_code = 11
    kind = "unreachable"


class SavedError(SkyliftError):
    """Stopped on request; the state is saved and the work can be resumed."""

    exit_code = 75
    kind = "saved"


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that `word` was probably meant to be, or None.

    Examples:
        >>> nearest("mnits", ["mnist", "tabular"])
        'mnist'
        >>> nearest("zzz", ["mnist"]) is None
        True
    """
    import difflib  # only where somebody mistyped

    matches = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return matches[0] if matches else None


def not_found(what: str, name: str, known: Iterable[str], *, hint: str = "") -> NotFoundError:
    """A NotFoundError that names near misses and, where there are few, everything that exists.

    Examples:
        >>> str(not_found("recipe", "mnits", ["mnist"]))
        "no recipe 'mnits': did you mean 'mnist'?"
    """
    names = sorted(known)
    guess = nearest(name, names)
    message = f"no {what} {name!r}"
    if guess:
        message += f": did you mean {guess!r}?"
    elif 0 < len(names) <= 10:
        message += f"; there is {', '.join(names)}"
    elif not names:
        message += f"; there is no {what} at all"
    return NotFoundError(message, hint=hint, details={"what": what, "name": name, "known": names[:50]})
