"""Composes the script from its parts: what a stack decides, the part of its cloud, what all clouds share."""

from __future__ import annotations

import re
import shlex
from functools import cache
from importlib import resources

from infra.boot.spec import SCHEMES, BootSpec, Cloud
from skylift.errors import InputError

LIMIT = 12 * 1024
"""Bytes. AWS takes 16 KiB of user data; the rest is room for what an account adds."""

_HEAD = """\
#!/bin/bash
set -uo pipefail
export LC_ALL=C PATH="$PATH:/usr/local/bin:/usr/sbin:/sbin:/snap/bin"
R=${BOOT_ROOT:-}
PAUSE=${BOOT_PAUSE:-5}
HOME_DIR=$R/var/lib/skylift
STATE=$R/run/skylift
SIGNED=$R/run/skylift-docker
UNITS=$R/etc/systemd/system
MACHINE='' ID='' PLACE='' GROUP='' RUN='' END='' UNTIL=0
"""


def render(cloud: Cloud, spec: BootSpec) -> str:
    """The script for one kind of machine. Pure; takes less than a millisecond.

    BOOT_ROOT and BOOT_PAUSE in its environment are for tests: another root folder, and seconds between two looks.

    Raises:
        InputError: the values do not fit the cloud, or the script would be longer than LIMIT.
    """
    _check(cloud, spec)
    body = "".join(_part(name) for name in (cloud, "boot", spec.mode))
    script = "".join((_HEAD, _decided(cloud, spec, body), body, 'enter "$@"\n'))
    size = len(script.encode())
    if size >= LIMIT:
        raise InputError(
            f"the boot script would have {size} bytes, and {LIMIT - 1} are the limit",
            hint="shorten the environment or the flags that the machine is given",
            details={"size": size, "limit": LIMIT},
        )
    return script


def _decided(cloud: Cloud, spec: BootSpec, body: str) -> str:
    words = {
        "STACK": spec.stack,
        "REGION": spec.region,
        "ACCOUNT": spec.account,
        "IMAGE": spec.image,
        "REGISTRY": spec.registry,
        "KEEP": spec.keep,
        "WORK": spec.work,
        "ENDPOINT": spec.endpoint,
        "CLIENT": spec.identity_client_id,
        "LOGS": spec.logs,
        "RULE": spec.log_rule,
        "TLS": spec.tls_secret,
        "GPU": "1" if spec.gpu else "",
        "AGENT": "1" if spec.agent and spec.mode == "train" else "",
        "PORT": str(spec.port),
        "LIFE": str(round((spec.max_hours or 0) * 3600)),
        "DRIVER": str(spec.driver_timeout_s),
        "AGENT_WAIT": str(spec.agent_timeout_s),
    }
    environment = {"SKYLIFT_STACK": spec.stack, "SKYLIFT_REGION": spec.region, **spec.env}
    lines = [f"{name}={shlex.quote(word)}" for name, word in words.items() if re.search(rf"\b{name}\b", body)]
    if spec.mode == "serve":
        lines.append(f"FLAGS=({shlex.join(spec.flags)})")
    lines.append(f"VARIABLES=({shlex.join(f'{name}={value}' for name, value in environment.items())})")
    return "\n".join(lines) + "\n"


def _check(cloud: Cloud, spec: BootSpec) -> None:
    for url in (spec.keep, spec.work):
        if not url.startswith(f"{SCHEMES[cloud]}://"):
            raise InputError(
                f"{url!r} is no bucket of {cloud}", hint=f"give a URL that begins with {SCHEMES[cloud]}://"
            )
    if cloud == "azure" and spec.logs:
        raise InputError(
            "logs cannot be sent on by the boot script on Azure", hint="Azure's monitoring agent reads journald"
        )
    if cloud == "azure" and not spec.identity_client_id:
        raise InputError(
            "a machine on Azure needs identity_client_id", hint="give the user-assigned identity's client id"
        )


@cache
def _part(name: str) -> str:
    """A part without comments and indentation: they are for who reads the source, and every byte counts."""
    lines = (line.strip() for line in resources.files("infra.boot").joinpath(f"{name}.sh").read_text().splitlines())
    kept = (line for line in lines if line and (not line.startswith("#") or line.startswith("# shellcheck")))
    return "".join(f"{line}\n" for line in kept)
