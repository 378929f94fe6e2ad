"""The top-level group: a table of commands by section, each loaded when it is called."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import click

from skylift import __version__

if TYPE_CHECKING:
    from pathlib import Path

SECTIONS: dict[str, dict[str, str]] = {
    "Begin": {
        "quickstart": "From nothing to a predicted digit, on this machine.",
        "doctor": "Show what this machine has and lacks, with a fix for each gap.",
        "init": "Write a new stack file, and a project if there is none.",
        "bootstrap": "Make the bucket and key for state that a team shares.",
        "env": "Print a shell's settings so that plain `pulumi` works on a stack.",
        "completion": "Print the script that completes commands in your shell.",
    },
    "Infrastructure": {
        "preview": "Show what `up` would change.",
        "up": "Bring a stack to what its file says.",
        "refresh": "Compare a stack's state with what really exists.",
        "status": "Show a stack: buckets, endpoints, runs, drift.",
        "down": "Take a stack away and prove that nothing is left.",
        "permissions": "Print the exact rights that somebody needs for a stack.",
    },
    "Training": {
        "data": "Prepare, list, show and remove datasets.",
        "recipes": "List what can be trained, and its hyperparameters.",
        "train": "Train a recipe and follow the run.",
        "tune": "Search a recipe's hyperparameters.",
        "runs": "List runs, newest first, or show one.",
        "compare-runs": "Put runs beside each other.",
        "tensorboard": "Show runs in TensorBoard.",
        "track": "Send runs to MLflow or Weights & Biases.",
        "scaling": "Measure how training speeds up with workers.",
        "logs": "Print a run's output.",
        "cancel": "Stop a run.",
        "download": "Fetch a run's report or a model's files.",
        "secret": "Keep the values that runs need and records must not hold.",
    },
    "Serving": {
        "models": "List, show, add, export and remove models.",
        "optimize": "Make a model smaller and faster, and measure what it costs.",
        "shard": "Cut a model into parts that serve as a chain.",
        "explain": "Show why a model says what it says.",
        "deploy": "Let an endpoint answer with a model's version.",
        "promote": "Let a canary answer all requests.",
        "rollback": "Let an endpoint answer with the version before.",
        "approve": "Agree to a deployment that somebody else made.",
        "veto": "End a canary for good, on all replicas at once.",
        "deployments": "List what an endpoint has been told to serve.",
        "predict": "Send an input to an endpoint and print the answer.",
        "keys": "Make, list and revoke API keys of endpoints.",
    },
    "Care": {
        "gc": "Show or remove what no longer serves anybody.",
    },
}
"""Commands and their short help by section, so that `--help` need not load them; a test holds that both agree."""

COMMANDS: dict[str, str] = {name: text for section in SECTIONS.values() for name, text in section.items()}


class App:
    """What every command shares. A plain class: start-up is measured, and `dataclasses` costs a tenth of it."""

    def __init__(self, *, debug: bool = False, as_json: bool = False) -> None:
        self.debug = debug
        self.as_json = as_json
        self.project: Path | None = None


class LazyGroup(click.Group):
    """A group whose commands live in modules of this package, named like them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"skylift.cli.{cmd_name.replace('-', '_')}")
        command: click.Command = module.command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError:
            from skylift.errors import nearest

            near = nearest(args[0], COMMANDS) if args else None
            if near:
                raise click.UsageError(f"No such command {args[0]!r}. Did you mean {near!r}?", ctx) from None
            raise

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for section, commands in SECTIONS.items():
            with formatter.section(section):
                formatter.write_dl(list(commands.items()), col_max=14)


def _as_path(_ctx: click.Context, _param: click.Parameter, value: Any) -> Path | None:
    from pathlib import Path  # click.Path(path_type=Path) would need it before any command is known

    return Path(value) if value is not None else None


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="skylift")
@click.option(
    "-C",
    "--project",
    type=click.Path(file_okay=False, exists=True),
    callback=_as_path,
    help="The project's folder. Default: the nearest one above.",
)
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON for machines.")
@click.pass_context
def cli(ctx: click.Context, project: Path | None, debug: bool, as_json: bool) -> None:
    """TensorFlow from your laptop to GPUs, and back as an endpoint.

    `skylift quickstart` shows the whole path on this machine, without an account.
    """
    app = ctx.ensure_object(App)
    app.project = project
    app.debug = app.debug or debug
    app.as_json = app.as_json or as_json
