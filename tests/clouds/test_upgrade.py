"""What a release has made stays: the states that it left still preview without replacing or deleting anything."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import yaml

from tests.clouds import record_state
from tests.clouds.conftest import Clouds
from tests.clouds.engine import Done, Stack, project_of_ours

RECORDED = {
    "aks": "018f564851d056fb5ca21695b9360fa0caaf076e3fc029c052ef0f20e34835de",
    "azure-vm": "c3aeb62014c265a31743995373f7b509c2efc905e9f7f2d3e24eea7f32bc78a9",
    "azureml": "c83fcefd8b3f309c9282839ceea857af02928bdedf1d1252a7f108ab6fbf1ab7",
    "ec2": "decae99565549205587953c45d21c4a30ba62af7e9a7f49ee8b03a019b32eabf",
    "eks": "6389cd5eba114630c047b861c95a763a1506d6b22b04a3d1ae85774602edfed1",
    "gce": "5e694ea7915768b1d9afe216db81840cd41dd379864ac428f63f898a772290a5",
    "gke": "c3afbade8890c2a27356e09d4ccea534cc5300e34967b6bc4c13c8f421d589eb",
    "sagemaker": "260dfa79ff7a6bf4efea04469809ff9422b17ca7a24026a26ff84e3abf6f3e11",
    "vertex": "00b94f01fa759fa172a1a680feec45b6e932dc69c23e26392dbfd0902c906a07",
}
"""SHA-256 of the states of release 0.1. They are users' stacks: a change that does not get along with one is mended, not the file."""

IMMUTABLE = {"RegionInstanceTemplate", "EndpointConfiguration"}
"""What its cloud knows no update of, and holds nothing: a new boot script is a new instance template on Google, another image another
endpoint configuration on SageMaker. New ones are there before the old ones go, and what is made from them is updated."""

LOSING = {"delete", "replace", "create-replacement", "delete-replaced", "discard", "discard-replaced"}


def test_no_recorded_state_was_changed() -> None:
    files = {file.name.partition(".")[0]: file for file in record_state.FOLDER.iterdir()}
    assert {target: hashlib.sha256(file.read_bytes()).hexdigest() for target, file in files.items()} == RECORDED


@pytest.mark.parametrize("target", RECORDED)
def test_a_recorded_state_is_not_recorded_again(target: str, tmp_path: Path) -> None:
    with pytest.raises(FileExistsError, match="not recorded anew"):
        record_state.record(target, tmp_path)


def upgraded(clouds: Clouds, target: str, **changed: object) -> tuple[Stack, Done]:
    """A stack of today with the state of a release, and what `up` would do to it."""
    settings, export = record_state.read(target)
    record_state.restore(clouds.cloud, export)
    chosen = settings | {f"skylift:{key}": value for key, value in changed.items()}
    stack = project_of_ours(clouds.folder / target, record_state.STACK, clouds.tool, clouds.providers, chosen)
    stack.variables |= clouds.variables
    # Secrets are plain in the file; this stack's own passphrase encrypts them from here on.
    salt = yaml.safe_load((stack.root / "stacks" / f"Pulumi.{stack.name}.yaml").read_text(encoding="utf-8"))
    by = {"type": "passphrase", "state": {"salt": salt["encryptionsalt"]}}
    stack.import_({**export, "deployment": {**export["deployment"], "secrets_providers": by}})
    return stack, stack.preview(check=False)


def lost(done: Done) -> list[str]:
    return [str(one) for one in done.changes if one.op in LOSING and one.type.rpartition(":")[2] not in IMMUTABLE]


def listed(done: Done) -> str:
    return "\n".join([*done.errors, *(f"{one} {' '.join(one.keys)} {' '.join(one.diffs)}" for one in done.changes)])


@pytest.mark.slow
@pytest.mark.parametrize("target", RECORDED)
def test_stacks_of_a_release_upgrade_without_loss(target: str, clouds: Clouds) -> None:
    stack, done = upgraded(clouds, target)
    assert len(stack.resources()) > 20
    assert done.code == 0 and lost(done) == [], listed(done)
    assert clouds.cloud.log == []


@pytest.mark.slow
def test_what_would_replace_is_seen(clouds: Clouds) -> None:
    _, done = upgraded(clouds, "ec2", name_prefix="another", images={}, disposable=True)
    assert done.code != 0 or lost(done), listed(done)
