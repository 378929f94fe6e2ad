"""Target azure-vm on its ground: machines, the reaper, alarms."""

from __future__ import annotations

import pulumi

from infra.azure import watch, written
from infra.azure.ground import Ground
from infra.azure.monitoring import Alarms, AlarmsArgs
from infra.azure.names import Names
from infra.azure.reaper import Reaper, ReaperArgs
from infra.azure.vm import Machines, MachinesArgs
from infra.promise import Made


def build(ground: Ground) -> tuple[Made, list[pulumi.Resource]]:
    """Declare it; what rights may be on, second."""
    assert ground.network is not None
    context = ground.context
    machines = Machines(
        "machines",
        MachinesArgs(
            context=context,
            group=ground.group,
            network=ground.network,
            identities=ground.identities,
            logs=ground.logs,
            after=ground.ready,
        ),
        ground.opts,
    )
    reaper = Reaper(
        "reaper",
        ReaperArgs(
            context=context,
            group=ground.group,
            runs_group=Names(context).runs_group,
            identity=ground.identities.of["reaper"],
            logs=ground.logs.workspace,
            after=ground.ready,
        ),
        ground.opts,
    )
    queries = {
        "reaper": watch.reaper_failures(reaper.job),
        **written.answers(context, written.IN_SYSLOG),
        **written.idle_runs(context, written.IN_SYSLOG),
    }
    if "work" in ground.storage.made:
        queries["boot"] = watch.boot_reports()
    args = AlarmsArgs(
        context=context,
        group=ground.group,
        group_id=ground.group_id,
        logs=ground.logs,
        metrics=watch.of_machines(context, machines.sets),
        queries=queries,
    )
    Alarms("alarms", args, ground.opts)
    return machines.made, [machines]
