"""What users get wrong on Azure: one error before anything is made, naming setting, value and what would work."""

from __future__ import annotations

from typing import Any

import grpc
import pytest

from skylift.errors import CredentialsError, ProvisionError, SettingsError, SkyliftError
from tests.infra.azure.azure_stacks import ACCOUNT, GROUP, NETWORK, REGISTRY, declared, identity, plain, theirs

OTHER = "99999999-9999-9999-9999-999999999999"
CONFIG, TOKEN = "azure-native:authorization:getClientConfig", "azure-native:authorization:getClientToken"
SUBNETS = {"id": NETWORK, "subnets": [f"{NETWORK}/subnets/machines"]}


def refused(kind: str = "azure-vm", answers: dict[str, Any] | None = None, **more: Any) -> SkyliftError:
    """The error; that nothing is made before it, the next test holds."""
    with pytest.raises(SkyliftError) as raised:
        declared(kind, answers={**theirs(), **(answers or {})}, **more)
    return raised.value


class Refusal(grpc.RpcError):
    """As the engine hands on what a provider refuses."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._text = text

    def code(self) -> grpc.StatusCode:
        return grpc.StatusCode.UNKNOWN

    def details(self) -> str:
        return self._text


def failing(text: str) -> Any:
    def answer(_: Any) -> dict[str, Any]:
        raise Refusal(text)

    return answer


def test_nothing_is_made_before_the_checks_are_through(monkeypatch: pytest.MonkeyPatch) -> None:
    from infra.azure import target

    def stop(*_: Any) -> None:
        raise AssertionError("something was made")

    monkeypatch.setattr(target, "_ground", stop)
    error = refused(answers={"azure-native:network:getVirtualNetwork": failing("ResourceNotFound")}, network=SUBNETS)
    assert isinstance(error, SettingsError)


def test_another_subscription_is_not_touched() -> None:
    error = refused(answers={CONFIG: {"clientId": "", "objectId": "", "subscriptionId": OTHER, "tenantId": ""}})
    assert isinstance(error, CredentialsError)
    assert (
        OTHER in error.message and ACCOUNT in error.message and f"az account set --subscription {ACCOUNT}" in error.hint
    )


@pytest.mark.parametrize(
    "said", ["please run 'az login' to setup account", "AADSTS70043: The refresh token has expired"]
)
def test_nobody_signed_in_or_no_longer(said: str) -> None:
    error = refused(answers={CONFIG: failing(said)})
    assert isinstance(error, CredentialsError) and "az login" in error.hint


def test_who_may_not_look_is_told_what_it_takes() -> None:
    error = refused(
        answers={"azure-native:network:getVirtualNetwork": failing("AuthorizationFailed: no")}, network=SUBNETS
    )
    assert isinstance(error, CredentialsError) and "skylift permissions lab --as up" in error.hint


def test_a_cloud_that_does_not_answer_is_no_mistake_of_the_users() -> None:
    assert isinstance(refused(answers={CONFIG: failing("connection reset by peer")}), ProvisionError)


@pytest.mark.parametrize(
    ("question", "key", "more"),
    [
        ("network:getVirtualNetwork", "network.id", {"network": SUBNETS}),
        (
            "containerregistry:getRegistry",
            "registry",
            {"registry": f"{GROUP}/Microsoft.ContainerRegistry/registries/no"},
        ),
        ("keyvault:getKey", "encryption_key", {"encryption_key": f"{GROUP}/Microsoft.KeyVault/vaults/v/keys/no"}),
        ("managedidentity:getUserAssignedIdentity", "identities.host", {"identities": {"host": identity("no")}}),
    ],
)
def test_a_reference_that_is_not_there(question: str, key: str, more: dict[str, Any]) -> None:
    error = refused(answers={f"azure-native:{question}": failing("Code=ResourceNotFound")}, **more)
    assert isinstance(error, SettingsError)
    assert f"skylift:{key}" in error.message and "there is no such thing" in error.message


def test_references_of_another_subscription_are_all_named_without_asking() -> None:
    elsewhere = {who: identity(who).replace(ACCOUNT, OTHER) for who in ("training", "serving")}
    error = refused(
        identities=elsewhere, registry=f"{GROUP}/Microsoft.ContainerRegistry/registries/x".replace(ACCOUNT, OTHER)
    )
    assert error.message.count(f"belongs to subscription {OTHER}") == 3
    assert "3 mistakes" in error.message and "skylift:registry" in error.message


def test_a_network_of_another_region_or_without_that_subnet() -> None:
    error = refused(answers=theirs(location="West Europe"), network=SUBNETS)
    assert "is in West Europe, and skylift:region is eastus" in error.message
    error = refused(network={"id": NETWORK, "subnets": [f"{NETWORK}/subnets/none"]})
    assert "'none' is no subnet of 'shared'; it has machines" in error.message


@pytest.mark.parametrize(
    ("kind", "more", "said"),
    [
        ("azure-vm", {"pools": {"default": {"accelerator": "A10G"}}}, "choose T4, A100-80GB or H100, or target aks"),
        ("azure-vm", {"secrets": ["my.key"]}, "use hyphens in place of . and _"),
        ("azure-vm", {"registry": "docker.io/ours"}, "must be a host such as ours.azurecr.io"),
        (
            "azure-vm",
            {"encryption_key": "https://ours.vault.azure.net/secrets/data"},
            "https://VAULT.vault.azure.net/keys/NAME",
        ),
        (
            "azure-vm",
            {"identities": {"training": "trainer"}},
            "skylift:identities.training = 'trainer' must be a resource id",
        ),
        ("azure-vm", {"network": {"id": NETWORK, "subnets": [f"{NETWORK}2/subnets/a"]}}, "is not of network.id"),
        (
            "azure-vm",
            {"endpoints": {"default": {"exposure": "public", "hostname": "a.example.com", "certificate": "mine"}}},
            "names no secret of a Key Vault",
        ),
        ("azureml", {"buckets": {"work": "az://theirs/work"}}, "name a workspace of yours in skylift:workspace"),
    ],
)
def test_what_azure_cannot_do_is_said_without_asking(kind: str, more: dict[str, Any], said: str) -> None:
    error = refused(kind, answers={CONFIG: failing("nobody should ask")}, **more)
    assert isinstance(error, SettingsError) and said in error.message


def test_a_name_that_is_too_long_names_what_to_shorten() -> None:
    from infra.azure.names import Names
    from infra.context import Context

    stack = Context(settings=plain("azureml", name_prefix="a-long-prefix"), stack="a-stack-of-a-very-long-name")
    with pytest.raises(SettingsError, match="takes 33 for it") as raised:
        _ = Names(stack).workspace_id
    assert "skylift:name_prefix" in raised.value.hint


def test_few_questions_are_asked() -> None:
    """One where nothing is referenced; a token beside it where the resource manager itself must be asked."""
    assert [token for token, _ in declared("azure-vm").invokes] == [CONFIG]
    assert [token for token, _ in declared("azure-vm", registry=REGISTRY).invokes] == [CONFIG, TOKEN]


def test_an_image_that_the_stacks_identities_may_not_pull_is_pointed_out(caplog: pytest.LogCaptureFixture) -> None:
    declared("azure-vm", answers={}, images={"serving": f"elsewhere.azurecr.io/x@sha256:{'0' * 64}"}, registry=REGISTRY)
    assert "skylift:images.serving is not of the stack's registry (ours.azurecr.io)" in caplog.text
