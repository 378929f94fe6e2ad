from __future__ import annotations

import click

from skylift.cli._options import common, open_stack, stack_argument

PERSONS = ("up", "train", "release", "approve", "predict", "clean")
_HANDED_OVER = {
    "aws": "aws iam create-policy --policy-name NAME --policy-document file://FILE",
    "gcp": "gcloud iam roles create for each role, gcloud … add-iam-policy-binding for each binding",
    "azure": "az role definition create --role-definition FILE, az role assignment create at its scopes",
}


@click.command("permissions", short_help="Print the exact rights that somebody needs for a stack.")
@stack_argument
@click.option("--as", "person", type=click.Choice(PERSONS), required=True, help="What they are to do.")
@click.option("--reasons", is_flag=True, help="Show each right and what it is for, in place of the document.")
@common
@click.pass_context
def command(
    ctx: click.Context, stack_name: str | None, stack_flag: str | None, person: str, reasons: bool, as_json: bool
) -> None:
    """Print the rights that a person or CI needs to do something with STACK, as the cloud's own document: no more than that.

    Nothing is asked of the cloud or changed there; the rights follow from the stack's file. With --json the document comes together with
    the reason for each right.
    """
    from dataclasses import asdict

    from skylift.cli import _render
    from skylift.client.permissions import permissions

    stack = open_stack(ctx, stack_name, stack_flag)
    found = permissions(stack.project.stack_file(stack.name), stack.name, person)
    if as_json:
        _render.print_json(asdict(found))
        return
    if reasons:
        rows = [[one["what"], " ".join(one["actions"]), " ".join(one["on"])] for one in found.grants]
        _render.table(["~to", "~right", "~on"], rows)
        return
    _render.print_json(found.document)
    click.echo(f"hand it over: {_HANDED_OVER[found.cloud]}", err=True)
