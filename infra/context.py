"""What every component of a cloud stack is told: the settings with their defaults resolved, names, tags."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from skylift import catalog
from skylift.errors import SettingsError
from skylift.stack.settings import EndpointSettings, PoolSettings, Settings

Exposure = Literal["private", "iam", "public"]


@dataclass(frozen=True, kw_only=True)
class EndpointPlan:
    """An endpoint with its defaults resolved."""

    name: str
    settings: EndpointSettings
    shape: catalog.Shape
    min_replicas: int
    max_replicas: int
    exposure: Exposure


@dataclass(frozen=True, kw_only=True)
class PoolPlan:
    """A pool with its shapes in order of preference."""

    name: str
    settings: PoolSettings
    shapes: tuple[catalog.Shape, ...]

    @property
    def variants(self) -> tuple[tuple[catalog.Shape, bool], ...]:
        """Shape and whether interruptible, in the order to try: spot of every shape first where the pool allows it."""
        spot = tuple((shape, True) for shape in self.shapes) if self.settings.spot else ()
        return spot + tuple((shape, False) for shape in self.shapes)


@dataclass(frozen=True, kw_only=True)
class Context:
    """One stack on one cloud."""

    settings: Settings
    stack: str

    @property
    def region(self) -> str:
        assert self.settings.region is not None
        return self.settings.region

    @property
    def account(self) -> str:
        assert self.settings.account is not None
        return self.settings.account

    @property
    def is_prod(self) -> bool:
        return self.settings.stage == "prod"

    @property
    def keeps_data(self) -> bool:
        """Whether data outlives the stack: protected and retained unless the stack says that it is disposable."""
        return not self.settings.disposable

    @property
    def egress(self) -> Literal["nat", "private"]:
        return self.settings.network.egress or ("private" if self.is_prod else "nat")

    @property
    def encryption_key(self) -> str:
        """`provider`, `stack`, or a key of the user's."""
        return self.settings.encryption_key or ("stack" if self.is_prod else "provider")

    @property
    def base(self) -> str:
        """Beginning of the names of this stack's things."""
        return f"{self.settings.name_prefix}-{_plain(self.stack)}"

    @cached_property
    def suffix(self) -> str:
        """Eight digits that make a name unique in the world, the same at every `up` of the stack."""
        text = "/".join((self.settings.cloud, self.account, self.region, self.settings.name_prefix, self.stack))
        return hashlib.sha256(text.encode()).hexdigest()[:8]

    def name(self, *parts: str, most: int = 63, unique: bool = False, separator: str = "-") -> str:
        """A physical name, known before anything is made: prefix, stack and parts; only lower-case letters, digits and the separator.

        Args:
            most: how long the cloud lets it be.
            unique: whether it must be the only one in the world (buckets, registries, storage accounts).
            separator: `-`, or empty where the cloud takes letters and digits only.

        Raises:
            SettingsError: it is too long; names the settings to shorten.
        """
        words = [self.base, *(_plain(part) for part in parts), *([self.suffix] if unique else [])]
        name = separator.join(words) if separator == "-" else re.sub("[^a-z0-9]", "", separator.join(words))
        if len(name) > most:
            raise SettingsError(
                f"the name {name!r} has {len(name)} letters, and {self.settings.cloud} takes {most} for it",
                hint=f"shorten skylift:name_prefix ({self.settings.name_prefix!r}), the stack's name ({self.stack!r})"
                + (f" or {'-'.join(parts)!r}" if parts else ""),
                details={"name": name, "most": most},
            )
        return name

    def short(self, *parts: str, most: int) -> str:
        """A name of letters and digits for where the cloud takes very few of them (an Azure storage account: 24): what does not fit
        is cut, and the suffix keeps it unique."""
        text = re.sub("[^a-z0-9]", "", "".join((*parts, self.base)))
        return text[: most - len(self.suffix)] + self.suffix

    @cached_property
    def tags(self) -> dict[str, str]:
        """What everything carries. Lower-case, so that Google's labels take it."""
        own = {
            "skylift-stack": _plain(self.stack),
            "skylift-target": self.settings.target,
            "owner": _plain(self.settings.owner or "nobody"),
            "managed-by": "skylift",
        }
        if self.settings.ttl is not None:
            own["ttl"] = self.settings.ttl
        return {**self.settings.tags, **own}

    @cached_property
    def pools(self) -> dict[str, PoolPlan]:
        return {name: self._pool(name, pool) for name, pool in sorted(self.settings.pools.items())}

    @cached_property
    def endpoints(self) -> dict[str, EndpointPlan]:
        return {name: self._endpoint(name, endpoint) for name, endpoint in sorted(self.settings.endpoints.items())}

    def _pool(self, name: str, pool: PoolSettings) -> PoolPlan:
        cloud = self.settings.cloud
        count = None if pool.accelerator == "cpu" else pool.count
        named = tuple(catalog.shape(cloud, machine, pool.accelerator, count) for machine in pool.machines)
        return PoolPlan(
            name=name, settings=pool, shapes=named or (catalog.shapes(cloud, pool.accelerator, pool.count)[0],)
        )

    def _endpoint(self, name: str, endpoint: EndpointSettings) -> EndpointPlan:
        cloud = self.settings.cloud
        shape = (
            catalog.shape(cloud, endpoint.machine, endpoint.accelerator)
            if endpoint.machine
            else catalog.smallest(cloud, endpoint.accelerator)
        )
        least = endpoint.min_replicas or (2 if self.is_prod else 1)
        return EndpointPlan(
            name=name,
            settings=endpoint,
            shape=shape,
            min_replicas=least,
            max_replicas=max(endpoint.max_replicas or 2 * least, least),
            exposure=endpoint.exposure or ("iam" if self.settings.kind == "managed" else "private"),
        )


def _plain(text: str) -> str:
    """As a tag's value and a part of a name: lower-case letters, digits and hyphens, at most 63."""
    return re.sub("[^a-z0-9]+", "-", text.lower()).strip("-")[:63] or "x"
