"""An explanation as a page that needs nothing but itself, for people who know the subject and not the model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup, escape

from training.contract import Array
from training.explain import pictures
from training.explain.explaining import Explained
from training.explain.methods import Method
from training.explain.result import Explanation, Part
from training.published import Published
from training.report.charts import Axis
from training.report.pages import page

HERE = Path(__file__).parent
WIDTH, VALUES, BARS = 900.0, 150.0, 130.0


@dataclass(frozen=True)
class Shown:
    """A section. `top` are the parts with the greatest shares, `most` the greatest of them; `has_signs`: some are
    negative; `heads` are named rows."""

    method: Method
    found: Explanation
    overlay: str
    top: list[Part]
    most: float
    has_signs: bool
    words: tuple[Part, ...]
    most_inner: float
    chart: Markup | None
    heads: list[tuple[str, list[float]]]


def render(opened: Published, found: Explained, truth: str, top: int) -> str:
    """The whole page; `top` is how many parts are named."""
    image = pictures.original(opened.task, found)
    scores = sorted((found.prediction or {}).get("scores", {}).items(), key=lambda pair: -pair[1])[:5]
    return page(
        "explain.html.j2",
        HERE,
        name=opened.name,
        manifest=opened.manifest,
        task=opened.task,
        found=found,
        truth=truth,
        scores=scores,
        original=pictures.data_url(image) if image is not None else "",
        sections=[_shown(opened, method, each, image, top) for method, each in found.given],
    )


def _shown(opened: Published, method: Method, found: Explanation, image: Array | None, top: int) -> Shown:
    has_picture = image is not None and found.map is not None
    largest = pictures.largest(found.parts, top)
    words = found.parts if any(part.inner for part in found.parts) else ()
    inner = [each for part in words for each in part.inner or (part,)]
    return Shown(
        method,
        found,
        pictures.data_url(pictures.overlay(image, found.map)) if has_picture else "",  # type: ignore[arg-type]
        largest,
        max((abs(part.share) + (part.spread or 0.0) for part in largest), default=0.0) or 1.0,
        any(part.share < 0 for part in largest),
        words,
        max((abs(each.share) for each in inner), default=0.0) or 1.0,
        steps(found.parts) if opened.task.input_kind == "sequence" and method.name != "permutation" else None,
        [
            (f"layer {number}, head {head}", shares.tolist())
            for number, layer in enumerate(found.layers, 1)
            for head, shares in enumerate(layer, 1)
        ],
    )


def steps(parts: tuple[Part, ...]) -> Markup:
    """The values of a sequence as a line, and below each its share as a bar up or down."""
    numbers = [part.value if isinstance(part.value, float) else 0.0 for part in parts]
    shares = [part.share for part in parts]
    most = max(map(abs, shares), default=0.0) or 1.0
    wide = (WIDTH - 70) / max(len(parts), 1)
    low, high = min(numbers, default=0.0), max(numbers, default=0.0)
    y = Axis(low, high if high > low else low + 1, VALUES, 14)
    middle = VALUES + 20 + BARS / 2
    drawn = []
    if any(isinstance(part.value, float) for part in parts):
        points = " ".join(f"{60 + wide * (at + 0.5):.1f},{y.at(value):.1f}" for at, value in enumerate(numbers))
        drawn.append(f'<polyline class="s1" points="{points}"/>')
        drawn += [f'<text x="52" y="{y.at(v) + 4:.1f}" text-anchor="end">{v:.4g}</text>' for v in {low, high}]
    for at, part in enumerate(parts):
        tall = abs(part.share) / most * BARS / 2
        side, up = ("for", middle - tall) if part.share >= 0 else ("against", middle)
        told = f"{part.name}: {'' if part.value is None else f'{part.value}, '}share {part.share:+.4g}"
        drawn.append(
            f'<rect class="{side}" x="{60 + wide * at + 1:.1f}" y="{up:.1f}" width="{max(wide - 2, 1):.1f}" '
            f'height="{max(tall, 0.5):.1f}"><title>{escape(told)}</title></rect>'
        )
    drawn.append(f'<line class="grid" x1="60" x2="{WIDTH - 10}" y1="{middle}" y2="{middle}"/>')
    drawn += [
        f'<text x="52" y="{place + 4:.1f}" text-anchor="end">{text}</text>'
        for place, text in ((middle - BARS / 2, f"+{most:.3g}"), (middle, "0"), (middle + BARS / 2, f"-{most:.3g}"))
    ]
    box = f"0 0 {WIDTH:.0f} {VALUES + BARS + 40:.0f}"
    head = f'<svg viewBox="{box}" role="img" aria-label="values by step, and the share of each">'
    return Markup(f"{head}{''.join(drawn)}</svg>")  # noqa: S704  every text in it was escaped above
