"""What every shape of a stack stands on."""

from __future__ import annotations

from dataclasses import dataclass

from infra.aws.firewall import Firewall
from infra.aws.identity import Identity
from infra.aws.key import Key
from infra.aws.monitoring import Monitoring
from infra.aws.network import Network
from infra.aws.registry import Registry
from infra.aws.secrets import Secrets
from infra.aws.storage import Storage
from infra.context import Context


@dataclass(frozen=True, kw_only=True)
class Platform:
    """Made by target.py, read by vm.py, cluster.py and managed.py."""

    context: Context
    key: Key
    storage: Storage
    registry: Registry
    identity: Identity
    network: Network
    firewall: Firewall
    secrets: Secrets
    monitoring: Monitoring
