"""A Skylift project: the folder with Pulumi.yaml, its stack files, and the hidden folder `.skylift` where local things live."""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skylift.errors import InputError, MachineError, NotFoundError, SettingsError, not_found

if TYPE_CHECKING:
    from skylift.stack.settings import Settings

NAME = "skylift"
_STACK = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")


@dataclass(frozen=True)
class Project:
    """A project by its folder. Looking at it writes nothing; `hidden` is made when first needed."""

    root: Path

    @classmethod
    def find(cls, start: Path | None = None) -> Project:
        """The project around `start` (default: the current folder).

        Raises:
            NotFoundError: there is no Pulumi.yaml of ours in it or above.
        """
        here = (start or Path.cwd()).resolve()
        for folder in (here, *here.parents):
            if _project_name(folder / "Pulumi.yaml") == NAME:
                return cls(folder)
        raise NotFoundError(
            f"{here} is not inside a skylift project",
            hint="run `skylift init` to make one here, or change into the folder of one",
            details={"folder": str(here)},
        )

    @property
    def hidden(self) -> Path:
        """`.skylift`: state, passphrase, local buckets and processes; made with rights for its owner alone.

        Raises:
            MachineError: it cannot be made.
        """
        folder = self.root / ".skylift"
        if not folder.is_dir():
            try:
                folder.mkdir(mode=0o700, exist_ok=True)
                (folder / ".gitignore").write_text("*\n", encoding="utf-8")
            except OSError as error:
                raise _cannot_write(folder, error) from None
        return folder

    # stacks

    def stack_file(self, stack: str) -> Path:
        """Where the settings of `stack` stand, whether they exist or not."""
        if not _STACK.fullmatch(stack):
            raise InputError(
                f"stack name {stack!r} is not allowed",
                hint="use 1 to 100 of A-Z a-z 0-9 _ . - and begin with a letter or digit",
            )
        return self.root / "stacks" / f"Pulumi.{stack}.yaml"

    def stacks(self) -> list[str]:
        """Names of all stacks with a file; the examples are none."""
        names = (path.name for path in (self.root / "stacks").glob("Pulumi.*.yaml"))
        return sorted(name[7:-5] for name in names if not name.startswith("Pulumi.example-"))

    def require(self, stack: str) -> Path:
        """The file of a stack.

        Raises:
            NotFoundError: it has none; the message names near misses.
        """
        path = self.stack_file(stack)
        if not path.is_file():
            raise not_found("stack", stack, self.stacks(), hint=f"`skylift init {stack}` writes {path}")
        return path

    def settings(self, stack: str) -> Settings:
        """The settings of a stack.

        Raises:
            NotFoundError: there is no such stack.
            SettingsError: with every mistake of its file.
        """
        from skylift.stack.settings import load  # with the catalog: not for commands that need no settings

        return load(self.require(stack))

    def unchecked(self, stack: str) -> dict[str, Any]:
        """Our settings of a stack as they stand in its file, for what must be fast or must work beside mistakes.

        Raises:
            NotFoundError: there is no such stack.
            SettingsError: the file is no YAML.
        """
        config = _raw_config(self.require(stack))
        return {key[len(NAME) + 1 :]: value for key, value in config.items() if str(key).startswith(f"{NAME}:")}

    # Pulumi's state and passphrase

    def secrets_provider(self, stack: str) -> str | None:
        """What encrypts secrets in the stack's state, as its file says beside `config:`; None means the passphrase.

        Raises:
            NotFoundError: there is no such stack.
            SettingsError: the file is no YAML.
        """
        named = _document(self.require(stack)).get("secretsprovider")
        return named if isinstance(named, str) and named else None

    @property
    def state_folder(self) -> Path:
        return self.root / ".skylift" / "state"

    def backend_url(self, stack: str, environ: Mapping[str, str] = os.environ) -> str:
        """Where Pulumi keeps the stack's state.

        In this order: the setting `skylift:backend`; the project's hidden folder if it holds this stack already; where the user
        logged in (PULUMI_BACKEND_URL, then `pulumi login`); the project's hidden folder, made if need be.
        """
        named = self.unchecked(stack).get("backend")
        if isinstance(named, str) and named:
            return named
        if not (self.state_folder / ".pulumi" / "stacks" / NAME / f"{stack}.json").is_file():
            elsewhere = _login(environ)
            if elsewhere is not None:
                return elsewhere
        _ = self.hidden
        with _writing(self.state_folder):
            self.state_folder.mkdir(mode=0o700, exist_ok=True)
        return self.state_folder.as_uri()

    def passphrase_file(self) -> Path:
        """The generated passphrase that encrypts secrets in local state; only its owner can read it.

        Two processes that ask first at once get the same one.
        """
        path = self.hidden / "passphrase"
        with _writing(path):
            if not path.exists():
                fresh = path.with_name(f"passphrase.{secrets.token_hex(4)}")
                descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
                with os.fdopen(descriptor, "w") as file:
                    file.write(secrets.token_urlsafe(32))
                with contextlib.suppress(FileExistsError):
                    os.link(fresh, path)
                fresh.unlink()
            if path.stat().st_mode & 0o077:
                path.chmod(0o600)
        return path


def _project_name(path: Path) -> str | None:
    import yaml

    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return None
    name = document.get("name") if isinstance(document, dict) else None
    return name if isinstance(name, str) else None


def _raw_config(path: Path) -> dict[str, Any]:
    """The `config:` section unchecked, for what is needed before (or without) checking all settings."""
    config = _document(path).get("config")
    return config if isinstance(config, dict) else {}


def _document(path: Path) -> dict[str, Any]:
    import yaml

    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SettingsError(f"{path} cannot be read: {' '.join(str(error).split())}", hint="mend the file") from None
    return document if isinstance(document, dict) else {}


def _login(environ: Mapping[str, str]) -> str | None:
    """Where the user sent Pulumi's state. What `skylift env` itself put into a shell is no choice of the user's."""
    url = environ.get("PULUMI_BACKEND_URL")
    if url:
        return url if url != environ.get("SKYLIFT_BACKEND_URL") else None
    home = Path(environ.get("PULUMI_HOME") or Path.home() / ".pulumi")
    try:
        current = json.loads((home / "credentials.json").read_text(encoding="utf-8")).get("current")
    except (OSError, ValueError, AttributeError):
        return None
    return current if isinstance(current, str) and current else None


@contextlib.contextmanager
def _writing(path: Path) -> Any:
    try:
        yield
    except OSError as error:
        raise _cannot_write(path, error) from None


def _cannot_write(path: Path, error: OSError) -> MachineError:
    return MachineError(
        f"{path} cannot be written: {error.strerror}",
        hint="free disk space" if error.errno == 28 else "run from a folder that you may write to, or mend its rights",
        details={"path": str(path)},
    )
