"""What Azure computes within a property that the program gives in part."""

from __future__ import annotations

from typing import Any, TypeVar, cast

import pulumi

T = TypeVar("T")


def after(made: pulumi.Output[str], told: pulumi.Output[T]) -> pulumi.Output[T]:
    """An output that is unknown as long as the resource is not there.

    In a preview a property that has some input is known as far as the input goes, and what is missing reads as None.

    Args:
        made: id of the resource.
    """
    return cast("pulumi.Output[T]", made.apply(lambda _: cast(Any, told)))
