"""Files that go with skylift but are not Python: Go modules, example stacks, the Pulumi project.

In a checkout they lie at the top of the repository, in an installed wheel below `skylift/_assets`.
"""

from __future__ import annotations

from pathlib import Path

from skylift.errors import MachineError

_PACKAGE = Path(__file__).resolve().parent


def path(name: str) -> Path:
    """The file or folder `name`, as it stands in the repository: `tools/pulumi`, `stacks`, `Pulumi.yaml`.

    Raises:
        MachineError: the installation lacks it.
    """
    for candidate in (_PACKAGE / "_assets" / name, _PACKAGE / "_assets" / f"{name}.txt", _PACKAGE.parent / name):
        if candidate.exists():
            return candidate
    raise MachineError(
        f"this installation of skylift lacks {name}", hint="install it again: `pip install --force-reinstall skylift`"
    )
