from __future__ import annotations

from typing import TYPE_CHECKING

import click

from skylift.cli._options import common, open_stack, stack_argument

if TYPE_CHECKING:
    from skylift.client.looking import View


@click.command("status", short_help="Show a stack: buckets, endpoints, runs, drift.")
@stack_argument
@common
@click.pass_context
def command(ctx: click.Context, stack_name: str | None, stack_flag: str | None, as_json: bool) -> None:
    """Show what STACK promises and whether it is so: buckets, endpoints and their replicas, runs at work, drift."""
    from skylift.cli import _render
    from skylift.client import looking

    view = looking.look(open_stack(ctx, stack_name, stack_flag))
    if as_json:
        _render.print_json(view.to_dict())
        return
    _show(view)


def _show(view: View) -> None:
    from skylift.cli import _release, _render

    _render.fields([("stack", view.stack), ("target", view.target), ("owner", view.owner)])
    _render.heading("Buckets")
    _render.table(
        ["bucket", "url", "state"], [(one.kind, one.url, "there" if one.there else "GONE") for one in view.buckets]
    )
    _render.heading("Endpoints")
    rows = [
        (
            one.name,
            one.url,
            one.health,
            one.deployment or "",
            one.model,
            f"{one.serving}/{one.replicas}",
            one.workers,
            one.failure or (f"deployment {one.deployment} waits for {one.waiting}" if one.waiting else ""),
        )
        for one in view.endpoints
    ]
    columns = ["endpoint", "url", "health", ">deployment", "model", ">replicas", "workers", "~says"]
    _render.table(columns, rows, empty="none")
    for one in view.endpoints:
        if one.canary is not None:
            _render.heading(f"Canary of {one.name} (on {one.canary.serving} of {one.canary.replicas} replicas)")
            _release.show(one.canary)
    _render.heading("Runs at work")
    _render.table(
        ["run", "state", "recipe", ">begun"],
        [(r.id, r.state, r.recipe, _render.ago(r.created)) for r in view.runs],
        empty="none",
    )
    if view.drift:
        _render.heading("Drift")
        for line in view.drift:
            click.echo(f"  {click.style('!', fg='red')} {line}")
        _render.next_steps((f"skylift up {view.stack}", "mends it"))
