"""What a service has mounted, for a replica whose bucket cannot be reached: it is the last copy."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from serving.contracts.mounted import find_models
from serving.sources.fetch import Versions
from serving.sources.folders import Source
from skylift.artifacts.layout import MANIFEST
from skylift.artifacts.records import digest_of


@dataclass(frozen=True)
class Copy:
    """A version in a folder of this machine.

    Args:
        digest: of its manifest; empty where it has none of ours.
    """

    name: str
    version: int
    folder: Path
    digest: str


class LastCopy:
    """
    Args:
        where: a folder or URL.
        wanted: the model, where there are several.
    """

    def __init__(self, where: str, wanted: str, cache: Versions) -> None:
        self._where = where
        self._wanted = wanted
        self._cache = cache

    def find(self) -> Copy | None:
        """The newest version there, fetched if it must be. Blocks.

        Raises:
            SkyliftError: there is nothing to be served, or it cannot be fetched.
        """
        configs = find_models(self._where)
        config = next((one for one in configs if one.name == self._wanted), configs[0])
        found = Source(config, self._cache).look().wanted
        if not found:
            return None
        version = max(found)
        manifest = found[version] / MANIFEST
        digest = digest_of(manifest.read_bytes()) if manifest.is_file() else ""
        return Copy(config.name, version, found[version], digest)
