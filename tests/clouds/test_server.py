"""The simulated providers under the real engine: what a cloud does to a stack, they do."""

import textwrap

import pytest

from tests.clouds.conftest import Clouds
from tests.clouds.engine import EngineFailedError, Stack

pytestmark = pytest.mark.slow

PROGRAM = """
import pulumi, pulumi_aws as aws, pulumi_azure_native as azure, pulumi_gcp as gcp

config = pulumi.Config("skylift")
amazon = aws.Provider("amazon", region="eu-west-1", allowed_account_ids=["123456789012"],
                      default_tags=aws.ProviderDefaultTagsArgs(tags={"skylift-stack": "test"}))
google = gcp.Provider("google", project="example-project", default_labels={"skylift-stack": "test"})
on = pulumi.ResourceOptions(provider=amazon)
keep = aws.s3.Bucket("keep", tags={"owner": config.get("owner") or "me"}, opts=on)
aws.s3.BucketVersioning("versions", bucket=keep.id, opts=on,
    versioning_configuration=aws.s3.BucketVersioningVersioningConfigurationArgs(status="Enabled"))
network = gcp.compute.Network("network", auto_create_subnetworks=False,
                              description=config.get("description"), opts=pulumi.ResourceOptions(provider=google))
gcp.compute.Subnetwork("inner", network=network.id, ip_cidr_range="10.0.0.0/24", region="us-central1",
                       opts=pulumi.ResourceOptions(provider=google))
group = azure.resources.ResourceGroup("group")
account = azure.storage.StorageAccount("account", resource_group_name=group.name, kind="StorageV2",
                                       sku=azure.storage.SkuArgs(name="Standard_LRS"))
pulumi.export("arn", keep.arn)
pulumi.export("region", aws.get_region_output(opts=pulumi.InvokeOptions(provider=amazon)).region)
pulumi.export("url", account.primary_endpoints.blob)
"""


def test_a_stack_lives_and_dies(clouds: Clouds) -> None:
    cloud, stack = clouds.cloud, clouds.program(PROGRAM)
    planned = stack.preview()
    assert len([one for one in planned.changes if one.op == "create"]) == 6
    assert cloud.own() == []

    stack.up()
    bucket = cloud.one("Bucket")
    assert bucket.outputs["region"] == "eu-west-1"
    assert stack.outputs() == {
        "arn": bucket.outputs["arn"],
        "region": "eu-west-1",
        "url": cloud.one("StorageAccount").outputs["primaryEndpoints"]["blob"],
    }
    assert stack.up().changes == []

    cloud.drift("Bucket", "tags.owner", "somebody")
    cloud.vanish("Subnetwork")
    assert sorted(stack.refresh().ops()) == ["delete Subnetwork inner", "update Bucket keep"]
    assert sorted(stack.up().ops()) == ["create Subnetwork inner", "update Bucket keep"]
    assert bucket.inputs["tags"] == {"owner": "me"}

    state = stack.export()
    stack.remove()
    stack.import_(state)
    assert stack.up().changes == []

    stack.change(description="another")
    done = stack.up()
    assert next(one.keys for one in done.changes if one.op == "replace") == ("description",)
    assert done.index("create-replacement Network network") < done.index("delete-replaced Network network")
    assert done.index("delete-replaced Subnetwork inner") < done.index("delete-replaced Network network")

    stack.destroy()
    assert cloud.own() == []


TWO = """
import pulumi, pulumi_aws as aws

config = pulumi.Config("skylift")
network = aws.ec2.Vpc("net", cidr_block="10.0.0.0/16")
aws.ec2.Subnet("inner", vpc_id=network.id, cidr_block="10.0.1.0/24",
               tags={"size": config.get("size") or "small"}, opts=pulumi.ResourceOptions(depends_on=[network]))
"""


def test_a_creation_that_stops_halfway_is_completed_by_the_next_up(clouds: Clouds) -> None:
    cloud, stack = clouds.cloud, clouds.program(TWO)
    cloud.fail("Subnet", error="halfway")
    done = stack.up(check=False)
    assert done.code != 0 and "unexpected state 'FAILED'" in "\n".join(done.errors)
    assert cloud.one("Subnet").is_broken
    assert stack.up().ops() == ["update Subnet inner"]
    assert not cloud.one("Subnet").is_broken
    assert stack.up().changes == []


def test_faults_are_worded_like_the_cloud_and_passing_ones_are_retried(clouds: Clouds) -> None:
    cloud, stack = clouds.cloud, clouds.program(TWO)
    cloud.fail("Vpc", error="throttling", times=3)
    cloud.fail("Subnet", error="denied")
    with pytest.raises(EngineFailedError, match="AccessDenied"):
        stack.up()
    assert cloud.retries == 3
    assert cloud.happened() == ["create Vpc net", "fail Subnet inner"]
    cloud.fail("Vpc", on="delete", error="quota")
    with pytest.raises(EngineFailedError, match="VcpuLimitExceeded"):
        stack.destroy()
    stack.destroy()
    assert cloud.own() == []


def test_credentials_and_accounts_are_refused_before_anything_is_made(clouds: Clouds) -> None:
    program = 'import pulumi_aws as aws\np = aws.Provider("p", region="us-east-1", allowed_account_ids=["9"])\n'
    program += 'import pulumi\naws.s3.Bucket("b", opts=pulumi.ResourceOptions(provider=p))\n'
    cloud, stack = clouds.cloud, clouds.program(program)
    for credentials, said in (
        ("ok", "AWS account ID not allowed: 123456789012"),
        ("missing", "No valid cred"),
        ("expired", "ExpiredToken"),
    ):
        cloud.credentials = credentials
        with pytest.raises(EngineFailedError, match=said):
            stack.preview()
    assert cloud.log == []


def test_wrong_inputs_fail_the_preview(clouds: Clouds) -> None:
    stack = clouds.program(
        'import pulumi_aws as aws\naws.s3.BucketVersioning("v", bucket="b", versioning_configuration={"statu": "Enabled"})'
    )
    with pytest.raises(
        EngineFailedError, match=r"simulated aws:s3/bucketVersioning.*statu: no such key, nearest is status"
    ):
        stack.preview()


def test_what_is_in_use_or_full_cannot_be_deleted(clouds: Clouds) -> None:
    cloud = clouds.cloud
    program = textwrap.dedent(
        """
        import pulumi_aws as aws, pulumi
        b = aws.s3.Bucket("keep", opts=pulumi.ResourceOptions(protect=False))
        """
    )
    stack: Stack = clouds.program(program)
    stack.up()
    cloud.fill("Bucket")
    with pytest.raises(EngineFailedError, match="BucketNotEmpty"):
        stack.destroy()
    cloud.fill("Bucket", filled=False)
    stack.destroy()
    assert cloud.own() == []


EXISTING = """
import pulumi, pulumi_aws as aws
net = aws.ec2.get_vpc_output(id="vpc-1234")
role = aws.iam.Role.get("theirs", "their-role")
pulumi.export("cidr", net.cidr_block)
pulumi.export("role", role.arn)
"""


def test_what_no_stack_made_can_be_referred_to(clouds: Clouds) -> None:
    cloud, stack = clouds.cloud, clouds.program(EXISTING)
    with pytest.raises(EngineFailedError, match=r"getVpc|their-role"):
        stack.preview()
    cloud.existing("aws:ec2/vpc:Vpc", "vpc-1234", {"cidrBlock": "10.9.0.0/16"})
    cloud.existing("aws:iam/role:Role", "their-role", {"arn": "arn:aws:iam::123456789012:role/their-role"})
    stack.up()
    assert stack.outputs() == {"cidr": "10.9.0.0/16", "role": "arn:aws:iam::123456789012:role/their-role"}
    stack.destroy()
    assert len(cloud.resources) == 2
