"""The two buckets as folders of this machine."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pulumi
from pulumi.dynamic import CheckFailure, CheckResult, CreateResult, DiffResult, ReadResult, Resource, UpdateResult

from infra.local.dynamic import LocalProvider, own, said, told
from skylift.errors import ConflictError, MachineError, NotFoundError
from skylift.stack.local import KINDS, Kind, LocalFolders, owner, owner_note
from skylift.stack.settings import BucketSettings
from skylift.store import open_store


class FolderProvider(LocalProvider):
    """A folder as a bucket. Never touches one that it did not make; keeps what is inside unless told to delete it."""

    @told
    def check(self, _olds: dict[str, Any], news: dict[str, Any]) -> CheckResult:
        error = foreign(Path(news["path"]), news["owner"])
        return CheckResult(news, [CheckFailure("path", said(error))] if error else [])

    @told
    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        moved = [key for key in ("path", "owner") if _olds[key] != _news[key]]
        gone = owner(Path(_news["path"])) is None or not Path(_news["path"]).is_dir()
        return DiffResult(changes=bool(moved) or gone or _olds["delete_data"] != _news["delete_data"], replaces=moved)

    @told
    def create(self, props: dict[str, Any]) -> CreateResult:
        return CreateResult(props["path"], _make(props))

    @told
    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        return ReadResult(id_ if Path(props["path"]).is_dir() else None, own(props))

    @told
    def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> UpdateResult:
        return UpdateResult(_make(_news))

    @told
    def delete(self, _id: str, _props: dict[str, Any]) -> None:
        if _props["delete_data"]:
            discard(Path(_props["path"]), _props["owner"])


def foreign(path: Path, wanted: Mapping[str, str]) -> ConflictError | None:
    """Why a folder may not become this bucket: it holds something that is not ours."""
    if owner(path) == wanted or not path.exists() or (path.is_dir() and not any(path.iterdir())):
        return None
    return ConflictError(
        f"{path} holds files that are not this stack's",
        hint=f"move it away, or name it as skylift:buckets.{wanted['kind']}: {path.as_uri()} to use it as it is",
    )


def discard(path: Path, wanted: Mapping[str, str]) -> None:
    """Remove a bucket of ours with all that is in it."""
    if owner(path) != wanted:
        return
    if path.is_dir():
        shutil.rmtree(path)
    owner_note(path).unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        path.parent.rmdir()  # once the other bucket is gone too; both may get here at once


def _make(props: dict[str, Any]) -> dict[str, Any]:
    path = Path(props["path"])
    error = foreign(path, props["owner"])
    if error:
        raise error
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        owner_note(path).write_text(json.dumps(props["owner"]), encoding="utf-8")
    except OSError as failure:
        raise MachineError(
            f"{path} cannot be made: {failure.strerror}", hint="mend the rights of the folder above"
        ) from None
    return own(props)


class Folder(Resource, module="local", name="Folder"):
    """One bucket; see FolderProvider."""

    url: pulumi.Output[str]

    def __init__(self, name: str, inputs: Mapping[str, Any], opts: pulumi.ResourceOptions) -> None:
        super().__init__(FolderProvider(), name, dict(inputs), opts)


class Buckets(pulumi.ComponentResource):
    """Keep and work below the project's hidden folder, with rights for their owner alone, or the stack's named ones.

    A named bucket is looked at (it must exist and let itself be listed) and never changed or removed by the stack.
    A folder of ours outlives `down` unless the stack is disposable, and is taken up again by the next `up`.
    """

    def __init__(
        self,
        name: str,
        *,
        settings: BucketSettings,
        folders: LocalFolders,
        delete_data: bool,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("skylift:local:Buckets", name, {}, opts)
        self._folders = folders
        self._delete_data = delete_data
        self.keep, self.work = (self._bucket(kind, getattr(settings, kind)) for kind in KINDS)
        self.register_outputs({"keep": self.keep, "work": self.work})

    def _bucket(self, kind: Kind, named: str | None) -> pulumi.Output[str]:
        if named is not None:
            check_named(kind, named)
            return pulumi.Output.from_input(named)
        path = self._folders.bucket(kind)
        inputs = {
            "path": str(path),
            "url": path.as_uri(),
            "owner": {"project": "skylift", "stack": self._folders.stack, "kind": kind},
            "delete_data": self._delete_data,
        }
        return Folder(kind, inputs, pulumi.ResourceOptions(parent=self)).url


def check_named(kind: Kind, url: str) -> None:
    """Fail early, and by the name of the setting, if a bucket of the user's is not there.

    Raises:
        NotFoundError: a folder that does not exist.
        SkyliftError: what the store says of a bucket that cannot be listed.
    """
    path = Path(unquote(urlsplit(url).path))
    if url.startswith("file://") and not path.is_dir():
        raise NotFoundError(
            f"skylift:buckets.{kind} names {url}, which does not exist",
            hint="make the folder, or leave the setting out",
        )
    open_store(url).folders("")
