"""Composes the script from its parts."""

from __future__ import annotations

from infra.boot.spec import BootSpec, Cloud

LIMIT = 12 * 1024
"""Bytes. AWS takes 16 KiB of user data; the rest is room for what an account adds."""


def render(cloud: Cloud, spec: BootSpec) -> str:
    """The script for one kind of machine; pure.

    Raises:
        InputError: the values do not fit the cloud, or the script is longer than LIMIT.
    """
    return f"#!/bin/bash\n# {cloud} {spec.mode}\n"
