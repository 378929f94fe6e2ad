"""A stack's settings: strict, typed, frozen.

A stack file is `stacks/Pulumi.<stack>.yaml`; settings stand under `config:` with the prefix `skylift:`.
"""

from skylift.stack.settings.base import PROJECT, Accelerator, Section, Target
from skylift.stack.settings.clouds import (
    AccessSettings,
    AlertSettings,
    BudgetSettings,
    ClusterSettings,
    IdentitySettings,
    ImageSettings,
    NetworkSettings,
    PoolSettings,
    RetentionSettings,
)
from skylift.stack.settings.endpoints import LOCAL_FIELDS, EndpointSettings
from skylift.stack.settings.mistakes import describe
from skylift.stack.settings.model import CLOUDS, KINDS, TARGETS, BucketSettings, Settings
from skylift.stack.settings.reading import check, from_pulumi, load

__all__ = [
    "CLOUDS",
    "KINDS",
    "LOCAL_FIELDS",
    "PROJECT",
    "TARGETS",
    "Accelerator",
    "AccessSettings",
    "AlertSettings",
    "BucketSettings",
    "BudgetSettings",
    "ClusterSettings",
    "EndpointSettings",
    "IdentitySettings",
    "ImageSettings",
    "NetworkSettings",
    "PoolSettings",
    "RetentionSettings",
    "Section",
    "Settings",
    "Target",
    "check",
    "describe",
    "from_pulumi",
    "load",
]
