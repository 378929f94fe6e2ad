"""The base of the clouds' components."""

from __future__ import annotations

from typing import Any

import pulumi

from infra.context import Context


class Component(pulumi.ComponentResource):
    """A component that knows its stack. Its token is `skylift:<cloud>:<Class>`; children are parented through `child()`."""

    def __init__(self, name: str, context: Context, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(f"skylift:{context.settings.cloud}:{type(self).__name__}", name, {}, opts)
        self.context = context

    def child(self, **options: Any) -> pulumi.ResourceOptions:
        """Options of a child."""
        return pulumi.ResourceOptions(parent=self, **options)

    def lasting(self, **options: Any) -> pulumi.ResourceOptions:
        """Options of a child that holds data: protected and retained unless the stack is disposable."""
        keeps = self.context.keeps_data
        return self.child(protect=keeps, retain_on_delete=keeps, **options)
