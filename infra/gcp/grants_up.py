"""What `skylift up` itself needs on Google Cloud: predefined roles of the services in use, with the reason for each."""

from __future__ import annotations

from collections.abc import Iterator

from infra.context import Context
from infra.gcp import names
from infra.grants import Grant

_SERVICE_WIDE = "`up` makes things of this service that do not exist yet, so the right is over the project"
_BASE = {
    "enable the services in use": "roles/serviceusage.serviceUsageAdmin",
    "read the project's number": "roles/browser",
    "write log buckets, sinks and metrics": "roles/logging.configWriter",
    "write alerts and whom they tell": "roles/monitoring.editor",
    "read quotas": "roles/cloudquotas.viewer",
}
_BY_KIND = {
    "vm": {
        "make templates, groups and load balancers": "roles/compute.instanceAdmin.v1",
        "make load balancers": "roles/compute.loadBalancerAdmin",
        "deploy the reaper": "roles/cloudfunctions.developer",
        "start the reaper by the clock": "roles/cloudscheduler.admin",
    },
    "cluster": {"make the cluster and what runs in it": "roles/container.admin"},
    "managed": {"make endpoints, upload and deploy": "roles/aiplatform.user"},
}


def up(context: Context) -> Iterator[Grant]:
    """The grants of who runs `up`. What is referenced needs none."""
    for what, role in {**_BASE, **_BY_KIND[context.settings.kind], **_own(context)}.items():
        yield Grant(who="up", what=what, actions=(role,), on=(names.project(context),), wide=_SERVICE_WIDE)
    for who in names.wanted(context):
        if who in ("host", "serving", "reaper", "nodes"):
            yield Grant(
                who="up",
                what=f"start what runs as {who}",
                actions=("roles/iam.serviceAccountUser",),
                on=(names.account(context, who),),
            )
    if context.settings.budget.monthly is not None and context.settings.budget.billing_account is not None:
        yield Grant(
            who="up",
            what="set the budget",
            actions=("roles/billing.costsManager",),
            on=(f"billingAccounts/{context.settings.budget.billing_account}",),
        )


def _own(context: Context) -> dict[str, str]:
    settings = context.settings
    roles = {}
    if names.bucket(context, "keep").own or names.bucket(context, "work").own:
        roles["make the buckets"] = "roles/storage.admin"
    if settings.registry is None:
        roles["make the registry"] = "roles/artifactregistry.admin"
    if context.encryption_key == "stack":
        roles["make the key"] = "roles/cloudkms.admin"
    if settings.network.id is None:
        roles["make the network"] = "roles/compute.networkAdmin"
        roles["make firewall rules"] = "roles/compute.securityAdmin"
    public = [plan for plan in context.endpoints.values() if plan.settings.allowed_ranges]
    if public and settings.kind == "vm":
        roles["limit who may connect"] = "roles/compute.securityAdmin"
    if names.secrets(context):
        roles["make entries of the secret store"] = "roles/secretmanager.admin"
    if names.makes(context):
        roles["make service accounts"] = "roles/iam.serviceAccountAdmin"
        roles["make custom roles"] = "roles/iam.roleAdmin"
        roles["grant on the project"] = "roles/resourcemanager.projectIamAdmin"
    if settings.kind == "vm" and "reaper" in names.makes(context):
        roles["let the clock call the reaper"] = "roles/run.admin"
    roles |= _calling(context) if settings.access.predict else {}
    return roles


def _calling(context: Context) -> dict[str, str]:
    """What it takes to let people call endpoints."""
    grant = {
        "make the role of callers": "roles/iam.roleAdmin",
        "grant callers on the project": "roles/resourcemanager.projectIamAdmin",
    }
    if context.settings.kind == "vm":
        return {**grant, "grant callers the tunnel": "roles/iap.admin"}
    if context.settings.kind == "managed":
        return {**grant, "grant callers on endpoints": "roles/aiplatform.admin"}
    return grant
