"""What the contracts' routes need to know: a part of the worker's options."""

from __future__ import annotations

import msgspec


class ContractOptions(msgspec.Struct, frozen=True, kw_only=True):
    """
    Args:
        health_route, predict_route: of Vertex AI's choice, beside the usual ones.
        default_model: answers where a request names none and there are several.
    """

    health_route: str = ""
    predict_route: str = ""
    default_model: str = ""
