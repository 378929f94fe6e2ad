from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from skylift.cli._options import common, complete_runs, open_stack, stack_option


@click.command("track", short_help="Send runs to MLflow or Weights & Biases.")
@click.argument("runs", metavar="RUN…", nargs=-1, required=True, shell_complete=complete_runs)
@click.option("--to", type=click.Choice(["mlflow", "wandb"]), required=True, help="Where to.")
@click.option("--project", metavar="NAME", help="MLflow's experiment, or [ENTITY/]PROJECT. Default: the run's model.")
@click.option("--uri", metavar="URL", help="The server. Default: $MLFLOW_TRACKING_URI, or $WANDB_BASE_URL.")
@click.option(
    "--offline",
    type=click.Path(path_type=Path, file_okay=False),
    help="Write into this folder and send nothing.",
)
@stack_option
@common
@click.pass_context
def command(ctx: click.Context, /, runs: tuple[str, ...], stack_flag: str | None, as_json: bool, **where: Any) -> None:
    """Send RUNs with hyperparameters, metrics, tags and report. What was sent before is brought up to date, not doubled.

    Keys come from the environment: MLFLOW_TRACKING_TOKEN, or WANDB_API_KEY. Needs skylift[trackers].
    """
    from skylift.cli import _render
    from skylift.client import tracking

    sent = tracking.send(open_stack(ctx, stack_flag), runs, **where)
    if as_json:
        _render.print_json(sent)
        return
    _render.table(
        ["run", "state", "project", ">points", "~where"],
        [(each["id"], each["state"], each["project"], each["points"], each["where"]) for each in sent],
        empty="",
    )
    if where["offline"] is None:
        return
    if where["to"] == "wandb":
        _render.next_steps((f"wandb sync --include-offline {sent[0]['where']}", "sends it"))
    else:
        folder = where["offline"]
        _render.next_steps((f"MLFLOW_ALLOW_FILE_STORE=true mlflow ui --backend-store-uri {folder}", "shows it"))
