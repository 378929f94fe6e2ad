"""Compares the preview of a stack on each cloud target with that of an empty program, on the same engine, in the same run.

    python benchmarks/preview.py                          # nine targets, five rounds; fails above the limits
    python benchmarks/preview.py --targets ec2,aks --count 3 --json
    python benchmarks/preview.py --targets gce --grow gce  # also with 1, 10 and 50 pools

The engine is real, the clouds are simulated (tests/clouds): one gRPC server in this process, so that its time is in the wall time and
not in the CPU time, which is that of the engine, its language host and the program. Each stack is stacks/Pulumi.example-<target>.yaml
with images, so that nothing is left out. Beside it stands the plain import of the SDK (SKYLIFT_EAGER=1). Each
preview is preceded by one of the empty program, and what is compared is the median of the pairs' ratios.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import platform
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from skylift.engine import Tool, find_pulumi  # noqa: E402
from tests import targets_page  # noqa: E402
from tests.clouds import arm, server  # noqa: E402
from tests.clouds.cloud import SimulatedCloud  # noqa: E402
from tests.clouds.engine import Stack, project_of, project_of_ours  # noqa: E402
from tests.clouds.world import World  # noqa: E402

LIMITS = {"gcp": 2.8, "aws": 2.0, "azure": 1.6}
"""Most times the wall time of the empty program."""

TARGETS = {
    "gce": "gcp",
    "gke": "gcp",
    "vertex": "gcp",
    "ec2": "aws",
    "eks": "aws",
    "sagemaker": "aws",
    "azure-vm": "azure",
    "aks": "azure",
    "azureml": "azure",
}
MANAGED = ("vertex", "sagemaker", "azureml")
SIZES = (1, 10, 50)
BEND = 2.0
"""Most that a resource may cost in the step to the largest stack, of what it costs in the step before or, on average, in the smallest."""

Cost = tuple[float, float]
"""Wall time and CPU time of one preview [s]."""


@dataclass
class Row:
    """What was measured of one target; the empty program was measured before each preview."""

    target: str
    resources: int = 0
    empty: list[Cost] = field(default_factory=list)
    lazy: list[Cost] = field(default_factory=list)
    eager: list[Cost] = field(default_factory=list)

    def ratio(self, kind: str, which: int) -> float:
        own: list[Cost] = getattr(self, kind)
        return statistics.median(one[which] / empty[which] for one, empty in zip(own, self.empty, strict=True))

    @property
    def limit(self) -> float:
        return LIMITS[TARGETS[self.target]]

    def plain(self) -> dict[str, Any]:
        shown: dict[str, Any] = {"target": self.target, "resources": self.resources, "limit": self.limit}
        for kind in ("empty", "lazy", "eager"):
            shown[kind] = {"wall_s": _median(getattr(self, kind), 0), "cpu_s": _median(getattr(self, kind), 1)}
        for kind in ("lazy", "eager"):
            shown[kind] |= {"wall_ratio": self.ratio(kind, 0), "cpu_ratio": self.ratio(kind, 1)}
        return shown


@dataclass
class Growth:
    """Previews of one target with ever more pools or endpoints."""

    target: str
    kind: str
    resources: list[int]
    seconds: list[float]

    @property
    def per_one(self) -> list[float]:
        """Seconds for each pool or endpoint that was added in a step."""
        pairs = list(zip(SIZES, self.seconds, strict=True))
        return [(s1 - s0) / (n1 - n0) for (n0, s0), (n1, s1) in itertools.pairwise(pairs)]

    @property
    def is_linear(self) -> bool:
        """Whether each adds as many resources as the one before, and costs no more than BEND times of it. Noise of a short step is no
        bend: what a resource costs on the average is always allowed, and so is that much for a pool that adds none (azure-vm)."""
        first, second = self.per_one
        small, middle, large = self.resources
        same_each = (large - middle) * (SIZES[1] - SIZES[0]) == (middle - small) * (SIZES[2] - SIZES[1])
        adds = max(1.0, (large - middle) / (SIZES[2] - SIZES[1]))
        return same_each and second <= BEND * max(first, adds * self.seconds[0] / small)

    def plain(self) -> dict[str, Any]:
        steps = [
            {"count": count, "resources": resources, "wall_s": seconds}
            for count, resources, seconds in zip(SIZES, self.resources, self.seconds, strict=True)
        ]
        return {
            "target": self.target,
            "of": self.kind,
            "steps": steps,
            "s_per_one": self.per_one,
            "linear": self.is_linear,
        }


def main() -> int:
    """Measure and print; 1 where a limit is exceeded or growth is not linear."""
    options = _options()
    with tempfile.TemporaryDirectory() as scratch, _simulation({*options.targets, *options.grow}) as (providers, tool):
        workshop = Workshop(Path(scratch), providers, tool)
        rows = [Row(target) for target in options.targets]
        for number in range(options.count + 1):  # the first round warms caches and does not count
            for row in rows:
                _round(workshop, row, counts=number > 0)
        growths = [_grow(workshop, target, min(options.count, 3)) for target in options.grow]
    if options.json:
        print(
            json.dumps(
                {
                    "machine": _machine(),
                    "targets": [row.plain() for row in rows],
                    "growth": [one.plain() for one in growths],
                }
            )
        )
    else:
        _report(rows, growths)
    held = all(row.ratio("lazy", 0) <= row.limit for row in rows) and all(one.is_linear for one in growths)
    return 0 if held else 1


@dataclass
class Workshop:
    """Makes stacks in a folder."""

    folder: Path
    providers: str
    tool: Tool
    _made: dict[str, Stack] = field(default_factory=dict)

    def empty(self) -> Stack:
        return self._once("empty", lambda root: project_of(root, "empty", self.tool, self.providers, ""))

    def of(self, target: str, settings: dict[str, Any] | None = None, name: str = "") -> Stack:
        given = settings or example(target)
        return self._once(name or target, lambda root: project_of_ours(root, "lab", self.tool, self.providers, given))

    def _once(self, name: str, make: Any) -> Stack:
        if name not in self._made:
            self._made[name] = make(self.folder / name)
            self._made[name].variables["PYTHONDONTWRITEBYTECODE"] = ""  # as on machines of users
        return self._made[name]


def example(target: str) -> dict[str, Any]:
    """The settings of a target's example, with images, so that nothing is left out."""
    return {f"skylift:{key}": value for key, value in targets_page.config(target, "dev").items()}


def _round(workshop: Workshop, row: Row, *, counts: bool) -> None:
    costs = {"empty": _preview(workshop.empty())[0]}
    for kind, eager in (("lazy", ""), ("eager", "1")):
        costs[kind], row.resources = _preview(workshop.of(row.target), eager)
    if counts:
        for kind, cost in costs.items():
            getattr(row, kind).append(cost)


def _preview(stack: Stack, eager: str = "") -> tuple[Cost, int]:
    stack.variables["SKYLIFT_EAGER"] = eager
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = stack.preview()
    wall, after = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = (after.ru_utime - before.ru_utime) + (after.ru_stime - before.ru_stime)
    return (wall, cpu), len(done.steps)


def _grow(workshop: Workshop, target: str, count: int) -> Growth:
    kind = "endpoints" if target in MANAGED else "pools"
    stacks = []
    for size in SIZES:
        settings = example(target)
        first = next(iter(settings[f"skylift:{kind}"].values()))
        settings[f"skylift:{kind}"] = {f"n{number:02}": first for number in range(size)}
        stacks.append(workshop.of(target, settings, f"{target}-{size}"))
    rounds = [[_preview(stack) for stack in stacks] for _ in range(count + 1)][1:]
    seconds = [min(cost[0] for cost, _ in column) for column in zip(*rounds, strict=True)]
    return Growth(target, kind, [resources for _, resources in rounds[0]], seconds)


def _median(costs: list[Cost], which: int) -> float:
    return statistics.median(cost[which] for cost in costs)


@contextmanager
def _simulation(targets: Iterable[str]) -> Iterator[tuple[str, Tool]]:
    """The accounts that the examples name."""
    world = World()
    for target in targets:
        found = example(target)
        account, region = found["skylift:account"], found["skylift:region"]
        match TARGETS[target]:
            case "aws":
                world = replace(world, account=account, region=region)
            case "gcp":
                world = replace(world, project=account, google_region=region)
            case _:
                world = replace(world, subscription=account, location=region)
    cloud = SimulatedCloud(world=world)
    with server.serve(cloud) as providers, arm.serve(cloud) as (_, variables):
        os.environ.update(variables)
        yield providers, find_pulumi()


def _machine() -> str:
    return f"{platform.machine()}, {os.cpu_count()} CPUs, Python {platform.python_version()}"


def _report(rows: list[Row], growths: list[Growth]) -> None:
    print(f"{_machine()}; real engine, simulated clouds; medians; times an empty program")
    print(
        "           resources    empty wall  CPU    stack wall  CPU    times wall  CPU  limit    plain import wall  CPU  times"
    )
    for row in rows:
        empty, lazy, eager = ((_median(costs, 0), _median(costs, 1)) for costs in (row.empty, row.lazy, row.eager))
        verdict = "ok" if row.ratio("lazy", 0) <= row.limit else "ABOVE"
        print(
            f"{row.target:10} {row.resources:9}    {empty[0]:8.2f}  {empty[1]:5.2f}    {lazy[0]:8.2f}  {lazy[1]:5.2f}    "
            f"{row.ratio('lazy', 0):8.2f}  {row.ratio('lazy', 1):4.2f}  {row.limit:4.1f} {verdict:5} "
            f"{eager[0]:12.2f}  {eager[1]:5.2f}  {row.ratio('eager', 0):4.2f}"
        )
    for growth in growths:
        print(f"\n{growth.target} with more {growth.kind}: least wall time of a preview")
        for position, (size, resources, seconds) in enumerate(
            zip(SIZES, growth.resources, growth.seconds, strict=True)
        ):
            step = f"   {growth.per_one[position - 1] * 1000:6.1f} ms for each more" if position else ""
            print(f"{size:6} {growth.kind:10} {resources:5} resources {seconds:7.2f} s{step}")
        print("       linear" if growth.is_linear else "       NOT LINEAR")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--targets", type=_targets, default=list(TARGETS), help="some of the nine, between commas")
    parser.add_argument(
        "--grow", type=_targets, default=["gce", "ec2", "azure-vm", *MANAGED], help="targets to make larger"
    )
    parser.add_argument("--count", type=int, default=5, help="rounds")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def _targets(text: str) -> list[str]:
    given = [target for target in text.split(",") if target]
    unknown = sorted(set(given) - set(TARGETS))
    if unknown:
        raise argparse.ArgumentTypeError(f"no cloud targets: {', '.join(unknown)}; there are {', '.join(TARGETS)}")
    return given


if __name__ == "__main__":
    sys.exit(main())
