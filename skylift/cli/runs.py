from __future__ import annotations

from typing import Any

import click

from skylift.cli._options import common, complete_runs, open_stack, stack_option


@click.command("runs", short_help="List runs, newest first, or show one.")
@click.argument("run_name", metavar="[RUN]", required=False, shell_complete=complete_runs)
@stack_option
@click.option(
    "-n", "--limit", type=click.IntRange(min=1), default=None, help="How many to list. Default: 20, with --json all."
)
@common
@click.pass_context
def command(ctx: click.Context, run_name: str | None, stack_flag: str | None, limit: int | None, as_json: bool) -> None:
    """List runs, newest first; with a RUN (its id, a part of it, or `last`) show all of it."""
    from skylift.cli import _render

    stack = open_stack(ctx, stack_flag)
    if run_name is not None:
        _show(stack.run(run_name), as_json)
        return
    listed = stack.runs(limit if limit is not None else (None if as_json else 20))
    if as_json:
        _render.print_json(listed)
        return
    rows = [
        (
            one.id,
            one.state,
            one.recipe,
            f"{one.published.name}:{one.published.version}" if one.published else "",
            _render.metrics(one.metrics, _render.IN_A_LINE),
            _render.ago(one.created),
            one.by,
        )
        for one in listed
    ]
    _render.table(
        ["run", "state", "recipe", "model", "~test", ">begun", "by"], rows, empty="no runs yet: `skylift train mnist`"
    )


def _show(run: Any, as_json: bool) -> None:
    from skylift.cli import _render

    view = run.view()
    if as_json:
        _render.print_json(
            {
                "state": view.state,
                "spec": view.spec,
                "result": view.result,
                "status": view.status,
                "beat_age_s": view.beat_age_s,
            }
        )
        return
    spec, result, status = view.spec, view.result, view.status
    _render.fields(
        [
            ("run", spec.id),
            ("state", view.state),
            ("stage", status.stage if status is not None and result is None else None),
            ("recipe", spec.recipe),
            ("set", ", ".join(f"{name}={value}" for name, value in spec.hyperparameters.items())),
            ("data", spec.dataset),
            (
                "model",
                f"{result.model.name}:{result.model.version}  ({result.model.digest[:12]})"
                if result and result.model
                else None,
            ),
            ("test", _render.metrics(result.metrics) if result else None),
            ("failed", result.failure.message if result and result.failure else None),
            ("begun", f"{spec.created:%Y-%m-%d %H:%M:%S} UTC by {spec.by}"),
            ("ended", f"{result.ended:%Y-%m-%d %H:%M:%S} UTC" if result else None),
            ("attempts", result.attempts if result else (status.attempt if status else None)),
            ("resumes", spec.resumed_from),
            ("commit", spec.commit),
            ("secrets", ", ".join(spec.secrets)),
        ]
    )
    steps = [(f"skylift logs {spec.id}", "prints its output")]
    if result is None and view.state in ("lost", "preempted"):
        steps.append((f"skylift train --resume {spec.id}", "goes on from its last checkpoint"))
    if result is not None and result.model is not None:
        steps.append((f"skylift download {spec.id}", "fetches its report"))
    _render.next_steps(*steps)
