from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from skylift.cli._options import common, open_stack, stack_option

if TYPE_CHECKING:
    from skylift.client import Stack


@click.command("download", short_help="Fetch a run's report or a model's files.")
@click.argument("what", metavar="RUN|MODEL[:VERSION]")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), required=False)
@stack_option
@common
@click.pass_context
def command(ctx: click.Context, what: str, folder: Path | None, stack_flag: str | None, as_json: bool) -> None:
    """Fetch a run's records and report, or a model version's files, into FOLDER (default: a new one named after it).

    What lies there already and is whole is not fetched again; what was cut short goes on where it stopped.
    """
    from skylift.cli import _render

    stack = open_stack(ctx, stack_flag)
    run_id = _run_id(stack, what)
    target = _run(stack, run_id, folder) if run_id is not None else _model(stack, what, folder, as_json)
    if as_json:
        _render.print_json(
            {
                "folder": str(target.resolve()),
                "files": sorted(str(p.relative_to(target)) for p in target.rglob("*") if p.is_file()),
            }
        )
        return
    click.echo(f"{target}/")
    for path in sorted(target.rglob("*")):
        if path.is_file():
            click.echo(f"  {path.relative_to(target)}  {_render.size(path.stat().st_size)}")


def _run_id(stack: Stack, what: str) -> str | None:
    """The run that is meant, by id, a part of it or `last`; None if it is a model's name.

    Raises:
        NotFoundError: neither a run nor a model is called so.
    """
    from skylift.artifacts import layout, models
    from skylift.errors import NotFoundError, not_found

    if what == "last" or layout.RUN_ID.fullmatch(what):
        return stack.run(what).id
    known = models.list_models(stack.keep)
    if ":" in what or "@" in what or what in known:
        return None
    try:
        return stack.run(what).id
    except NotFoundError:
        hint = "`skylift runs` and `skylift models` list what there is"
        raise not_found("run or model", what, known, hint=hint) from None


def _run(stack: Stack, run_id: str, folder: Path | None) -> Path:
    from skylift.artifacts import layout

    run = stack.run(run_id)
    target = folder or Path(run.id)
    target.mkdir(parents=True, exist_ok=True)
    for stat in stack.keep.names(layout.run(run.id)):
        name = stat.key.rpartition("/")[2]
        beside = target / f".{name}.part"
        beside.write_bytes(stack.keep.get(stat.key).data)
        beside.rename(target / name)
    log = run.logs()
    (target / "log.txt").write_bytes(log)
    return target


def _model(stack: Stack, what: str, folder: Path | None, as_json: bool) -> Path:
    from skylift.artifacts import layout, models, transfer
    from skylift.cli import _progress

    ref = models.resolve(stack.keep, what)
    manifest = models.read_manifest(stack.keep, ref)
    target = folder or Path(f"{ref.name}-{ref.version}")
    target.mkdir(parents=True, exist_ok=True)
    prefix = layout.model(ref.name, ref.digest)
    with _progress.bytes_bar(what, quiet=as_json) as bar:
        transfer.download_folder(stack.keep, prefix, manifest.files, target, progress=bar)
    (target / layout.MANIFEST).write_bytes(stack.keep.get(layout.model_manifest(ref.name, ref.digest)).data)
    return target
