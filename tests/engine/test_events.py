import json
from pathlib import Path
from typing import Any

from skylift.engine.events import EventLog, Message, ResourceStep, Summary

URN = "urn:pulumi:local::skylift::skylift:local:Endpoint$pulumi-python:dynamic/local:Supervisor::default-supervisor"


def _resource(kind: str, op: str, urn: str = URN) -> dict[str, Any]:
    return {
        kind: {"metadata": {"op": op, "urn": urn, "type": "pulumi-python:dynamic/local:Supervisor", "diffs": ["port"]}}
    }


def _line(event: dict[str, Any]) -> str:
    return json.dumps(event) + "\n"


def test_a_growing_log_is_told_step_by_step_and_never_half_a_line(tmp_path: Path) -> None:
    path = tmp_path / "events"
    seen: list[ResourceStep | Message] = []
    log = EventLog(path, seen.append)
    log.follow()
    whole = _line(_resource("resourcePreEvent", "update"))
    half = _line(_resource("resOutputsEvent", "update"))
    path.write_text(whole + half[:30])
    log.follow()
    assert [(step.name, step.kind, step.state) for step in seen if isinstance(step, ResourceStep)] == [
        ("default-supervisor", "Supervisor", "started")
    ]
    path.write_text(whole + half)
    log.follow()
    assert isinstance(seen[-1], ResourceStep)
    assert (seen[-1].state, seen[-1].changed) == ("done", ("port",))


def test_messages_keep_errors_and_drop_the_engines_chatter(tmp_path: Path) -> None:
    path = tmp_path / "events"
    for severity, text in (("debug", "rpc"), ("info", "hello"), ("error", "bad"), ("error", " ")):
        with path.open("a") as file:
            file.write(_line({"diagnosticEvent": {"severity": severity, "message": text, "urn": URN}}))
    seen: list[ResourceStep | Message] = []
    log = EventLog(path, seen.append)
    log.follow()
    assert seen == [Message("info", "hello", URN), Message("error", "bad", URN)]
    assert log.errors == ["bad"]


def test_unknown_events_and_damaged_lines_of_other_engines_do_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "events"
    summary = {"summaryEvent": {"resourceChanges": {"same": 4, "update": 1, "delete": 0}}}
    provider = "urn:pulumi:local::skylift::pulumi:providers:pulumi-python::default"
    path.write_text(
        _line({"novelEvent": {}})
        + "not json\n"
        + _line(_resource("resourcePreEvent", "same", URN + "2"))
        + _line(_resource("resourcePreEvent", "create", provider))
        + _line(_resource("resOutputsEvent", "update"))
        + _line(summary)
    )
    log = EventLog(path, None)
    log.follow()
    assert log.changes == {"same": 4, "update": 1}
    assert [step.op for step in log.steps] == ["update"]


def test_a_summary_knows_whether_anything_changed() -> None:
    assert Summary({"same": 4, "update": 1}).changed
    assert not Summary({"same": 4}).changed
    assert not Summary().changed
