"""What is asked of Google before anything is declared: does everything that the settings name exist, here, and may it be used?"""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_gcp as gcp

from infra.context import Context


@dataclass(frozen=True, kw_only=True)
class Found:
    """
    Attributes:
        number: the project's number.
    """

    number: str


def check(context: Context, provider: gcp.Provider) -> Found:
    ask = pulumi.InvokeOptions(provider=provider)
    project = gcp.organizations.get_project(project_id=context.account, opts=ask)
    return Found(number=str(project.number))
