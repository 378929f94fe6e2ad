"""One endpoint on machines of its own."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from infra.aws.alarms import ERRORS_PERCENT, IDLE_HOURS, Metric, Rule, alarm
from infra.aws.balancer import Balancer, BalancerArgs
from infra.aws.names import Names
from infra.aws.platform import Platform
from infra.aws.scripts import serving_script
from infra.aws.templates import SERVING_DISK_GIB, Machine, template
from infra.component import Component
from infra.context import EndpointPlan
from infra.promise import Served

BOOT_SECONDS = {"cpu": 600, "gpu": 1200}
"""Until a new machine must be ready: driver, image of several GB, model."""
SETTLED_SECONDS = 300.0


@dataclass(frozen=True, kw_only=True)
class GroupArgs:
    """`image`: id of the machine image."""

    platform: Platform
    endpoint: EndpointPlan
    image: pulumi.Input[str]


class Group(Component):
    """An Auto Scaling group behind an Application Load Balancer (about 16 USD a month), internal unless the endpoint is `public`, which
    needs a certificate. Machines are replaced one by one when their template changes, the new before the old; the settings bound the
    group, and how many run between the bounds belongs to the autoscaler. Who is allowed reaches a private endpoint from a laptop by a
    tunnel of Session Manager through one of its machines.

    Attributes:
        host: name of the load balancer in the network.
        served: for promise().
    """

    def __init__(self, name: str, args: GroupArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, args.platform.context, opts)
        self._name, self._args, self._plan = name, args, args.endpoint
        self._names = Names(self.context)
        self._kind = "gpu" if self._plan.shape.count else "cpu"
        front = Balancer(f"{name}-front", BalancerArgs(platform=args.platform, endpoint=args.endpoint), self.child())
        group = self._group(front.target)
        self._alarms(front)
        self.host: pulumi.Output[str] = front.balancer.dns_name
        self.served = Served(
            url=front.url,
            access="direct" if self._plan.exposure == "public" else "ssm",
            resource=group.name,
            settled=SETTLED_SECONDS,
        )
        self.register_outputs({"url": self.served.url, "group": group.name})

    def _group(self, target: aws.lb.TargetGroup) -> aws.autoscaling.Group:
        platform, plan, name = self._args.platform, self._plan, self._name
        image = self.context.settings.images.serving
        assert image is not None
        marks = {"skylift-role": "serving", "skylift-endpoint": plan.name}
        machine = Machine(
            shape=plan.shape,
            spot=False,
            image=self._args.image,
            profile=platform.identity.profiles["serving"],
            group=platform.firewall.serving.id,
            disk_gib=SERVING_DISK_GIB[self._kind],
            script=serving_script(self._names, plan, image),
            tags=marks,
        )
        made = template(self, f"{name}-machine", machine)
        group = aws.autoscaling.Group(
            f"{name}-group",
            name=self._names.group(plan.name),
            min_size=plan.min_replicas,
            max_size=plan.max_replicas,
            vpc_zone_identifiers=platform.network.subnets_with(plan.shape.machine),
            launch_template=aws.autoscaling.GroupLaunchTemplateArgs(id=made.id, version=made.latest_version.apply(str)),
            target_group_arns=[target.arn],
            health_check_type="ELB",
            health_check_grace_period=BOOT_SECONDS[self._kind],
            default_instance_warmup=120,
            capacity_rebalance=True,
            wait_for_capacity_timeout=f"{2 * BOOT_SECONDS[self._kind] // 60}m",
            instance_refresh=_rolling(),
            tags=[
                aws.autoscaling.GroupTagArgs(key=key, value=value, propagate_at_launch=True)
                for key, value in sorted({**self.context.tags, **marks}.items())
            ],
            opts=self.child(ignore_changes=["desiredCapacity"], depends_on=[platform.storage, platform.identity]),
        )
        tracking = aws.autoscaling.PolicyTargetTrackingConfigurationArgs(
            predefined_metric_specification=aws.autoscaling.PolicyTargetTrackingConfigurationPredefinedMetricSpecificationArgs(
                predefined_metric_type="ASGAverageCPUUtilization"
            ),
            target_value=plan.settings.scale_at_cpu,
        )
        aws.autoscaling.Policy(
            f"{name}-scaling",
            autoscaling_group_name=group.name,
            policy_type="TargetTrackingScaling",
            target_tracking_configuration=tracking,
            opts=self.child(),
        )
        return group

    def _alarms(self, front: Balancer) -> None:
        """https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-cloudwatch-metrics.html"""
        where = {"LoadBalancer": front.balancer.arn_suffix, "TargetGroup": front.target.arn_suffix}

        def metric(name: str, statistic: str = "Sum") -> Metric:
            return Metric(namespace="AWS/ApplicationELB", name=name, dimensions=where, statistic=statistic)

        name, requests = self._plan.name, metric("RequestCount")
        rules = {
            "errors": Rule(
                what=f"{name} answers with errors",
                metric=metric("HTTPCode_Target_5XX_Count"),
                per=requests,
                above=ERRORS_PERCENT,
            ),
            "slow": Rule(
                what=f"{name} is slow",
                metric=metric("TargetResponseTime", "p95"),
                above=self._plan.settings.request_seconds / 2,
            ),
            "unhealthy": Rule(
                what=f"{name} has machines that are not ready",
                metric=metric("UnHealthyHostCount", "Maximum"),
                above=0,
                looks=BOOT_SECONDS[self._kind] // 60,
            ),
        }
        if self._kind == "gpu":
            rules["idle"] = Rule(
                what=f"{name} pays for GPUs that nobody asked anything",
                metric=requests,
                below=1,
                period=3600,
                looks=IDLE_HOURS,
                missing="breaching",
            )
        for kind, rule in rules.items():
            alarm(self, f"{self._name}-{kind}", rule, self._args.platform.monitoring)


def _rolling() -> aws.autoscaling.GroupInstanceRefreshArgs:
    """https://docs.aws.amazon.com/autoscaling/ec2/userguide/understand-instance-refresh-default-values.html"""
    return aws.autoscaling.GroupInstanceRefreshArgs(
        strategy="Rolling",
        preferences=aws.autoscaling.GroupInstanceRefreshPreferencesArgs(
            min_healthy_percentage=100, max_healthy_percentage=200, auto_rollback=True, skip_matching=True
        ),
    )
