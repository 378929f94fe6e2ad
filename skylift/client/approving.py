"""Approvals, and what became of every deployment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from skylift.artifacts import consent, endpoints, layout, objects, records
from skylift.client import releases
from skylift.client.releases import Notice
from skylift.errors import CredentialsError, NotFoundError

if TYPE_CHECKING:
    from skylift.client.stack import Stack


@dataclass(frozen=True)
class Release:
    """One deployment with what others said of it."""

    deployment: records.Deployment
    is_current: bool
    approval: consent.Approval | None
    veto: consent.Veto | None


def approve(
    stack: Stack,
    *,
    endpoint: str | None = None,
    number: int | None = None,
    why: str = "",
    wait: bool = True,
    timeout: float | None = None,
    notice: Notice = lambda text: None,
) -> consent.Approval:
    """Consent to a deployment, by default the one that the endpoint is to serve, and wait until replicas serve that one.

    Raises:
        NotFoundError: no such deployment.
        CredentialsError: it is your own, and the stack asks for somebody else's consent; or you may not approve.
        ConflictError: there is an approval under its number for other versions.
        DeployError, UnreachableError: replicas do not serve it; the approval stands.
    """
    from skylift.client.stack import who

    name, address = stack.endpoint(endpoint)
    now = releases.serving_now(stack, name)
    if number is None and now is None:
        raise NotFoundError(f"endpoint {name!r} has nothing to approve", hint="`skylift deploy MODEL` begins")
    is_current = now is not None and number in (None, now.number)
    wanted = now if is_current and now is not None else endpoints.read_deployment(stack.keep, name, number or 0)
    if address.approval and wanted.by == who():
        raise CredentialsError(
            f"deployment {wanted.number} is your own ({wanted.by}), and endpoint {name!r} asks for another's approval",
            hint="somebody in `access.approve` has to run this",
            details={"deployment": wanted.number, "by": wanted.by},
        )
    made = consent.approve(stack.keep, wanted, by=who(), why=why)
    notice(f"deployment {wanted.number} is approved")
    if wait and is_current:
        releases.settle(stack, wanted, timeout, notice)
    return made


def history(stack: Stack, endpoint: str | None = None) -> list[Release]:
    """All deployments of an endpoint, newest first, with approvals and vetoes."""
    name, _ = stack.endpoint(endpoint)
    now = endpoints.read_current(stack.keep, name)
    approved = set(objects.numbered(stack.keep, layout.approvals(name)))
    vetoed = set(objects.numbered(stack.keep, layout.vetoes(name)))

    def complete(one: records.Deployment) -> Release:
        return Release(
            deployment=one,
            is_current=now is not None and now[0].deployment == one.number,
            approval=consent.read_approval(stack.keep, name, one.number) if one.number in approved else None,
            veto=consent.read_veto(stack.keep, name, one.number) if one.number in vetoed else None,
        )

    listed = objects.each(complete, endpoints.list_deployments(stack.keep, name))
    return sorted(listed, key=lambda one: -one.deployment.number)
