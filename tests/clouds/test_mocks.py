"""Strict mocks: what they record, refuse and make up."""

from typing import Any

import pulumi
import pytest

from tests.clouds.mocks import Recorded, provision

VERSIONED = "Enabled"


class Store(pulumi.ComponentResource):
    def __init__(self, name: str, *, mistake: bool = False, opts: pulumi.ResourceOptions | None = None) -> None:
        import pulumi_aws as aws

        super().__init__("skylift:test:Store", name, {}, opts)
        tags = {"owner": pulumi.Output.secret("me"), **({"count": 1} if mistake else {})}
        self.bucket = aws.s3.Bucket(
            f"{name}-bucket",
            tags=tags,  # type: ignore[arg-type]
            opts=pulumi.ResourceOptions(parent=self, protect=True, ignore_changes=["tags"], retain_on_delete=True),
        )
        aws.s3.BucketVersioning(
            f"{name}-versions",
            bucket=self.bucket.id,
            versioning_configuration={"status": VERSIONED, **({"statu": 1} if mistake else {})},  # type: ignore[arg-type]
            opts=pulumi.ResourceOptions(parent=self, depends_on=[self.bucket]),
        )
        self.register_outputs({"arn": self.bucket.arn})


def test_parents_inputs_options_and_outputs_are_recorded() -> None:
    seen = provision(lambda: Store("store").bucket.arn)
    bucket = seen.one("Bucket")
    versions = seen.one("aws:s3/bucketVersioning:BucketVersioning", "store-versions")
    assert [one.name for one in seen.children("store")] == ["store-bucket", "store-versions"]
    assert (bucket.parent, bucket.inputs, bucket.secrets) == ("store", {"tags": {"owner": "me"}}, ("tags.owner",))
    assert (bucket.protect, bucket.ignore_changes, bucket.retain_on_delete) == (True, ("tags",), True)
    assert versions.inputs == {"bucket": bucket.outputs["bucket"], "versioningConfiguration": {"status": "Enabled"}}
    assert versions.depends_on == ("store-bucket",)
    assert seen.result == bucket.outputs["arn"] == f"arn:aws:s3:::{bucket.outputs['bucket']}"
    assert seen.outputs["store"] == {"arn": bucket.outputs["arn"]}
    assert seen.tree().splitlines()[:2] == ["skylift:test:Store store", "  aws:s3/bucket:Bucket store-bucket"]


def test_every_wrong_input_of_every_resource_is_in_one_error() -> None:
    with pytest.raises(AssertionError) as raised:
        provision(lambda: Store("store", mistake=True))
    text = str(raised.value)
    assert "store-bucket: aws:s3/bucket:Bucket: tags.count: 1 is no str" in text
    assert "versioningConfiguration.statu: no such key, nearest is status" in text


def test_computed_outputs_are_unknown_in_a_preview_and_names_are_known() -> None:
    seen: list[bool] = []

    def program() -> Any:
        store = Store("store")
        store.bucket.bucket.apply(lambda _: seen.append(True))
        store.bucket.arn.apply(lambda _: seen.append(False))
        return store.bucket.arn

    assert provision(program, preview=True).result is None
    assert seen == [True]


def test_what_the_cloud_adds_inside_an_input_is_unknown_in_a_preview() -> None:
    def program() -> Any:
        import pulumi_azure_native.containerservice as aks

        cluster = aks.ManagedCluster(
            "cluster",
            resource_group_name="g",
            oidc_issuer_profile=aks.ManagedClusterOIDCIssuerProfileArgs(enabled=True),
        )
        return cluster.oidc_issuer_profile.apply(lambda told: told and told.issuer_url)

    assert provision(program, preview=True).result is None
    assert "oic.prod-aks" in provision(program).result


def test_two_runs_give_the_same() -> None:
    def told() -> list[Any]:
        return [one.outputs for one in provision(lambda: Store("store")).resources]

    assert told() == told()


def test_transforms_of_the_stack_run() -> None:
    def tagged(args: pulumi.ResourceTransformArgs) -> pulumi.ResourceTransformResult | None:
        if not args.type_.startswith("aws:s3/bucket:"):
            return None
        return pulumi.ResourceTransformResult({**args.props, "tags": {"ttl": "1h"}}, args.opts)

    def program() -> None:
        pulumi.runtime.register_resource_transform(tagged)
        Store("store")

    assert provision(program).one("Bucket").inputs["tags"] == {"ttl": "1h"}


def _asking() -> Any:
    import pulumi_aws as aws

    return aws.get_caller_identity_output().account_id


def test_invokes_are_answered_and_recorded() -> None:
    seen = provision(_asking)
    assert (seen.result, seen.invokes) == ("123456789012", [("aws:index/getCallerIdentity:getCallerIdentity", {})])
    own = {"aws:index/getCallerIdentity:getCallerIdentity": {"accountId": "999999999999"}}
    assert provision(_asking, answers=own).result == "999999999999"


def test_an_invoke_that_nobody_answers_names_itself() -> None:
    def program() -> None:
        import pulumi_aws as aws

        aws.ec2.get_key_pair(key_name="mine")

    with pytest.raises(AssertionError, match="nobody answers aws:ec2/getKeyPair:getKeyPair"):
        provision(program)


def test_an_error_of_the_program_comes_out_as_it_is() -> None:
    def program() -> None:
        raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        provision(program)


def test_a_resource_that_is_only_read_has_what_its_identifier_says() -> None:
    def program() -> Any:
        import pulumi_gcp as gcp

        return gcp.compute.Network.get("net", "projects/theirs/global/networks/shared").name

    seen: Recorded = provision(program)
    assert seen.result == "shared"
    assert seen.one("Network").is_read
