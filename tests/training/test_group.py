"""Several processes learn together, and what becomes of them when one is killed, stopped or never comes."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from skylift.errors import InputError, MachineError
from tests.training.leftovers import left_over
from training.cluster import rendezvous
from training.cluster.description import Cluster, read_tf_config
from training.cluster.surroundings import Surroundings, look
from training.loop.group import shared_out

LONG = {"epochs": 40, "checkpoint_seconds": 0.2, "steps_per_call": 3}
RUN = "20260101t000000-abcdef"


class TestSurroundings:
    """What each service says, as one description."""

    TF = '{"cluster": {"chief": ["c:1"], "worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 1}}'
    VERTEX = (
        '{"cluster": {"workerpool0": ["p-0:2222"], "workerpool1": ["p-1:2222", "p-2:2222"]}, '
        '"task": {"type": "workerpool1", "index": 0}, "environment": "cloud"}'
    )

    @pytest.mark.parametrize(
        ("environ", "index", "addresses"),
        [
            ({"SKYLIFT_MEMBER_INDEX": "2", "SKYLIFT_MEMBERS": "3"}, 2, ()),
            ({"TF_CONFIG": TF}, 2, ("c:1", "a:1", "b:1")),
            ({"CLUSTER_SPEC": VERTEX}, 1, ("p-0:2222", "p-1:2222", "p-2:2222")),
            ({"AZUREML_NODE_COUNT": "3", "NODE_RANK": "1"}, 1, ()),
            ({"JOB_COMPLETION_INDEX": "2"}, 2, ()),
        ],
        ids=["run group", "TF_CONFIG", "Vertex AI", "Azure ML", "indexed Job"],
    )
    def test_it_is_known_which_member_this_is(
        self, environ: dict[str, str], index: int, addresses: tuple[str, ...], tmp_path: Path
    ) -> None:
        found = look(environ, 3, tmp_path / "none")
        assert (found.index, found.count, found.addresses) == (index, 3, addresses)

    def test_sagemaker_sorts_hosts_the_same_way_on_each(self, tmp_path: Path) -> None:
        file = tmp_path / "resourceconfig.json"
        file.write_text(
            '{"current_host": "algo-2", "hosts": ["algo-3", "algo-1", "algo-2"], "network_interface_name": "eth0"}'
        )
        found = look({}, 3, file)
        assert (found.index, found.addresses) == (1, ("algo-1:2222", "algo-2:2222", "algo-3:2222"))

    @pytest.mark.parametrize(
        "environ",
        [
            {},
            {"AZUREML_NODE_COUNT": "1"},
            {"JOB_COMPLETION_INDEX": "0"},
            {"TF_CONFIG": '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 0}}'},
            {"CLUSTER_SPEC": '{"cluster": {"workerpool0": ["p:1"]}, "task": {"type": "workerpool0", "index": 0}}'},
        ],
    )
    def test_one_machine_is_alone(self, environ: dict[str, str], tmp_path: Path) -> None:
        found = look(environ, 1, tmp_path / "none")
        assert (found.index, found.count, found.addresses) == (0, 1, ())

    @pytest.mark.parametrize(
        ("environ", "said"),
        [
            ({"SKYLIFT_MEMBERS": "3"}, "SKYLIFT_MEMBER_INDEX is '', not a number"),
            ({"SKYLIFT_MEMBERS": "3", "SKYLIFT_MEMBER_INDEX": "3"}, "member 3 of 3"),
            ({"SKYLIFT_MEMBERS": "5", "SKYLIFT_MEMBER_INDEX": "3"}, "asks for 3 workers, the launcher has 5"),
            ({"TF_CONFIG": "{"}, "TF_CONFIG cannot be read"),
            ({"TF_CONFIG": '{"cluster": {"evaluator": ["a:1"]}}'}, "has the roles evaluator"),
            ({"TF_CONFIG": '{"cluster": {"worker": ["a:1", "a:1"]}}'}, "two members of the group have the address a:1"),
            ({"CLUSTER_SPEC": '{"cluster": {"workerpool3": ["p:1"]}}'}, "CLUSTER_SPEC has workerpool3"),
            ({"AZUREML_NODE_COUNT": "3"}, "does not say which this is"),
        ],
    )
    def test_what_cannot_be_is_refused(self, environ: dict[str, str], said: str, tmp_path: Path) -> None:
        with pytest.raises(InputError, match=said):
            look(environ, 3, tmp_path / "none")

    def test_tf_config_of_every_member_differs_in_its_task_only(self) -> None:
        members = [Cluster(("a:1", "b:2"), index) for index in (0, 1)]
        assert [read_tf_config(each.tf_config()) for each in members] == members


class TestRendezvous:
    def meet(self, bench: Any, here: Surroundings, address: str, **more: Any) -> Cluster | None:
        return rendezvous.meet(bench.work, RUN, 1, here, address, sleep=lambda seconds: None, **more)

    def test_members_find_each_other_in_any_order(self, bench: Any) -> None:
        found: dict[int, Cluster | None] = {}

        def come(index: int) -> None:
            found[index] = self.meet(bench, Surroundings("test", index, 3), f"h{index}:1")

        threads = [threading.Thread(target=come, args=(index,)) for index in (2, 0, 1)]
        for each in threads:
            each.start()
        for each in threads:
            each.join(60)
        assert found == {index: Cluster(("h0:1", "h1:1", "h2:1"), index) for index in range(3)}

    def test_who_did_not_come_is_named(self, bench: Any) -> None:
        times = iter(range(1000))
        with pytest.raises(MachineError, match=r"1 of 3 members came within 5 s; missing: number 0, 2"):
            self.meet(bench, Surroundings("test", 1, 3), "h:1", seconds=5, clock=lambda: next(times))

    def test_nobody_waits_for_a_run_that_was_stopped(self, bench: Any) -> None:
        assert self.meet(bench, Surroundings("test", 1, 3), "h:1", gone=lambda: True) is None

    def test_members_that_were_told_differently_refuse(self, bench: Any) -> None:
        bench.work.put(
            f"live/{RUN}/members/000001/0000.json",
            b'{"schema": 1, "index": 0, "address": "a:1", "told": ["a:1", "b:1"]}',
        )
        with pytest.raises(InputError, match="disagree on who they are: number 0 was told a:1, b:1, number 1 a:1, c:1"):
            self.meet(bench, Surroundings("test", 1, 2, ("a:1", "c:1")), "c:1")


class TestSharingOut:
    @pytest.mark.parametrize(("rows", "replicas"), [(8, 1), (8, 2), (7, 2), (1, 3), (9, 4)])
    def test_every_row_counts_once(self, rows: int, replicas: int) -> None:
        shares, counts = shared_out(np.arange(rows), replicas)
        assert shares.shape == counts.shape == (replicas, -(-rows // replicas))
        assert sorted(shares[counts > 0]) == list(range(rows))


REPLICAS = """
import sys
import numpy as np
from training.loop import backend, batches
tf, keras = backend.start(0)
if len(sys.argv) > 1:
    cpus = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(cpus[0], [tf.config.LogicalDeviceConfiguration()] * 3)
from tests.training.small import CLASSES, model_for, split
from training.loop.feed import Resident, Streamed
from training.loop.group import Group
from training.loop.learner import Learner
from training.loop.settings import LoopSettings
kind = {"resident": Resident, "streamed": Streamed}[sys.argv[1]] if len(sys.argv) > 1 else Resident
group = Group(tf, tf.distribute.MirroredStrategy(["CPU:0", "CPU:1", "CPU:2"])) if len(sys.argv) > 1 else Group(tf)
keras.utils.set_random_seed(3)
with group.scope():
    model = model_for(keras, CLASSES)
learner = Learner(tf, keras, model, CLASSES, LoopSettings(learning_rate=0.01), 100, group=group)
rows = split(CLASSES, 70)
feed = kind(tf, rows, CLASSES, 16, group)
go = learner.steps_of(feed)
for epoch in range(3):
    source = feed.begin(batches.order(0, epoch, 70), 0)
    go(source, 0, 3)
    go(source, 3, 2)
print(len(learner.weights), group.replicas, *(f"{value:.5f}" for value in learner.sums.means().values()),
      *(f"{float(np.abs(each.numpy()).sum()):.4f}" for each in learner.weights))
"""


@pytest.mark.slow
class TestReplicas:
    def test_three_devices_of_one_machine_learn_what_one_learns(self) -> None:
        said = []
        for arguments in ([], ["resident"], ["streamed"]):
            done = subprocess.run(
                [sys.executable, "-c", REPLICAS, *arguments], capture_output=True, text=True, timeout=120, check=False
            )
            assert done.returncode == 0, done.stderr
            said.append([float(each) for each in done.stdout.split()])
        alone, *shared = said
        assert alone[1] == 1
        for each in shared:
            assert each[1] == 3 and each[2:] == pytest.approx(alone[2:], abs=2e-4)


@pytest.mark.slow
class TestTwoWorkers:
    """Real processes over real sockets."""

    def test_the_same_batches_give_the_same_losses_as_one_process(self, bench: Any) -> None:
        bench.recipe = bench.recipe.replace("keras.layers.Dropout(0.2),", "")
        one, two = bench.ask(hp={"epochs": 4}), bench.ask(hp={"epochs": 4}, workers=2)
        assert bench.run(one)[0] == 0
        code, printed = bench.run(two)
        assert code == 0, printed
        losses = [epochs(bench, run) for run in (one, two)]
        assert len(losses[0]) == 4
        for alone, together in zip(*losses, strict=True):
            assert alone == pytest.approx(together, abs=1e-5)
        assert bench.result(two).metrics == pytest.approx(bench.result(one).metrics, abs=1e-5)
        assert not left_over(two)

    @pytest.mark.parametrize("victim", ["process", "supervisor"])
    def test_a_killed_member_restarts_the_group_which_ends_as_if_nothing_had_been(
        self, bench: Any, victim: str
    ) -> None:
        bench.recipe = bench.recipe.replace("keras.layers.Dropout(0.2),", "")
        straight, broken = (bench.ask(hp=LONG | {"deterministic": True}, workers=2) for _ in range(2))
        assert bench.run(straight)[0] == 0
        chief = bench.start(broken)
        wanted = random.randrange(1, 1000)
        bench.wait_for(lambda: max(bench.saved_steps(broken), default=0) >= wanted)
        supervisor = member_of(chief)
        (process,) = supervisor.children()
        (process if victim == "process" else supervisor).kill()
        printed = chief.communicate(timeout=180)[0].decode()
        assert chief.returncode == 0, printed
        assert "all begin anew from the newest checkpoint" in printed
        assert bench.result(broken).attempts >= 2
        assert epochs(bench, broken)[-1] == epochs(bench, straight)[-1]
        assert not left_over(broken)

    @pytest.mark.parametrize("is_too_late", [False, True], ids=["in-time", "too-late"])
    def test_a_member_that_is_stopped_saves_the_run_and_all_leave_with_75(self, bench: Any, is_too_late: bool) -> None:
        run = bench.ask(hp=LONG | {"epochs": 5000}, workers=2)
        chief = bench.start(run)
        bench.wait_for(lambda: bench.saved_steps(run))
        supervisor = member_of(chief)
        (process,) = supervisor.children()
        supervisor.send_signal(signal.SIGTERM)
        if is_too_late:  # the others lose it before they have agreed to save, and must not wait for it to come again
            process.kill()
        printed = chief.communicate(timeout=120)[0].decode()
        assert chief.returncode == 75, printed
        assert "attempt 2" not in printed
        assert bench.status(run).state == "preempted" and bench.result(run) is None
        assert not left_over(run)

    def test_what_a_member_cannot_do_fails_the_run(self, bench: Any) -> None:
        bench.recipe = bench.recipe.replace(
            "def build(hp, data):",
            'def build(hp, data):\n    if os.environ.get("SKYLIFT_MEMBER_INDEX"): raise ValueError("not on this machine")',
        )
        run = bench.ask(hp=LONG, workers=2)
        code, printed = bench.run(run)
        assert code == 9, printed
        assert "not on this machine" in bench.result(run).failure.message
        assert not left_over(run)


def member_of(chief: subprocess.Popen[bytes]) -> psutil.Process:
    """The supervisor of the other member."""
    (found,) = [each for each in psutil.Process(chief.pid).children() if "run" in each.cmdline()]
    return found


def epochs(bench: Any, run: str) -> list[dict[str, float]]:
    """The metrics of each epoch, of the last attempt that finished it."""
    found = {event.epoch: event.metrics for event in bench.events(run) if event.kind == "epoch"}
    return [found[number] for number in sorted(found)]
