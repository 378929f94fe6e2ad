"""What is refused before anything is declared, and names that Kubernetes takes."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.kubernetes.naming import label_value, labels
from infra.kubernetes.workloads import Address, Place, Quota, ServingArgs
from skylift.errors import InputError
from tests.kubernetes import program


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda: ServingArgs(min_replicas=3, max_replicas=2), "replicas from 3 to 2"),
        (lambda: ServingArgs(min_replicas=0), "replicas from 0"),
        (lambda: ServingArgs(memory_gib=0), "0 GiB"),
        (lambda: ServingArgs(memory_gib=1, shm_gib=1), "1 GiB"),
        (lambda: ServingArgs(gpus=1), "without a node selector"),
        (lambda: ServingArgs(gpus=-1, place=Place(node_selector={"a": "b"})), "-1 GPUs"),
        (lambda: ServingArgs(exposure="internal"), "lets nobody in"),
        (lambda: ServingArgs(exposure="public", allowed_cidrs=["203.0.113.0/24"]), "public exposure without TLS"),
        (lambda: ServingArgs(exposure="internal", allowed_cidrs=["10.0.0.1/8"]), "'10.0.0.1/8' is no CIDR"),
        (lambda: Quota(gpus=0, cpus=0, memory_gib=1), "lets nothing run"),
        (lambda: Address(cidr="metadata", port=80), "'metadata' is no CIDR"),
        (lambda: program.arguments(images={"nginx": "x"}), "no image is called 'nginx'"),
        (lambda: program.arguments(internal_load_balancer_annotations={}), "load balancer on the internet"),
        (lambda: program.workloads(namespace="kube-system"), "is Kubernetes' own"),
        (lambda: program.workloads(namespace="Team"), "'Team' cannot be a name"),
        (lambda: program.workloads(tags={"//": "x"}), "holds no letter or digit"),
        (lambda: program.workloads(endpoints={"x" * 41: program.CPU}), "cannot be a name in Kubernetes"),
        (lambda: program.workloads(serving_image="registry.example.com/serving:latest"), "is not named by digest"),
    ],
)
def test_what_cannot_work_is_refused_by_name_with_a_way_out(wrong: Callable[[], Any], words: str) -> None:
    with pytest.raises(InputError, match=re.escape(words)) as caught:
        wrong()
    assert caught.value.hint


def test_what_is_right_is_taken() -> None:
    assert replace(program.GPU, exposure="public").scheme == "https"
    assert Quota(gpus=0, cpus=1, memory_gib=1).hard()["requests.nvidia.com/gpu"] == "0"


@given(st.text())
def test_every_text_becomes_a_label_s_value(text: str) -> None:
    value = label_value(text)
    assert re.fullmatch(r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?", value)
    assert len(value) <= 63
    assert label_value(value) == value


@given(st.dictionaries(st.text("ab/:-é", min_size=1), st.text()), st.text(min_size=1))
def test_tags_never_hide_the_stack(tags: dict[str, str], stack: str) -> None:
    good = {f"t{key}": value for key, value in tags.items()} | {"skylift-stack": "another"}
    assert labels(stack, good)["skylift-stack"] == label_value(stack)
