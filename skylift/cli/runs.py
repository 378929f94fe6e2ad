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
@click.option("--study", metavar="STUDY", help="The runs of a study of `skylift tune`; without it trials are left out.")
@common
@click.pass_context
def command(
    ctx: click.Context,
    run_name: str | None,
    stack_flag: str | None,
    limit: int | None,
    study: str | None,
    as_json: bool,
) -> None:
    """List runs, newest first; with a RUN (its id, a part of it, or `last`) show all of it.

    Trials of studies are listed with `--study STUDY` alone, and with `--json`.
    """
    from skylift.cli import _render

    if study is not None and run_name is not None:
        raise click.UsageError("name a run or a study, not both")
    stack = open_stack(ctx, stack_flag)
    if run_name is not None:
        _show(stack.run(run_name), as_json)
        return
    most = limit if limit is not None else (None if as_json else 20)
    if study is not None:
        listed = stack.runs(most, where=lambda one: one.study == study)
    else:
        listed = stack.runs(most, where=None if as_json else lambda one: one.trial is None)
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
            "" if one.study is None else one.study if one.trial is None else f"trial {one.trial}",
        )
        for one in listed
    ]
    _render.table(
        ["run", "state", "recipe", "model", "~test" if study is None else "~measured", ">begun", "by", "study"],
        rows,
        empty="no runs yet, trials of studies left out: `skylift train mnist`"
        if study is None
        else f"no runs of study {study}",
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
            ("test" if spec.publishes else "validation", _render.metrics(result.metrics) if result else None),
            ("failed", result.failure.message if result and result.failure else None),
            ("begun", f"{spec.created:%Y-%m-%d %H:%M:%S} UTC by {spec.by}"),
            ("ended", f"{result.ended:%Y-%m-%d %H:%M:%S} UTC" if result else None),
            ("attempts", result.attempts if result else (status.attempt if status else None)),
            ("resumes", spec.resumed_from),
            ("study", f"{spec.study}, trial {spec.trial}" if spec.trial is not None else spec.study),
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
