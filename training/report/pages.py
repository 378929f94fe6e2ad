"""Pages that need nothing but themselves, from the templates of a folder. A name that a template lacks is an error."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jinja2

HERE = Path(__file__).parent


def page(template: str, *folders: Path, **values: Any) -> str:
    """The page; templates are looked for in `folders`, then here."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader([*folders, HERE]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(**values)
