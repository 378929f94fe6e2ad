"""One endpoint of SageMaker."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from infra.aws.managed_watch import VARIANT, watch
from infra.aws.names import Names
from infra.aws.platform import Platform
from infra.component import Component
from infra.context import EndpointPlan
from infra.promise import Served
from skylift import catalog

GPU_SYSTEM = "al2-ami-sagemaker-inference-gpu-3-1"
"""Driver 550 (CUDA 12.4); the service's default is older. https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_ProductionVariant.html"""
STARTUP_SECONDS = {"cpu": 600, "gpu": 1200}


@dataclass(frozen=True, kw_only=True)
class EndpointArgs:
    platform: Platform
    endpoint: EndpointPlan
    image: str


class Endpoint(Component):
    """Model, configuration and endpoint. The configuration is named by Pulumi, for the service never looks again at one that was
    replaced under its name; the endpoint's name is fixed, and a change is rolled out with the old one still answering, and taken back
    when an alarm rings. Its containers run in the stack's private subnets (AWS-SM-02). Callers sign by IAM; `private` admits them from
    the stack's network only. Billed per machine and hour, at least `min_replicas` of them: the service cannot scale an endpoint of this
    kind to zero.

    A change that makes a new configuration begins with `min_replicas` again, and the autoscaler goes on from there.

    Attributes:
        served: for promise().
    """

    def __init__(self, name: str, args: EndpointArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, args.platform.context, opts)
        self._name, self._args, self._plan = name, args, args.endpoint
        self._names = Names(self.context)
        self._called = self._names.endpoint(self._plan.name)
        self._kind = "gpu" if self._plan.shape.count else "cpu"
        alarms = watch(self, name, args.endpoint, args.platform.monitoring)
        endpoint = self._endpoint(self._configuration(self._model()), alarms)
        self._scaling(endpoint)
        host = f"https://runtime.sagemaker.{self.context.region}.amazonaws.com/endpoints/"
        self.served = Served(url=pulumi.Output.concat(host, endpoint.name), access="sagemaker", resource=endpoint.name)
        self.register_outputs({"name": endpoint.name, "url": self.served.url})

    def _model(self) -> aws.sagemaker.Model:
        platform = self._args.platform
        return aws.sagemaker.Model(
            f"{self._name}-model",
            execution_role_arn=platform.identity.arns["serving"],
            primary_container=aws.sagemaker.ModelPrimaryContainerArgs(
                image=self._args.image, environment=environment(self._names, self._plan)
            ),
            vpc_config=aws.sagemaker.ModelVpcConfigArgs(
                subnets=platform.network.subnet_ids, security_group_ids=[platform.firewall.serving.id]
            ),
            opts=self.child(depends_on=[platform.storage]),
        )

    def _configuration(self, model: aws.sagemaker.Model) -> aws.sagemaker.EndpointConfiguration:
        shape = self._plan.shape
        has_own_disk = encrypts_itself(shape)
        return aws.sagemaker.EndpointConfiguration(
            f"{self._name}-configuration",
            kms_key_arn=None if has_own_disk else self._args.platform.key.arn,
            production_variants=[
                aws.sagemaker.EndpointConfigurationProductionVariantArgs(
                    variant_name=VARIANT,
                    model_name=model.name,
                    instance_type=shape.sagemaker,
                    initial_instance_count=self._plan.min_replicas,
                    initial_variant_weight=1,
                    container_startup_health_check_timeout_in_seconds=STARTUP_SECONDS[self._kind],
                    inference_ami_version=GPU_SYSTEM if shape.count and shape.accelerator != "V100" else None,
                )
            ],
            opts=self.child(),
        )

    def _endpoint(
        self, configuration: aws.sagemaker.EndpointConfiguration, alarms: list[aws.cloudwatch.MetricAlarm]
    ) -> aws.sagemaker.Endpoint:
        logs = self._args.platform.monitoring.log_group(
            f"{self._name}-logs", f"/aws/sagemaker/Endpoints/{self._called}", parent=self
        )
        names = [
            aws.sagemaker.EndpointDeploymentConfigAutoRollbackConfigurationAlarmArgs(alarm_name=a.name) for a in alarms
        ]
        is_rolling = self._plan.min_replicas > 1
        return aws.sagemaker.Endpoint(
            f"{self._name}-endpoint",
            name=self._called,
            endpoint_config_name=configuration.name,
            deployment_config=aws.sagemaker.EndpointDeploymentConfigArgs(
                rolling_update_policy=_rolling() if is_rolling else None,
                blue_green_update_policy=None if is_rolling else _beside(),
                auto_rollback_configuration=aws.sagemaker.EndpointDeploymentConfigAutoRollbackConfigurationArgs(
                    alarms=names
                ),
            ),
            opts=self.child(
                depends_on=[logs], custom_timeouts=pulumi.CustomTimeouts(create="60m", update="90m", delete="30m")
            ),
        )

    def _scaling(self, endpoint: aws.sagemaker.Endpoint) -> None:
        """The service reports CPU as a sum over cores: 400 % is all of a machine with four."""
        where = {"EndpointName": self._called, "VariantName": VARIANT}
        target = aws.appautoscaling.Target(
            f"{self._name}-size",
            service_namespace="sagemaker",
            scalable_dimension="sagemaker:variant:DesiredInstanceCount",
            resource_id=pulumi.Output.concat("endpoint/", endpoint.name, f"/variant/{VARIANT}"),
            min_capacity=self._plan.min_replicas,
            max_capacity=self._plan.max_replicas,
            opts=self.child(),
        )
        specification = aws.appautoscaling.PolicyTargetTrackingScalingPolicyConfigurationCustomizedMetricSpecificationArgs(
            namespace="/aws/sagemaker/Endpoints",
            metric_name="CPUUtilization",
            statistic="Average",
            dimensions=[
                aws.appautoscaling.PolicyTargetTrackingScalingPolicyConfigurationCustomizedMetricSpecificationDimensionArgs(
                    name=key, value=value
                )
                for key, value in where.items()
            ],
        )
        aws.appautoscaling.Policy(
            f"{self._name}-scaling",
            policy_type="TargetTrackingScaling",
            service_namespace=target.service_namespace,
            scalable_dimension=target.scalable_dimension,
            resource_id=target.resource_id,
            target_tracking_scaling_policy_configuration=aws.appautoscaling.PolicyTargetTrackingScalingPolicyConfigurationArgs(
                customized_metric_specification=specification,
                target_value=self._plan.settings.scale_at_cpu * self._plan.shape.cpus,
                scale_in_cooldown=300,
                scale_out_cooldown=120,
            ),
            opts=self.child(),
        )


def environment(names: Names, endpoint: EndpointPlan) -> dict[str, str]:
    """What the serving program is told where it cannot be given options: SageMaker starts every image with the one word `serve`. The
    names are those of the program's options."""
    told = endpoint.settings
    return {
        "SKYLIFT_STACK": names.context.tags["skylift-stack"],
        "SKYLIFT_REGION": names.context.region,
        "SKYLIFT_ENDPOINT": f"{names.keep.url}/endpoints/{endpoint.name}",
        "SKYLIFT_WORK": names.work.url,
        "SKYLIFT_WORKERS": str(told.workers),
        "SKYLIFT_THREADS": str(told.threads),
        "SKYLIFT_BACKEND": told.backend,
        "SKYLIFT_QUEUE_ROWS": str(told.queue_rows),
        "SKYLIFT_MAX_BATCH_ROWS": str(told.max_batch_rows),
        "SKYLIFT_DRAIN_SECONDS": f"{told.drain_seconds:g}",
        **({"SKYLIFT_APPROVAL": "1"} if told.approval else {}),
    }


def encrypts_itself(shape: catalog.Shape) -> bool:
    """Whether a machine has disks of its own, which encrypt themselves and refuse a key:
    https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateEndpointConfig.html (KmsKeyId)"""
    family = shape.machine.partition(".")[0]
    return (shape.count > 0 and family != "p3") or (shape.count == 0 and "d" in family[1:])


def _rolling() -> aws.sagemaker.EndpointDeploymentConfigRollingUpdatePolicyArgs:
    """In steps of up to a half: needs no quota for a second fleet."""
    half = aws.sagemaker.EndpointDeploymentConfigRollingUpdatePolicyMaximumBatchSizeArgs(
        type="CAPACITY_PERCENT", value=50
    )
    return aws.sagemaker.EndpointDeploymentConfigRollingUpdatePolicyArgs(
        maximum_batch_size=half, wait_interval_in_seconds=120
    )


def _beside() -> aws.sagemaker.EndpointDeploymentConfigBlueGreenUpdatePolicyArgs:
    """A single machine cannot be replaced in steps: the new one beside the old, then all traffic at once."""
    routing = aws.sagemaker.EndpointDeploymentConfigBlueGreenUpdatePolicyTrafficRoutingConfigurationArgs
    return aws.sagemaker.EndpointDeploymentConfigBlueGreenUpdatePolicyArgs(
        traffic_routing_configuration=routing(type="ALL_AT_ONCE", wait_interval_in_seconds=120),
        termination_wait_in_seconds=60,
    )
