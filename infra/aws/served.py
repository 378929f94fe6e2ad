"""One endpoint on machines of its own."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from infra.aws.alarms import ERRORS_PERCENT, IDLE_HOURS, Metric, Rule, alarm
from infra.aws.firewall import PORT
from infra.aws.names import Names
from infra.aws.platform import Platform
from infra.aws.templates import SERVING_DISK_GIB, Machine, serving_script, template
from infra.component import Component
from infra.context import EndpointPlan
from infra.promise import Served

TLS_POLICY = "ELBSecurityPolicy-TLS13-1-2-2021-06"
"""TLS 1.2 and 1.3: https://docs.aws.amazon.com/elasticloadbalancing/latest/application/describe-ssl-policies.html"""
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
        served: for promise().
    """

    def __init__(self, name: str, args: GroupArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, args.platform.context, opts)
        self._name, self._args, self._plan = name, args, args.endpoint
        self._names = Names(self.context)
        self._kind = "gpu" if self._plan.shape.count else "cpu"
        balancer, target = self._balancer()
        group = self._group(target)
        self._alarms(balancer, target)
        self.served = Served(
            url=self._url(balancer),
            access="direct" if self._plan.exposure == "public" else "ssm",
            resource=group.name,
            settled=SETTLED_SECONDS,
        )
        self.register_outputs({"url": self.served.url, "group": group.name})

    def _url(self, balancer: aws.lb.LoadBalancer) -> pulumi.Output[str]:
        told = self._plan.settings
        scheme = "https" if told.certificate else "http"
        return pulumi.Output.concat(scheme, "://", told.hostname or balancer.dns_name)

    def _balancer(self) -> tuple[aws.lb.LoadBalancer, aws.lb.TargetGroup]:
        platform, told, name = self._args.platform, self._plan.settings, self._name
        is_public = self._plan.exposure == "public"
        port = 443 if told.certificate else 80
        ranges = (told.allowed_ranges or ["0.0.0.0/0"]) if is_public else [platform.network.cidr]
        inside = platform.firewall.balancer(self._plan.name, port, list(ranges), parent=self)
        subnets = platform.network.public_ids if is_public else platform.network.subnet_ids
        balancer = aws.lb.LoadBalancer(
            f"{name}-balancer",
            internal=not is_public,
            load_balancer_type="application",
            security_groups=[inside.id],
            subnets=subnets,
            drop_invalid_header_fields=True,
            idle_timeout=math.ceil(told.request_seconds) + 5,
            opts=self.child(),
        )
        target = aws.lb.TargetGroup(
            f"{name}-target",
            port=PORT,
            protocol="HTTP",
            target_type="instance",
            vpc_id=platform.network.vpc_id,
            load_balancing_algorithm_type="least_outstanding_requests",
            deregistration_delay=math.ceil(told.drain_seconds),
            health_check=aws.lb.TargetGroupHealthCheckArgs(
                path="/readyz", matcher="200", interval=10, timeout=5, healthy_threshold=2, unhealthy_threshold=3
            ),
            opts=self.child(),
        )
        aws.lb.Listener(
            f"{name}-listener",
            load_balancer_arn=balancer.arn,
            port=port,
            protocol="HTTPS" if told.certificate else "HTTP",
            certificate_arn=told.certificate,
            ssl_policy=TLS_POLICY if told.certificate else None,
            default_actions=[aws.lb.ListenerDefaultActionArgs(type="forward", target_group_arn=target.arn)],
            opts=self.child(),
        )
        return balancer, target

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
            vpc_zone_identifiers=platform.network.subnet_ids,
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

    def _alarms(self, balancer: aws.lb.LoadBalancer, target: aws.lb.TargetGroup) -> None:
        """https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-cloudwatch-metrics.html"""
        where = {"LoadBalancer": balancer.arn_suffix, "TargetGroup": target.arn_suffix}

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
