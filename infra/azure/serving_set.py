"""One endpoint on machines: a scale set, its load balancer, its autoscaling."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_azure_native as azure

from infra.azure.balancer import Balancer, BalancerArgs
from infra.azure.identity import Identity
from infra.azure.machine import DISK_GIB, IMAGE, USER, is_fast, serving_script
from infra.azure.machine_logs import agent, collect
from infra.azure.names import Names
from infra.azure.scaling import autoscale
from infra.azure.sshkey import keyless
from infra.component import Component
from infra.context import Context, EndpointPlan


@dataclass(frozen=True, kw_only=True)
class ServingSetArgs:
    """Args:
    group: name of the resource group.
    subnet: of the machines, and of the load balancer unless the endpoint is public.
    identity: of the serving container and its machine.
    rule: resource id of the rule that says what is collected of their logs.
    after: what must be there before a machine starts.
    """

    context: Context
    plan: EndpointPlan
    group: pulumi.Input[str]
    subnet: pulumi.Output[str]
    identity: Identity
    rule: pulumi.Input[str]
    after: Sequence[pulumi.Resource]


class ServingSet(Component):
    """Machines that answer, replaced a few at a time when their script or image changes, new ones first, and rolled back if those are not
    ready; one that is not ready for 30 minutes is made anew. How many there are is the autoscaler's to say, within the settings: `up`
    and drift look past it.

    What the containers print goes to the stack's log workspace, by an agent on each machine (machine_logs.py).

    Costs its machines, each with a disk of 150 GiB (about 20 USD a month), and a load balancer (about 18 USD a month).

    Attributes:
        url: base of the HTTP routes.
        address: of the load balancer; what DNS must name where the endpoint has a hostname.
        id: resource id of the scale set.
        balancer: resource id of the load balancer, which measures.
    """

    def __init__(self, name: str, args: ServingSetArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, args.context, opts)
        self._name, self._args = name, args
        balancer = Balancer(
            f"{name}-balancer",
            BalancerArgs(context=args.context, plan=args.plan, group=args.group, subnet=args.subnet),
            self.child(),
        )
        machines = self._set(balancer)
        collect(f"{name}-collected", machines.id, args.rule, self.child())
        autoscale(f"{name}-autoscaling", args.context, args.plan, args.group, machines.id, self.child())
        self.url, self.address, self.balancer, self.id = balancer.url, balancer.address, balancer.id, machines.id
        self.register_outputs({"url": self.url, "id": self.id})

    def _set(self, balancer: Balancer) -> azure.compute.VirtualMachineScaleSet:
        context, plan = self.context, self._args.plan
        return azure.compute.VirtualMachineScaleSet(
            f"{self._name}-set",
            resource_group_name=self._args.group,
            vm_scale_set_name=Names(context).set_name(plan.name),
            orchestration_mode="Uniform",
            sku=azure.compute.SkuArgs(name=plan.shape.machine, tier="Standard", capacity=plan.min_replicas),
            overprovision=False,
            single_placement_group=False,
            identity=azure.compute.VirtualMachineScaleSetIdentityArgs(
                type=azure.compute.ResourceIdentityType.USER_ASSIGNED, user_assigned_identities=[self._args.identity.id]
            ),
            upgrade_policy=azure.compute.UpgradePolicyArgs(
                mode=azure.compute.UpgradeMode.ROLLING,
                rolling_upgrade_policy=azure.compute.RollingUpgradePolicyArgs(
                    max_surge=True,
                    max_batch_instance_percent=20,
                    max_unhealthy_instance_percent=50,
                    max_unhealthy_upgraded_instance_percent=20,
                    pause_time_between_batches="PT30S",
                    prioritize_unhealthy_instances=True,
                    rollback_failed_instances_on_policy_breach=True,
                ),
            ),
            automatic_repairs_policy=azure.compute.AutomaticRepairsPolicyArgs(
                enabled=True, grace_period="PT30M", repair_action="Replace"
            ),
            virtual_machine_profile=self._profile(balancer),
            tags={**context.tags, "skylift-endpoint": plan.name},
            # Their number belongs to the autoscaler and to whoever releases.
            opts=self.child(
                ignore_changes=["sku.capacity"],
                depends_on=self._args.after,
                custom_timeouts=pulumi.CustomTimeouts(create="60m", update="60m"),
            ),
        )

    def _profile(self, balancer: Balancer) -> azure.compute.VirtualMachineScaleSetVMProfileArgs:
        script = self._args.identity.client_id.apply(
            lambda client: serving_script(self.context, self._args.plan, client)
        )
        key = azure.compute.SshPublicKeyArgs(
            path=f"/home/{USER}/.ssh/authorized_keys", key_data=keyless(self.context.base)
        )
        return azure.compute.VirtualMachineScaleSetVMProfileArgs(
            priority="Regular",
            os_profile=azure.compute.VirtualMachineScaleSetOSProfileArgs(
                computer_name_prefix="serve",
                admin_username=USER,
                custom_data=script,
                linux_configuration=azure.compute.LinuxConfigurationArgs(
                    disable_password_authentication=True, ssh=azure.compute.SshConfigurationArgs(public_keys=[key])
                ),
            ),
            storage_profile=azure.compute.VirtualMachineScaleSetStorageProfileArgs(
                image_reference=azure.compute.ImageReferenceArgs(**IMAGE),
                os_disk=azure.compute.VirtualMachineScaleSetOSDiskArgs(
                    create_option="FromImage",
                    caching=azure.compute.CachingTypes.READ_WRITE,
                    disk_size_gb=DISK_GIB,
                    delete_option="Delete",
                    managed_disk=azure.compute.VirtualMachineScaleSetManagedDiskParametersArgs(
                        storage_account_type="Premium_LRS"
                    ),
                ),
            ),
            network_profile=self._network(balancer),
            extension_profile=agent(self._args.identity.id),
            security_profile=azure.compute.SecurityProfileArgs(encryption_at_host=True),
            scheduled_events_profile=azure.compute.ScheduledEventsProfileArgs(
                terminate_notification_profile=azure.compute.TerminateNotificationProfileArgs(
                    enable=True, not_before_timeout="PT5M"
                )
            ),
        )

    def _network(self, balancer: Balancer) -> azure.compute.VirtualMachineScaleSetNetworkProfileArgs:
        address = azure.compute.VirtualMachineScaleSetIPConfigurationArgs(
            name="main",
            primary=True,
            subnet=azure.compute.ApiEntityReferenceArgs(id=self._args.subnet),
            load_balancer_backend_address_pools=[azure.compute.SubResourceArgs(id=balancer.pool)],
        )
        interface = azure.compute.VirtualMachineScaleSetNetworkConfigurationArgs(
            name="main",
            primary=True,
            enable_accelerated_networking=is_fast(self._args.plan.shape),
            ip_configurations=[address],
        )
        return azure.compute.VirtualMachineScaleSetNetworkProfileArgs(
            health_probe=azure.compute.ApiEntityReferenceArgs(id=balancer.probe),
            network_interface_configurations=[interface],
        )
