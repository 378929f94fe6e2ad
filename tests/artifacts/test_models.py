from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from skylift.artifacts import endpoints, layout, models
from skylift.artifacts.objects import DamagedError
from skylift.artifacts.records import ModelManifest, ModelRef, PublishedModel
from skylift.errors import ConflictError, InputError, NotFoundError, RecordError
from skylift.store import ObjectNotFoundError, Store
from tests.artifacts.racing import race
from tests.artifacts.watched import Watched

Manifest = Callable[..., ModelManifest]


@pytest.fixture
def publish(keep: Store, tmp_path: Path, manifest: Manifest) -> Callable[..., PublishedModel]:
    def make(weights: str, name: str = "mnist", store: Store | None = None, **fields: Any) -> PublishedModel:
        folder = tmp_path / "export"
        (folder / "saved_model").mkdir(parents=True, exist_ok=True)
        (folder / "saved_model" / "graph.pb").write_text("the same in every version")
        (folder / "model.onnx").write_text(weights)
        return models.publish(store or keep, name, folder, manifest(**fields))

    return make


Publish = Callable[..., PublishedModel]


class TestPublish:
    def test_a_version_can_be_resolved_read_and_verified(self, keep: Store, publish: Publish) -> None:
        made = publish("1", metrics={"accuracy": 0.97})
        assert made.version == 1
        ref = models.resolve(keep, "mnist")
        assert (ref.name, ref.version, ref.digest) == ("mnist", 1, made.digest)
        found = models.read_manifest(keep, ref)
        assert found.name == "mnist" and found.metrics == {"accuracy": 0.97}
        assert [entry.path for entry in found.files] == ["model.onnx", "saved_model/graph.pb"]
        assert models.verify(keep, ref) == found

    def test_only_changed_files_travel(self, keep: Store, publish: Publish) -> None:
        publish("1")
        watched = Watched(keep)
        second = publish("2", store=watched)
        assert second.version == 2
        assert watched.uploaded == [f"models/mnist/{second.digest}/model.onnx"]
        assert watched.copied == [f"models/mnist/{second.digest}/saved_model/graph.pb"]
        models.verify(keep, models.resolve(keep, "mnist:2"))

    def test_the_same_again_is_the_same_version(
        self, keep: Store, tmp_path: Path, publish: Publish, manifest: Manifest
    ) -> None:
        made = publish("1")
        known = models.read_manifest(keep, models.resolve(keep, "mnist"))
        watched = Watched(keep)
        assert models.publish(watched, "mnist", tmp_path / "export", known) == made
        assert watched.uploaded == watched.copied == []
        assert len(models.list_versions(keep, "mnist")) == 1

    def test_broken_off_between_manifest_and_alias(self, keep: Store, tmp_path: Path, publish: Publish) -> None:
        made = publish("1")
        known = models.read_manifest(keep, models.resolve(keep, "mnist"))
        keep.delete([layout.model_version("mnist", 1)])
        with pytest.raises(NotFoundError):
            models.resolve(keep, "mnist")
        assert models.publish(keep, "mnist", tmp_path / "export", known) == made

    def test_two_processes_get_numbers_of_their_own(self, keep: Store) -> None:
        said = race("publish", keep.url, 15)
        numbers = sorted(int(number) for numbers in said.values() for number in numbers)
        assert numbers == list(range(1, 31))
        for alias in models.list_versions(keep, "mnist"):
            ref = ModelRef(name="mnist", version=alias.version, digest=alias.digest)
            assert models.verify(keep, ref).by == alias.by

    @pytest.mark.parametrize("name", ["Mnist", "a/b", "", "-x", "x" * 64])
    def test_names(self, publish: Publish, name: str) -> None:
        with pytest.raises(InputError, match="is not allowed"):
            publish("1", name=name)

    def test_folders_that_make_no_version(self, keep: Store, tmp_path: Path, manifest: Manifest) -> None:
        (tmp_path / "folder").mkdir()
        with pytest.raises(InputError, match="is empty"):
            models.publish(keep, "mnist", tmp_path / "folder", manifest())
        (tmp_path / "folder" / "manifest.json").write_text("{}")
        with pytest.raises(InputError, match=r"manifest\.json"):
            models.publish(keep, "mnist", tmp_path / "folder", manifest())


class TestResolve:
    def test_every_form(self, keep: Store, publish: Publish) -> None:
        made = [publish(str(n)) for n in range(3)]
        for ref, version in {
            "mnist": 3,
            "mnist:latest": 3,
            "mnist:2": 2,
            f"mnist@{made[0].digest}": 1,
            f"mnist@{made[1].digest[:10]}": 2,
            f"mnist@sha256:{made[1].digest}": 2,
        }.items():
            assert models.resolve(keep, ref).version == version, ref

    def test_what_is_not_there(self, keep: Store, publish: Publish) -> None:
        publish("1")
        with pytest.raises(NotFoundError, match="did you mean 'mnist'"):
            models.resolve(keep, "mnits")
        with pytest.raises(NotFoundError, match="no version 'mnist:7'; there is mnist:1"):
            models.resolve(keep, "mnist:7")
        with pytest.raises(NotFoundError, match="no version 'mnist@ffff"):
            models.resolve(keep, "mnist@" + "f" * 64)

    @pytest.mark.parametrize("ref", ["mnist:x", "mnist:", "mnist@", "mnist:1@ab", "mnist:-1"])
    def test_what_is_no_reference(self, keep: Store, ref: str) -> None:
        with pytest.raises(InputError, match="names no model version"):
            models.resolve(keep, ref)

    def test_a_beginning_that_several_have(self, keep: Store, publish: Publish) -> None:
        digests = [publish(str(n)).digest for n in range(17)]
        shared = next(d[0] for d in digests if sum(other[0] == d[0] for other in digests) > 1)
        with pytest.raises(InputError, match="fits"):
            models.resolve(keep, f"mnist@{shared}")


class TestDamage:
    def test_a_version_without_manifest_does_not_exist(self, keep: Store, publish: Publish) -> None:
        made = publish("1")
        ref = models.resolve(keep, "mnist")
        keep.delete([layout.model_manifest("mnist", made.digest)])
        for read in (models.read_manifest, models.verify):
            with pytest.raises(ObjectNotFoundError, match=made.digest):
                read(keep, ref)

    def test_a_changed_manifest_is_refused(self, keep: Store, publish: Publish) -> None:
        made = publish("1")
        key = layout.model_manifest("mnist", made.digest)
        keep.put(key, keep.get(key).data.replace(b"ada", b"eve"))
        with pytest.raises(DamagedError, match="do not hash"):
            models.read_manifest(keep, models.resolve(keep, "mnist"))

    @pytest.mark.parametrize(("bytes_now", "said"), [(b"", "0 bytes instead of 1"), (b"2", "were changed")])
    def test_truncated_and_changed_files_are_refused(
        self, keep: Store, publish: Publish, bytes_now: bytes, said: str
    ) -> None:
        made = publish("1")
        keep.put(f"{layout.model('mnist', made.digest)}/model.onnx", bytes_now)
        with pytest.raises(DamagedError, match=f"model.onnx: .*{said}"):
            models.verify(keep, models.resolve(keep, "mnist"))

    def test_a_newer_manifest_says_upgrade(self, keep: Store, publish: Publish) -> None:
        from skylift.artifacts.records import digest_of

        raw = b'{"schema": 2}'
        keep.create(layout.model_manifest("mnist", digest_of(raw)), raw)
        with pytest.raises(RecordError, match="schema 2") as caught:
            models.read_manifest(keep, ModelRef(name="mnist", version=1, digest=digest_of(raw)))
        assert "upgrade" in caught.value.hint


class TestRemove:
    def test_the_number_is_never_given_again(self, keep: Store, publish: Publish) -> None:
        publish("1")
        publish("2")
        models.remove_version(keep, models.resolve(keep, "mnist:2"))
        assert [alias.version for alias in models.list_versions(keep, "mnist")] == [1]
        assert models.resolve(keep, "mnist").version == 1
        with pytest.raises(NotFoundError):
            models.resolve(keep, "mnist:2")
        assert publish("3").version == 3

    def test_a_model_without_versions_is_not_listed(self, keep: Store, publish: Publish) -> None:
        publish("1")
        publish("1", name="other")
        models.remove_version(keep, models.resolve(keep, "other"))
        assert models.list_models(keep) == ["mnist"]

    def test_what_an_endpoint_serves_is_refused(self, keep: Store, publish: Publish) -> None:
        publish("1")
        publish("2")
        first, second = models.resolve(keep, "mnist:1"), models.resolve(keep, "mnist:2")
        endpoints.deploy(keep, "digits", first, by="ada")
        with pytest.raises(ConflictError, match="endpoint digits"):
            models.remove_version(keep, first)
        models.verify(keep, first)
        endpoints.deploy(keep, "digits", second, by="ada")
        models.remove_version(keep, first)
        assert [alias.version for alias in models.list_versions(keep, "mnist")] == [2]
