"""Who may do what on Google Cloud, without asking it."""

from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.context import Context
from infra.gcp import grants, names
from infra.grants import PERSONS, Grant
from skylift.errors import SettingsError
from tests.infra.gcp.stacks import GIVEN, PROJECT, context

TARGETS = ("gce", "gke", "vertex")
FULL: dict[str, Any] = {
    "secrets": ["hub-token"],
    "endpoints": {"default": {"approval": True}, "other": {}},
    "stage": "prod",
}


@pytest.fixture(params=TARGETS)
def whole(request: pytest.FixtureRequest) -> Context:
    return context(request.param, **FULL)


def objects(found: tuple[Grant, ...], who: str, *roles: str) -> str:
    """The conditions under which one may do what the roles say, as one text."""
    mine = [grant for grant in found if grant.who == who and set(roles) & set(grant.actions)]
    return " ".join(str(grant.condition.get("expression", "everything")) for grant in mine)


def test_no_right_has_a_wildcard_or_is_a_basic_role(whole: Context) -> None:
    for grant in grants.grants(whole):
        for action in grant.actions:
            assert "*" not in action
            assert action not in ("roles/owner", "roles/editor", "roles/viewer")
            assert action.startswith("roles/") or action.count(".") >= 2


def test_what_is_granted_on_the_project_says_why_it_cannot_be_narrower(whole: Context) -> None:
    wide = [grant for grant in grants.grants(whole) if grant.on == (f"projects/{PROJECT}",) and not grant.condition]
    assert wide
    assert [grant.what for grant in wide if not grant.wide] == []


def test_nobody_is_given_the_right_to_be_any_service_account(whole: Context) -> None:
    for grant in grants.grants(whole):
        if {"roles/iam.serviceAccountUser", "roles/iam.serviceAccountTokenCreator"} & set(grant.actions):
            assert all("/serviceAccounts/" in one for one in grant.on)


@pytest.mark.parametrize("who", ["training", "launcher", "releaser", "approver", "serving"])
def test_models_and_records_are_created_and_never_overwritten(whole: Context, who: str) -> None:
    may = objects(grants.grants(whole), who, grants.WRITE, *grants.DELETE)
    for prefix in ("models/", "runs/", "datasets/", "code/", "deployments/", "approvals/", "vetoes/"):
        assert f"/objects/{prefix}" not in may, f"{who} may overwrite {prefix}"
        assert f"/{prefix}" not in may, f"{who} may overwrite {prefix}"
    assert "everything" not in may


def test_only_the_releaser_moves_the_pointer(whole: Context) -> None:
    writers = {
        grant.who
        for grant in grants.grants(whole)
        if "current.json" in str(grant.condition) and grants.WRITE in grant.actions
    }
    assert writers == {"releaser"}
    may = objects(grants.grants(whole), "releaser", grants.WRITE)
    assert may.endswith('resource.name.endsWith("/current.json")')


def test_the_custodian_deletes_and_cannot_write_or_touch_endpoints(whole: Context) -> None:
    mine = [grant for grant in grants.grants(whole) if grant.who == "custodian"]
    assert not any({grants.WRITE, grants.CREATE} & set(grant.actions) for grant in mine)
    assert "objects/endpoints/" not in objects(tuple(mine), "custodian", *grants.DELETE)


def test_conditions_stay_below_what_iam_takes(whole: Context) -> None:
    """12 logical operators: https://cloud.google.com/iam/docs/conditions-overview"""
    for grant in grants.grants(whole):
        text = str(grant.condition.get("expression", ""))
        assert text.count("||") + text.count("&&") <= 12
        assert len(str(grant.condition.get("title", ""))) <= 100


def test_fifty_endpoints_need_no_more_room_in_a_policy_than_one() -> None:
    def conditions(count: int) -> list[object]:
        many = context(endpoints={f"endpoint-{at}": {} for at in range(count)})
        return [grant.condition for grant in grants.grants(many)]

    assert conditions(50) == conditions(1)


def test_a_folder_of_a_bucket_of_ours_bounds_every_right(whole: Context) -> None:
    for grant in grants.grants(context(buckets={"keep": "gs://our-models/team"})):
        if grant.condition and "our-models" in str(grant.on):
            assert "our-models/objects/team/" in grant.condition["expression"]


def test_approvers_are_there_only_where_an_endpoint_asks_for_them() -> None:
    assert "approver" in names.wanted(context(**FULL))
    assert "approver" not in names.wanted(context())


def test_identities_of_ours_leave_up_without_rights_over_identities() -> None:
    roles = {role for grant in grants.grants(context(identities=GIVEN)) if grant.who == "up" for role in grant.actions}
    assert not {role for role in roles if role.startswith(("roles/iam.roleAdmin", "roles/resourcemanager"))}
    assert "roles/iam.serviceAccountAdmin" not in roles


@pytest.mark.parametrize("person", PERSONS)
@pytest.mark.parametrize("target", TARGETS)
def test_the_document_of_each_person_holds_every_role_that_it_binds(target: str, person: str) -> None:
    whole = context(target, **FULL)
    document = grants.document(whole, PERSONS[person])
    made = {role["name"] for role in document["roles"]}
    bound = {binding["role"] for binding in document["bindings"]}
    assert bound
    assert {role for role in bound if not role.startswith("roles/")} == made
    assert all(role["includedPermissions"] for role in document["roles"])


def test_custom_roles_of_one_identity_are_told_apart() -> None:
    made = grants.custom_roles(context())
    assert len({(role.who, role.permissions) for role in made.values()}) == len(made)
    assert {"skylift_dev_host_compute", "skylift_dev_host_compute_2"} <= set(made)


def test_a_registry_elsewhere_than_in_artifact_registry_is_refused() -> None:
    with pytest.raises(SettingsError, match="no repository of Artifact Registry"):
        names.repository(context(registry="docker.io/ours"))
    path = names.repository(context(registry=f"europe-docker.pkg.dev/{PROJECT}/ours/deep"))
    assert path == f"projects/{PROJECT}/locations/europe/repositories/ours"


def test_an_identity_that_is_no_service_account_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"identities\.training"):
        names.given(context(identities={"training": "ada@example.com"}), "training")


@settings(max_examples=25, deadline=None)
@given(st.from_regex(r"[a-z][a-z0-9-]{0,32}[a-z0-9]", fullmatch=True))
def test_names_fit_whatever_the_stack_is_called(stack: str) -> None:
    whole = context(stack=stack)
    for who in get_args(names.Identity):
        assert 6 <= len(names.account_id(whole, who)) <= 30
        assert names.account_id(whole, who)[-1] != "-"
    assert all(len(one) <= 64 for one in grants.custom_roles(whole))
    assert len(names.run_prefix(whole)) <= 40


@given(st.lists(st.from_regex(r"[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?", fullmatch=True), unique=True, max_size=20))
def test_pools_that_are_called_alike_stay_apart(pools: list[str]) -> None:
    assert len({names.slug(one) for one in pools}) == len(pools)
    assert all(len(names.slug(one)) <= 16 for one in pools)
