"""What a team needs before its first stack: a bucket for state and a key for its secrets, made by the program infra.bootstrap.

Each place (prefix, account, region) is a stack of a small project of its own in `.skylift/bootstrap`, with state there.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from skylift import assets
from skylift.errors import MachineError, NotFoundError, ProvisionError
from skylift.files import write_whole
from skylift.stack import settings
from skylift.stack.project import Project

if TYPE_CHECKING:
    from skylift.engine import Engine, OnBuild, OnEvent

PROGRAM = """\
# What `skylift bootstrap` runs. Written anew at each run.
from infra.bootstrap import main

main()
"""

MADE_HERE = "skylift-bootstrap:made_here"


@dataclass(frozen=True)
class Place:
    """Where state is to be kept. `prefix` begins the names of what is made."""

    target: str
    region: str
    account: str
    prefix: str = "skylift"
    owner: str | None = None

    @property
    def cloud(self) -> str:
        return settings.CLOUDS[self.target]

    @property
    def stack(self) -> str:
        """Name of the bootstrap's own stack."""
        return f"{self.cloud}-{self.prefix}-{self.account}-{self.region}"


@dataclass(frozen=True)
class Made:
    """What `init` takes. `found` names what was there already: `bucket`, `key`."""

    backend: str
    secrets_provider: str
    found: tuple[str, ...] = ()


class Bootstrap:
    """The bucket and key of one place.

    Args:
        folder: where `skylift` works; the project around it, or the folder itself where there is none yet.

    Raises:
        SettingsError: region, account or prefix is not allowed.
        MachineError: the folder cannot be written.
    """

    def __init__(self, folder: Path, place: Place, *, on_build: OnBuild | None = None) -> None:
        self.place = place
        self._project = Project(_home(folder))
        self._config = _config(place)
        settings.check(self._config, f"bootstrap of {place.account}")
        self._on_build = on_build

    @property
    def engine(self) -> Engine:
        from skylift.engine import Engine

        self._write()
        return Engine(self._project, self.place.stack, progress=self._on_build)

    def up(self, on_event: OnEvent | None = None) -> Made:
        """Make what is missing; what there is stays. A run that broke off is completed by the next.

        Raises:
            ProvisionError: with the essential lines of what the engine said.
        """
        self.engine.up(on_event)
        made = _made(self._project, self.place.stack)
        if made is None:
            raise ProvisionError(
                f"the bootstrap of {self.place.account} ended without its outputs",
                hint=f"see {self._project.hidden / f'engine-{self.place.stack}.log'} and run the same command again",
            )
        return made

    def _write(self) -> None:
        made_here = bool(_resources(self._project, self.place.stack))
        config: dict[str, object] = {f"skylift:{key}": value for key, value in self._config.items()}
        config |= {"skylift:backend": self._project.state_folder.as_uri(), MADE_HERE: made_here}
        files = {
            self._project.root / "Pulumi.yaml": assets.path("Pulumi.yaml").read_text(encoding="utf-8"),
            self._project.root / "__main__.py": PROGRAM,
            self._project.stack_file(self.place.stack): _kept_salt(self._project, self.place.stack)
            + yaml.safe_dump({"config": config}, sort_keys=False, width=10_000),
        }
        try:
            for path, text in files.items():
                path.parent.mkdir(parents=True, exist_ok=True)
                write_whole(path, [text.encode()])
            _ = self._project.hidden
            self._project.state_folder.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise MachineError(
                f"{self._project.root} cannot be written: {error.strerror}", hint="free disk space, or mend its rights"
            ) from None


def known(folder: Path, cloud: str, account: str, region: str) -> Made | None:
    """What a bootstrap on this machine made for an account and region, or None."""
    project = Project(_home(folder))
    ends = f"-{account}-{region}"
    stacks = [name for name in project.stacks() if name.startswith(f"{cloud}-") and name.endswith(ends)]
    found = (_made(project, name) for name in stacks)
    return next((made for made in found if made is not None), None)


def _home(folder: Path) -> Path:
    try:
        root = Project.find(folder).root
    except NotFoundError:
        root = folder.resolve()
    return root / ".skylift" / "bootstrap"


def _config(place: Place) -> dict[str, object]:
    config: dict[str, object] = {"target": place.target, "region": place.region, "account": place.account}
    config["name_prefix"] = place.prefix
    if place.owner:
        config["owner"] = place.owner
    return config


def _kept_salt(project: Project, stack: str) -> str:
    """The line by which Pulumi checks the passphrase of this stack; without it what is encrypted in state cannot be read."""
    path = project.stack_file(stack)
    if not path.is_file():
        return ""
    salt = (yaml.safe_load(path.read_text(encoding="utf-8")) or {}).get("encryptionsalt")
    return yaml.safe_dump({"encryptionsalt": salt}, width=10_000) if salt else ""


def _made(project: Project, stack: str) -> Made | None:
    from skylift.engine.state import stored_outputs

    outputs = stored_outputs(project.state_folder.as_uri(), stack) or {}
    if not {"backend", "secrets_provider"} <= outputs.keys():
        return None
    return Made(outputs["backend"], outputs["secrets_provider"], tuple(outputs.get("found", ())))


def _resources(project: Project, stack: str) -> list[str]:
    """Types of what the stack made, by its state."""
    path = project.state_folder / ".pulumi" / "stacks" / "skylift" / f"{stack}.json"
    try:
        latest = json.loads(path.read_text(encoding="utf-8"))["checkpoint"]["latest"] or {}
    except (OSError, ValueError, KeyError, TypeError):
        return []
    kinds = [one["type"] for one in latest.get("resources") or [] if one.get("custom")]
    return [kind for kind in kinds if not kind.startswith("pulumi:")]
