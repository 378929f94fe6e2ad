from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import click

from skylift.cli._options import common, complete_recipes, complete_runs, open_stack, stack_option
from skylift.cli.data import complete_datasets

if TYPE_CHECKING:
    from skylift.artifacts.records import FormatName
    from skylift.client import Stack
    from skylift.client.training import Request


def _pairs(_ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for text in values:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise click.BadParameter(f"{text!r} is not NAME=VALUE", param=param)
        pairs[name] = value
    return pairs


@click.command("train", short_help="Train a recipe and follow the run.")
@click.argument("recipe_argument", metavar="[RECIPE]", required=False, shell_complete=complete_recipes)
@click.option(
    "--recipe", "recipe_option", metavar="RECIPE", help="The recipe: a name, path/to/file.py or package.module."
)
@stack_option
@click.option("--set", "settings", metavar="NAME=VALUE", multiple=True, callback=_pairs, help="A hyperparameter.")
@click.option("--name", "model", metavar="MODEL", help="The model's name. Default: the recipe's.")
@click.option(
    "--data",
    metavar="NAME|FOLDER",
    shell_complete=complete_datasets,
    help="A dataset of `skylift data`, or a folder of files; the recipe's load() gets it. Only what changed is sent.",
)
@click.option(
    "--env", "env", metavar="NAME=VALUE", multiple=True, callback=_pairs, help="An environment variable, recorded."
)
@click.option(
    "--secret",
    "secrets",
    metavar="NAME",
    multiple=True,
    help="A secret kept by `skylift secret`; only its name is recorded.",
)
@click.option("--seed", default=0, show_default=True, help="Decides the split, the order and the first weights.")
@click.option(
    "--format",
    "formats",
    type=click.Choice(["tflite", "h5", "onnx", "keras"]),
    multiple=True,
    help="A form that the model must have, beside SavedModel; ONNX and .keras are tried anyway.",
)
@click.option(
    "--workers",
    type=click.IntRange(1, 256),
    default=1,
    show_default=True,
    help="Processes that learn together, each on a machine of its own where the target has machines.",
)
@click.option(
    "--strategy",
    type=click.Choice(["auto", "one", "mirrored", "multiworker", "ps"]),
    default="auto",
    show_default=True,
    help="How the work is shared out: `one` device, all GPUs of a machine (`mirrored`), several machines in step "
    "(`multiworker`) or each at its own pace (`ps`).",
)
@click.option(
    "--ps",
    type=click.IntRange(0, 64),
    default=0,
    metavar="M",
    help="Parameter servers beside the workers, which then do not wait for each other; losing one of them stops nothing.",
)
@click.option(
    "--explain", is_flag=True, help="Give the SavedModel a second signature, which says what its predictions go by."
)
@click.option(
    "--resume", metavar="RUN", shell_complete=complete_runs, help="Go on with a run from its last checkpoint."
)
@click.option(
    "--if-changed",
    is_flag=True,
    help="Start only when the data, the recipe or what is set differs from the model's newest run. For cron and CI.",
)
@click.option(
    "--if-drifted",
    is_flag=True,
    help="The same, but a newer version of the dataset counts only where a column has drifted: `skylift data drift`.",
)
@click.option("-d", "--detach", is_flag=True, help="Return when the run is on its way.")
@common
@click.pass_context
def command(
    ctx: click.Context,
    recipe_argument: str | None,
    recipe_option: str | None,
    stack_flag: str | None,
    settings: dict[str, str],
    model: str | None,
    data: str | None,
    env: dict[str, str],
    secrets: tuple[str, ...],
    seed: int,
    formats: tuple[FormatName, ...],
    workers: int,
    strategy: Literal["auto", "one", "mirrored", "multiworker", "ps"],
    ps: int,
    explain: bool,
    resume: str | None,
    if_changed: bool,
    if_drifted: bool,
    detach: bool,
    as_json: bool,
) -> None:
    """Train RECIPE and follow the run until its model is published.

    An interrupt (Ctrl-C) leaves the run at work: `skylift logs -f` follows it again, `skylift cancel` stops it.
    Exit codes: 9 the run failed, 75 it was stopped, is saved and can be resumed.
    """
    from skylift.cli import _follow, _progress
    from skylift.client import training

    recipe = _one_recipe(recipe_argument, recipe_option, resume)
    stack = open_stack(ctx, stack_flag)
    if resume is not None:
        _refuse_changes(ctx)
        run = training.resume(stack, resume)
    else:
        asked = training.Request(
            recipe=recipe or "",
            hyperparameters=dict(settings),
            model=model,
            data=data,
            env=env,
            secrets=secrets,
            seed=seed,
            formats=tuple(dict.fromkeys(formats)),
            workers=workers,
            strategy=strategy,
            ps=ps,
            explain=explain,
        )
        if (if_changed or if_drifted) and _is_same(stack, asked, if_drifted, as_json):
            return
        with _progress.bytes_bar("sending data", quiet=as_json) as bar:
            run = training.start(stack, asked, progress=bar)
    if detach:
        _follow.started(run, as_json=as_json)
    else:
        _follow.to_the_end(run, as_json=as_json)


def _refuse_changes(ctx: click.Context) -> None:
    """Raises UsageError where something is asked of a resumed run that would have to be another one."""
    names = {"settings": "--set", "env": "--env", "data": "--data", "explain": "--explain"}
    names |= {"formats": "--format", "if_changed": "--if-changed", "if_drifted": "--if-drifted"}
    default = click.core.ParameterSource.DEFAULT
    given = [option for name, option in names.items() if ctx.get_parameter_source(name) is not default]
    if given:
        raise click.UsageError(f"--resume goes on with what was asked; {', '.join(given)} cannot change it")


def _is_same(stack: Stack, asked: Request, by_drift: bool, as_json: bool) -> bool:
    """Whether nothing has changed that counts; says what was found, in JSON only where no run follows that prints its own."""
    from skylift.cli import _render
    from skylift.client import unchanged

    found = unchanged.compare(stack, asked, by_drift=by_drift)
    if found.is_same and as_json:
        _render.print_json({"started": False, "run": found.run, "model": found.model, "why": found.sentence()})
    elif not as_json:
        click.echo(found.sentence() + ("; nothing is started" if found.is_same else ""), err=not found.is_same)
    return found.is_same


def _one_recipe(argument: str | None, option: str | None, resume: str | None) -> str | None:
    if argument and option and argument != option:
        raise click.UsageError(f"two recipes are named: {argument} and {option}")
    recipe = argument or option
    if recipe and resume:
        raise click.UsageError("a resumed run has its recipe already; leave the name out")
    if not recipe and not resume:
        raise click.UsageError("name a recipe (`skylift recipes` lists them) or a run to --resume")
    return recipe
