from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from skylift.cli._options import common, complete_recipes, confirm, open_stack, stack_option, yes_option
from skylift.cli.data import complete_datasets
from skylift.cli.train import _pairs

if TYPE_CHECKING:
    from skylift.artifacts.studies import Study, Trial
    from skylift.client import Stack
    from skylift.client.training import Run
    from skylift.client.tuning import Glance, Tuning


@click.command("tune", short_help="Search a recipe's hyperparameters.")
@click.argument("recipe", metavar="[RECIPE]", required=False, shell_complete=complete_recipes)
@stack_option
@click.option(
    "--search",
    "space",
    metavar="NAME=LOW..HIGH[:log]|A,B,C",
    multiple=True,
    help="A hyperparameter to search, and where. Without any, those that matter most are.",
)
@click.option("--trials", type=click.IntRange(1, 1000), help="How many settings to try. Default: 20.")
@click.option("--parallel", type=click.IntRange(1, 64), help="How many at once. Default: 2.")
@click.option(
    "--metric",
    metavar="NAME",
    help="What to search for, on the validation split. Default: what chooses the best epoch.",
)
@click.option("--set", "settings", metavar="NAME=VALUE", multiple=True, callback=_pairs, help="Fix a hyperparameter.")
@click.option(
    "--data",
    metavar="NAME|FOLDER",
    shell_complete=complete_datasets,
    help="A dataset of `skylift data`, or a folder of files; the recipe's load() gets it.",
)
@click.option(
    "--env", "env", metavar="NAME=VALUE", multiple=True, callback=_pairs, help="An environment variable, recorded."
)
@click.option("--secret", "secrets", metavar="NAME", multiple=True, help="A secret kept by `skylift secret`.")
@click.option(
    "--seed",
    default=0,
    show_default=True,
    help="Of the search and of every trial. One at a time, it decides what is tried.",
)
@click.option("--name", metavar="STUDY", help="The study's name; one that exists goes on. Default: recipe and time.")
@click.option("--resume", metavar="STUDY", help="Go on with a study, with what it asks; more --trials make it longer.")
@click.option("--no-final", is_flag=True, help="Do not train and publish a model with the best setting at the end.")
@click.option(
    "--html", type=click.Path(path_type=Path, dir_okay=False), help="Write a page with pictures of the trials."
)
@yes_option
@common
@click.pass_context
def command(
    ctx: click.Context,
    /,
    recipe: str | None,
    stack_flag: str | None,
    trials: int | None,
    parallel: int | None,
    resume: str | None,
    no_final: bool,
    html: Path | None,
    yes: bool,
    as_json: bool,
    **asked: Any,
) -> None:
    """Try settings of RECIPE's hyperparameters, several at once, and train a model with the best.

    Each trial is a run of its own that publishes nothing and never sees the test split. Trials that lie behind are stopped.
    An interrupt (Ctrl-C) cancels what runs and keeps what is known; `--resume` goes on.
    """
    from skylift.client import studying
    from skylift.client.tuning import Tuning

    _refuse_mixture(recipe, resume, asked)
    stack = open_stack(ctx, stack_flag)
    if resume is not None:
        study = studying.reopen(stack, resume, trials, parallel)
    else:
        study = _plan(stack, recipe or "", trials or 20, parallel or 2, asked, as_json)
    _introduce(study, as_json)
    if stack.outputs.target != "local":
        confirm(f"Start up to {study.trials} runs on {stack.outputs.target}, {study.parallel} at once?", yes=yes)
    with Tuning(stack, study) as tuning:
        tuning.open()
        _watch(tuning, as_json)
        best = tuning.best
        assert best is not None
        importance = studying.judge(stack, tuning.study, html)
        _show(tuning, importance, html, as_json)
        final = None if no_final else tuning.train_best()
    _finish(stack, tuning, best, final, importance, html, as_json)


def _refuse_mixture(recipe: str | None, resume: str | None, asked: dict[str, Any]) -> None:
    if resume is None:
        if recipe is None:
            raise click.UsageError("name a recipe (`skylift recipes` lists them) or a study to --resume")
        return
    words = {"space": "--search", "settings": "--set", "secrets": "--secret"}
    given = sorted(words.get(name, f"--{name}") for name, value in asked.items() if value)
    if recipe is not None:
        given.insert(0, "RECIPE")
    if given:
        raise click.UsageError(f"--resume goes on with what the study asks; {', '.join(given)} cannot change it")


def _plan(stack: Stack, recipe: str, trials: int, parallel: int, asked: dict[str, Any], as_json: bool) -> Study:
    from skylift.cli import _progress
    from skylift.client.studying import Search, plan
    from skylift.client.training import Request

    request = Request(
        recipe=recipe,
        hyperparameters=dict(asked["settings"]),
        data=asked["data"],
        env=asked["env"],
        secrets=asked["secrets"],
        seed=asked["seed"],
    )
    search = Search(request, asked["space"], trials, parallel, asked["metric"], asked["name"])
    with _progress.bytes_bar("sending data", quiet=as_json) as bar:
        return plan(stack, search, progress=bar)


def _introduce(study: Study, as_json: bool) -> None:
    if as_json:
        return
    click.secho(f"study {study.id}", bold=True, err=True)
    click.echo(f"  {study.trials} trials, {study.parallel} at once, for the best val_{study.metric}", err=True)
    for parameter in study.space:
        click.echo(f"  searched: {parameter}", err=True)


def _watch(tuning: Tuning, as_json: bool) -> None:
    """Draw the study until its trials have ended."""
    from skylift.cli import _progress
    from skylift.cli._errors import Interrupted

    study = tuning.study
    try:
        with _progress.spinner("asking what to try", quiet=as_json) as spin:
            for glance in tuning.go():
                for trial in glance.fresh:
                    spin.line(_line(study, trial, tuning.best))
                spin(_standing(study, glance))
    except KeyboardInterrupt:
        stopped = tuning.stop()
        raise Interrupted(
            f"study {study.id} is interrupted: {len(tuning.ended)} trials have ended, {len(stopped)} were cancelled",
            f"`skylift tune --resume {study.id}` goes on with it",
            study=study.id,
            cancelled=stopped,
        ) from None


def _line(study: Study, trial: Trial, best: Trial | None) -> str:
    value = f"{study.metric} {trial.value:.4g}" if trial.value is not None else ""
    told = trial.failure.message if trial.failure is not None else value
    star = "  best so far" if best is not None and best.number == trial.number else ""
    return f"  trial {trial.number} {trial.state}: {told}, {trial.epochs} epochs, {trial.seconds:.0f} s; {_values(trial)}{star}"


def _values(trial: Trial) -> str:
    return " ".join(
        f"{name}={value:.4g}" if isinstance(value, float) else f"{name}={value}" for name, value in trial.values.items()
    )


def _standing(study: Study, glance: Glance) -> str:
    running = ", ".join(
        f"trial {number} epoch {epoch}" + (f" {value:.4g}" if value is not None else "")
        for number, (epoch, value) in sorted(glance.running.items())
    )
    return f"{len(glance.ended)} of {study.trials} trials" + (f"; {running}" if running else "")


def _show(tuning: Tuning, importance: dict[str, float], html: Path | None, as_json: bool) -> None:
    """The table of trials, the best setting, and what mattered."""
    from skylift.cli import _render

    best, study = tuning.best, tuning.study
    if as_json or best is None:
        return
    names = [each.name for each in study.space]
    rows = [
        (
            f"{trial.number} best" if trial.number == best.number else trial.number,
            trial.state,
            *(f"{value:.4g}" if isinstance(value, float) else value for value in map(trial.values.get, names)),
            f"{trial.value:.4g}" if trial.value is not None else "",
            trial.epochs,
            f"{trial.seconds:.0f}",
            trial.run,
        )
        for trial in tuning.ended
    ]
    columns = ["trial", "state", *names, f">val_{study.metric}", ">epochs", ">seconds", "run"]
    click.echo()
    _render.table(columns, rows)
    click.echo()
    _render.fields(
        [
            ("best", f"trial {best.number}, {_render.metric(f'val_{study.metric}', best.value or 0.0)}"),
            ("with", _values(best)),
            ("matters", ", ".join(f"{name} {share:.0%}" for name, share in importance.items())),
            ("written", html),
        ]
    )


def _finish(
    stack: Stack,
    tuning: Tuning,
    best: Trial,
    final: Run | None,
    importance: dict[str, float],
    html: Path | None,
    as_json: bool,
) -> None:
    from skylift.cli import _follow, _render
    from skylift.client.studying import command_for

    study = tuning.study
    train = command_for(study, best)
    if final is not None and not as_json:
        click.secho(f"\nrun {final.id} trains the best setting\n", bold=True, err=True)
    result = _follow.watch(final, quiet=as_json) if final is not None else None
    if as_json:
        found = {
            "study": study.id,
            "metric": f"val_{study.metric}",
            "direction": study.direction,
            "space": study.space,
            "best": best,
            "trials": tuning.ended,
            "importance": importance,
            "command": train,
            "final": result,
            "html": str(html) if html is not None else None,
        }
        _render.print_json(found)
        return
    if result is None:
        _render.next_steps((train, "trains a model with the best setting"))
        return
    _follow.print_result(result)
    model = result.model
    steps = [(f"skylift deploy {model.name}:{model.version}", "lets the endpoint answer with it")] if model else []
    _render.next_steps(*steps, (train, "trains it once more"), (f"skylift runs --study {study.id}", "lists its trials"))
