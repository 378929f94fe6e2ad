"""A training machine, from its first boot to its removal."""

from __future__ import annotations

import itertools
import json
import os
import signal
import time
from collections.abc import Callable

import pytest

from infra.boot import Cloud
from tests.boot.machine import ALL, LATER, ONE, RUN, Machine, spec

Make = Callable[[Cloud, str], Machine]
IMDS = "GET 169.254.169.254/latest/meta-data"
NAMES = {"aws": "i-0abc", "gcp": "prod-run-x1", "azure": "prod-run_3"}


def removals(machine: Machine) -> list[str]:
    """Every request to remove a machine."""
    asked = [one for one in machine.api.requests if one.path.endswith("/deleteInstances") or one.method == "DELETE"]
    return (
        machine.calls("aws autoscaling")
        + machine.calls("aws ec2")
        + [f"{one.method} {one.path} {one.body}" for one in asked]
    )


def removed_by_id(machine: Machine) -> None:
    expected = {
        "aws": "aws autoscaling terminate-instance-in-auto-scaling-group --region us-east-1 --instance-id i-0abc "
        "--should-decrement-desired-capacity",
        "gcp": "POST /compute/v1/projects/99/regions/us-central1/instanceGroupManagers/prod-run/deleteInstances "
        '{"instances":["zones/us-central1-a/instances/prod-run-x1"]}',
        "azure": "DELETE /subscriptions/acct/resourceGroups/rg/providers/Microsoft.Compute/virtualMachineScaleSets/prod-run"
        "/virtualMachines/3?api-version=2024-07-01&forceDeletion=true ",
    }
    assert removals(machine) == [expected[machine.cloud]]


def report(machine: Machine) -> dict[str, str]:
    return machine.report(f"live/{RUN}/boot-{NAMES[machine.cloud]}.json")


@pytest.mark.parametrize("cloud", ALL)
def test_a_run_that_succeeds_takes_its_machine_away_and_reports_no_failure(machine: Make, cloud: Cloud) -> None:
    vm = machine(cloud, "train")
    vm.set("on-run", "exit 0")
    vm.set("on-agent", ': >"$BOOT_ROOT/run/skylift/agent/ready"; exec sleep 0.2')
    code, out = vm.boot(spec(cloud, "train"))
    assert code == 0, vm.told()
    assert f"started {RUN}" in out
    vm.until_off()
    removed_by_id(vm)
    assert not list(vm.fake.glob("bucket/**/*.json"))
    assert not vm.api.to("PUT")
    assert vm.arguments("agent")[-3:] == ["agent", "--run", f"{spec(cloud, 'train').keep}/runs/{RUN}"]
    assert vm.arguments("run")[-3:] == ["run", "--run", f"{spec(cloud, 'train').keep}/runs/{RUN}"]


@pytest.mark.parametrize("cloud", ALL)
def test_a_driver_that_never_comes_is_reported_and_the_machine_removed(machine: Make, cloud: Cloud) -> None:
    vm = machine(cloud, "train")
    vm.set("no-driver")
    code, _ = vm.boot(spec(cloud, "train"))
    assert code == 0  # removed: there is nothing left to tell
    removed_by_id(vm)
    told = report(vm)
    assert (told["schema"], told["reason"], told["machine"]) == (1, "no_driver", NAMES[cloud])
    assert "couldn't communicate" in told["detail"]
    assert vm.calls("shutdown") == ["shutdown -h +5"]
    assert not vm.calls("docker run")


@pytest.mark.parametrize("cloud", ONE)
def test_tokens_go_neither_onto_command_lines_nor_to_the_disk(machine: Make, cloud: Cloud) -> None:
    vm = machine(cloud, "train")
    vm.set("on-run", "exit 9")
    vm.set("on-agent", ': >"$BOOT_ROOT/run/skylift/agent/ready"; exec sleep 0.2')
    vm.boot(spec(cloud, "train"))
    vm.until_off()
    assert (vm.fake / "password").read_text().strip().startswith("TOKEN-of-")
    assert "TOKEN" not in (vm.fake / "calls").read_text()
    assert not [path for path in vm.root.rglob("*") if path.is_file() and "TOKEN" in path.read_text()]
    assert report(vm)["reason"] == "run_ended"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("before", "reason", "says"),
    [
        ({"login-fails": "9"}, "sign_in", "unauthorized"),
        ({"pull-fails": "9", "pull-error": "manifest unknown"}, "pull", "manifest unknown"),
        ({"pull-fails": "9", "pull-error": "write /x: no space left on device"}, "disk_full", "no space left"),
    ],
)
def test_what_keeps_the_image_away_is_told_apart(machine: Make, before: dict[str, str], reason: str, says: str) -> None:
    vm = machine("gcp", "train")
    for name, text in before.items():
        vm.set(name, text)
    vm.boot(spec("gcp", "train"))
    removed_by_id(vm)
    assert report(vm)["reason"] == reason
    assert says in report(vm)["detail"]
    assert len(vm.calls("docker login")) == 5


def test_a_pull_that_fails_twice_is_tried_again(machine: Make) -> None:
    vm = machine("azure", "train")
    vm.set("pull-fails", "2")
    vm.set("pull-error", "net/http: TLS handshake timeout")
    code, out = vm.boot(spec("azure", "train"))
    assert code == 0
    assert len(vm.calls("docker pull")) == 3
    assert out.count("pull failed") == 2
    vm.until_running("run")
    assert not removals(vm)
    exchange = vm.api.to("POST skylift.azurecr.io/oauth2/exchange")[0]
    assert exchange.body == (
        "grant_type=access_token&service=skylift.azurecr.io&access_token=TOKEN-for-https://management.azure.com/"
    )
    assert "client_id=client-id" in vm.metadata.to("GET 169.254.169.254/metadata/identity")[0].path


@pytest.mark.parametrize("cloud", ONE)
def test_an_agent_that_never_gets_ready_is_reported_and_the_machine_removed(machine: Make, cloud: Cloud) -> None:
    vm = machine(cloud, "train")
    vm.set("on-agent", "exit 1")
    vm.boot(spec(cloud, "train", agent_timeout_s=60))
    vm.until_off()
    removed_by_id(vm)
    assert report(vm)["reason"] == "agent_failed"
    assert len(vm.calls("docker run")) == 5  # the start limit of its unit
    assert not (vm.fake / "container-run").exists()


def test_an_agent_that_hangs_is_given_its_time_and_no_more(machine: Make) -> None:
    vm = machine("aws", "train")
    vm.set("on-agent", "exec sleep 60")
    vm.boot(spec("aws", "train", agent_timeout_s=0))
    vm.until_off()
    removed_by_id(vm)
    assert report(vm)["reason"] == "agent_not_ready"


def spot_notice(vm: Machine, taken: bool) -> None:
    """Raise or withdraw the cloud's notice, as its documentation shows it."""
    if vm.cloud == "aws":
        at = f"{IMDS}/spot/instance-action"
        vm.metadata.answers[at] = (200, '{"action":"terminate","time":"2026-11-23T03:02:00Z"}') if taken else (404, "")
    elif vm.cloud == "gcp":
        at = "GET 169.254.169.254/computeMetadata/v1/instance/preempted"
        vm.metadata.answers[at] = (200, "TRUE" if taken else "FALSE")
    else:
        mine = ["prod-run_3"] if taken else []
        event = {"EventId": "E-1", "EventType": "Preempt", "ResourceType": "VirtualMachine", "EventStatus": "Scheduled"}
        text = json.dumps(
            {"DocumentIncarnation": 2, "Events": [{**event, "EventId": "E-0", "Resources": ["prod-run_1"]}]}
        )
        if mine:
            text = json.dumps({"DocumentIncarnation": 3, "Events": [{**event, "Resources": mine}]}, indent=1)
        vm.metadata.answers["GET 169.254.169.254/metadata/scheduledevents"] = (200, text)


@pytest.mark.parametrize(("cloud", "seconds"), [("aws", 110), ("gcp", 25), ("azure", 25)])
def test_a_notice_becomes_a_sigterm_that_leaves_time_to_save(machine: Make, cloud: Cloud, seconds: int) -> None:
    vm = machine(cloud, "train")
    vm.boot(spec(cloud, "train"))
    vm.until_running("run")
    spot_notice(vm, True)
    vm.until(lambda: vm.calls("SIGTERM run"), "SIGTERM")
    assert vm.calls("docker stop") == [f"docker stop -t {seconds} skylift-run"]
    if cloud == "azure":  # saved: it need not wait for the end of the notice
        at = "POST 169.254.169.254/metadata/scheduledevents"
        vm.until(lambda: vm.metadata.to(at), "acknowledgement")
        assert vm.metadata.to(at)[0].body == '{"StartRequests":[{"EventId":"E-1"}]}'
    assert not removals(vm)  # the cloud takes it, and its group makes another one
    assert not vm.calls("shutdown")


@pytest.mark.slow
def test_a_notice_that_is_withdrawn_lets_the_run_go_on(machine: Make) -> None:
    vm = machine("azure", "train")
    vm.boot(spec("azure", "train"))
    vm.until_running("run")
    spot_notice(vm, True)
    vm.until(lambda: vm.calls("SIGTERM run"), "SIGTERM")
    spot_notice(vm, False)
    vm.until(lambda: vm.calls("systemctl start skylift-run"), "started again")
    vm.until(lambda: len(vm.calls("docker run")) == 3, "agent, run, run")
    assert not (vm.state / "notice").exists()


def test_a_recommendation_to_rebalance_stops_nothing(machine: Make) -> None:
    vm = machine("aws", "train")
    vm.metadata.answers[f"{IMDS}/events/recommendations/rebalance"] = (200, '{"noticeTime":"2026-11-23T03:00:00Z"}')
    vm.boot(spec("aws", "train"))
    vm.until_running("run")
    vm.until(lambda: (vm.state / "rebalance").exists() and (vm.state / "rebalance").read_text(), "handed on")
    assert not vm.calls("SIGTERM")


def test_at_its_end_a_machine_saves_reports_and_goes(machine: Make) -> None:
    vm = machine("gcp", "train")
    vm.boot(spec("gcp", "train"))
    vm.until_running("run")
    vm.env["BOOT_PAUSE"] = "0"
    facts = vm.root / "var/lib/skylift/facts"
    facts.write_text(facts.read_text() + "UNTIL=1\n")  # as if its hours had passed
    vm.set("on-agent", "exit 0")
    watcher = int((vm.fake / "units/skylift-watch.pid").read_text())
    agent = int((vm.fake / "container-agent").read_text())
    os.kill(watcher, signal.SIGKILL)  # systemd starts it anew
    vm.until(lambda: vm.calls("SIGTERM run"), "SIGTERM")
    os.kill(agent, signal.SIGTERM)
    vm.until_off()
    assert vm.calls("docker stop") == ["docker stop -t 300 skylift-run"]
    assert report(vm)["reason"] == "end_time"
    removed_by_id(vm)


def test_the_group_s_end_stands_above_the_pool_s_hours(machine: Make) -> None:
    vm = machine("aws", "train")
    vm.metadata.answers[f"{IMDS}/tags/instance/skylift-end"] = (200, "20200101t000000z")
    vm.boot(spec("aws", "train"))
    assert report(vm)["reason"] == "past_end"
    removed_by_id(vm)


@pytest.mark.parametrize(
    "end", ["", "$(touch x)", *(pytest.param(end, marks=pytest.mark.slow) for end in ("tomorrow", "20991231", LATER))]
)
def test_without_a_usable_end_the_pool_s_hours_count(machine: Make, end: str) -> None:
    vm = machine("aws", "train")
    vm.metadata.answers[f"{IMDS}/tags/instance/skylift-end"] = (200, end) if end else (404, "")
    vm.boot(spec("aws", "train", max_hours=2.0))
    facts = (vm.root / "var/lib/skylift/facts").read_text()
    left = int(facts.split("UNTIL=")[1]) - time.time()
    assert 7100 < left <= 7200


@pytest.mark.parametrize(
    "run", ["../../models", *(pytest.param(run, marks=pytest.mark.slow) for run in ("", "$(reboot)", f"{RUN}/x"))]
)
def test_tags_that_name_no_run_start_none(machine: Make, run: str) -> None:
    vm = machine("aws", "train")
    vm.metadata.answers[f"{IMDS}/tags/instance/skylift-run"] = (200, run) if run else (404, "")
    vm.boot(spec("aws", "train"))
    assert vm.report("live/_boot/boot-i-0abc.json")["reason"] == "no_run"
    removed_by_id(vm)


def test_a_machine_outside_a_group_is_terminated_by_itself(machine: Make) -> None:
    vm = machine("aws", "train")
    vm.set("no-driver")
    vm.set("no-group")
    vm.boot(spec("aws", "train"))
    assert removals(vm)[-1] == "aws ec2 terminate-instances --region us-east-1 --instance-ids i-0abc"


@pytest.mark.slow
def test_a_google_machine_outside_a_group_is_deleted_by_its_number(machine: Make) -> None:
    vm = machine("gcp", "train")
    vm.set("no-driver")
    vm.metadata.answers["GET 169.254.169.254/computeMetadata/v1/instance/attributes/created-by"] = (404, "")
    vm.boot(spec("gcp", "train"))
    assert removals(vm) == ["DELETE /compute/v1/projects/acct/zones/us-central1-a/instances/4711 "]


@pytest.mark.parametrize("cloud", ONE)
def test_where_removal_is_refused_it_asks_again_and_then_switches_off(machine: Make, cloud: Cloud) -> None:
    vm = machine(cloud, "train")
    for name in ("no-driver", "no-group", "no-rights"):
        vm.set(name)
    for at in list(vm.api.answers):
        if at.startswith(("POST compute", "DELETE")):
            vm.api.answers[at] = (403, "forbidden")
    code, out = vm.boot(spec(cloud, "train"))
    assert code == 1
    assert len(removals(vm)) == {"aws": 10, "gcp": 10, "azure": 5}[cloud]
    assert vm.calls("shutdown") == ["shutdown -h now"]
    assert "could not be removed" in out


def test_a_machine_that_knows_nothing_of_itself_is_switched_off(machine: Make) -> None:
    vm = machine("azure", "train")
    vm.metadata.answers.clear()
    code, out = vm.boot(spec("azure", "train"))
    assert code == 1
    assert "no_metadata" in out
    assert vm.calls("shutdown") == ["shutdown -h now"]
    assert not removals(vm)


@pytest.mark.slow
def test_a_report_that_cannot_be_written_keeps_no_machine_alive(machine: Make) -> None:
    vm = machine("gcp", "train")
    vm.set("no-driver")
    vm.api.answers["PUT storage.googleapis.com/work/"] = (503, "")
    _, out = vm.boot(spec("gcp", "train"))
    assert "the report could not be written" in out
    removed_by_id(vm)


@pytest.mark.parametrize(
    ("code", "starts"),
    [(9, 1), (75, 5), pytest.param(3, 1, marks=pytest.mark.slow), pytest.param(137, 5, marks=pytest.mark.slow)],
)
def test_only_what_a_restart_may_help_is_restarted_and_not_for_ever(machine: Make, code: int, starts: int) -> None:
    vm = machine("aws", "train")
    vm.set("on-run", f"exit {code}")
    vm.boot(spec("aws", "train", agent=False))
    vm.until_off()
    assert len(vm.calls("docker run")) == starts
    assert report(vm)["message"] == f"the run ended with exit code {code}"
    removed_by_id(vm)


def test_the_run_is_kept_from_the_metadata_and_from_every_right(machine: Make) -> None:
    vm = machine("aws", "train")
    vm.set(
        "on-agent", 'mkdir -p "$BOOT_ROOT/run/skylift/agent"; echo TOKEN_URL=x >"$BOOT_ROOT/run/skylift/agent/run.env"'
    )
    vm.boot(spec("aws", "train"))
    given = vm.arguments("run")
    rule = "OUTPUT -p tcp ! --dport 53 -m owner --uid-owner 10001 -j REJECT -d"
    for at in ("169.254.169.254", "168.63.129.16"):
        assert f"iptables -w -I {rule} {at}" in vm.calls("iptables")
    for pair in (
        ("--user", "10001"),
        ("--cap-drop", "ALL"),
        ("--security-opt", "no-new-privileges"),
        ("--tmpfs", "/tmp"),
    ):
        assert pair in itertools.pairwise(given)
    assert {"--read-only", "--rm", "--pull"} <= set(given)
    assert ("--gpus", "all") in itertools.pairwise(given)
    assert f"{vm.state}/agent:/run/skylift:ro" in given
    assert given.count("--env-file") == 2  # what the agent wrote for it
    agent = vm.arguments("agent")
    assert ("--user", "10002") in itertools.pairwise(agent)
    assert "--gpus" not in agent


def test_a_run_does_not_start_where_the_metadata_cannot_be_kept_from_it(machine: Make) -> None:
    vm = machine("aws", "train")
    vm.set("no-firewall")
    vm.boot(spec("aws", "train"))
    vm.until(lambda: (vm.fake / "units/skylift-run").read_text() == "failed\n", "given up")
    assert not (vm.fake / "container-run").exists()


def test_without_a_gpu_no_driver_is_waited_for(machine: Make) -> None:
    vm = machine("gcp", "train")
    vm.set("no-driver")
    vm.boot(spec("gcp", "train", gpu=False))
    assert "--gpus" not in vm.arguments("run")
    assert not vm.calls("nvidia-smi")


def test_a_second_boot_neither_pulls_nor_lengthens_its_life(machine: Make) -> None:
    vm = machine("gcp", "train")
    vm.boot(spec("gcp", "train"))
    vm.until_running("run")
    facts = (vm.root / "var/lib/skylift/facts").read_text()
    code, _ = vm.boot(spec("gcp", "train"))
    assert code == 0
    assert len(vm.calls("docker pull")) == 1
    assert (vm.root / "var/lib/skylift/facts").read_text() == facts


def test_a_first_boot_that_is_interrupted_is_reported_like_one_that_failed(machine: Make) -> None:
    vm = machine("aws", "train")
    vm.set("no-driver")
    running = vm.begin(spec("aws", "train", driver_timeout_s=600))
    vm.until(lambda: vm.calls("nvidia-smi"), "waiting for the driver")
    running.terminate()
    running.wait(30)
    assert report(vm)["reason"] == "boot_broken"
    removed_by_id(vm)


def told_of_gpus(vm: Machine) -> list[dict[str, object]]:
    """What the machine has told of its GPUs, where its cloud takes it."""
    if vm.cloud == "aws":
        events = (vm.fake / "lines").read_text().splitlines() if (vm.fake / "lines").exists() else []
        return [json.loads(json.loads(event)[0]["message"]) for event in events]
    said = vm.fake / "skylift-watch.out"
    lines = said.read_text().splitlines() if said.exists() else []
    return [json.loads(line) for line in lines if line.startswith('{"event"') and line.endswith("}")]


@pytest.mark.parametrize("cloud", ONE)
def test_a_machine_tells_for_how_long_its_gpus_have_done_nothing(machine: Make, cloud: Cloud) -> None:
    """One of two is at work; then none is, by a clock that is moved on three hours."""
    vm = machine(cloud, "train")
    vm.set("gpu-use", "0\n97\n")
    vm.boot(spec(cloud, "train", logs="/skylift/prod" if cloud == "aws" else ""))
    vm.until(lambda: told_of_gpus(vm), "a word on the GPUs")
    first = told_of_gpus(vm)[0]
    assert first == {"event": "gpu", "run": RUN, "idle_minutes": 0}
    vm.set("gpu-use", "0\n4\n")
    vm.set("later", "10800")
    vm.until(lambda: told_of_gpus(vm)[-1]["idle_minutes"] in (180, 181), "three idle hours")
    if cloud == "aws":
        (stream,) = {call.partition(" --log-events")[0] for call in vm.calls("aws logs put-log-events")}
        assert stream.endswith(f"--log-group-name /skylift/prod --log-stream-name gpu/{RUN}/i-0abc")


def test_gpus_that_cannot_be_asked_say_nothing(machine: Make) -> None:
    vm = machine("aws", "train")
    vm.set("gpu-use", "[N/A]")
    vm.boot(spec("aws", "train", logs="/skylift/prod"))
    vm.until(lambda: len(vm.calls("nvidia-smi --query-gpu")) > 2, "looks at the GPUs")
    assert not vm.calls("aws logs")


def test_a_machine_without_gpus_does_not_look_for_them(machine: Make) -> None:
    vm = machine("aws", "train")
    vm.set("on-run", "exit 0")
    vm.set("on-agent", ': >"$BOOT_ROOT/run/skylift/agent/ready"; exec sleep 0.2')
    vm.boot(spec("aws", "train", gpu=False, logs="/skylift/prod"))
    vm.until_off()
    assert not vm.calls("nvidia-smi")


def test_a_run_group_on_azure_is_bound_to_what_is_collected_of_its_logs(machine: Make) -> None:
    """And a refusal keeps no run from starting."""
    vm = machine("azure", "train")
    rule = "/subscriptions/acct/resourceGroups/rg/providers/Microsoft.Insights/dataCollectionRules/machines"
    vm.boot(spec("azure", "train", log_rule=rule))
    vm.until_running("run")
    at = "management.azure.com/subscriptions/acct/resourceGroups/rg/providers/Microsoft.Compute/virtualMachineScaleSets/prod-run"
    vm.until(
        lambda: vm.api.to(f"PUT {at}/providers/Microsoft.Insights/dataCollectionRuleAssociations/skylift?"), "bound"
    )
    (asked,) = vm.api.to("PUT management.azure.com/")
    assert json.loads(asked.body) == {"properties": {"dataCollectionRuleId": rule}}
    assert asked.headers["authorization"] == "Bearer TOKEN-for-https://management.azure.com/"
