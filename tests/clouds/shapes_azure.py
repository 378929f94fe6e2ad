"""Computed outputs of simulated Azure resources. Identifiers are ARM paths; values are invented and not checked against a cloud."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.clouds.world import MOMENT, Facts

_TYPES = {
    "storage:StorageAccount": "Microsoft.Storage/storageAccounts",
    "storage:BlobServiceProperties": "Microsoft.Storage/storageAccounts/{accountName}/blobServices",
    "storage:BlobContainer": "Microsoft.Storage/storageAccounts/{accountName}/blobServices/default/containers",
    "storage:ManagementPolicy": "Microsoft.Storage/storageAccounts/{accountName}/managementPolicies",
    "containerregistry:Registry": "Microsoft.ContainerRegistry/registries",
    "managedidentity:UserAssignedIdentity": "Microsoft.ManagedIdentity/userAssignedIdentities",
    "managedidentity:FederatedIdentityCredential": (
        "Microsoft.ManagedIdentity/userAssignedIdentities/{resourceName}/federatedIdentityCredentials"
    ),
    "network:VirtualNetwork": "Microsoft.Network/virtualNetworks",
    "network:Subnet": "Microsoft.Network/virtualNetworks/{virtualNetworkName}/subnets",
    "network:NetworkSecurityGroup": "Microsoft.Network/networkSecurityGroups",
    "network:NatGateway": "Microsoft.Network/natGateways",
    "network:PublicIPAddress": "Microsoft.Network/publicIPAddresses",
    "network:BastionHost": "Microsoft.Network/bastionHosts",
    "network:NetworkInterface": "Microsoft.Network/networkInterfaces",
    "network:LoadBalancer": "Microsoft.Network/loadBalancers",
    "network:PrivateEndpoint": "Microsoft.Network/privateEndpoints",
    "network:PrivateDnsZoneGroup": "Microsoft.Network/privateEndpoints/{privateEndpointName}/privateDnsZoneGroups",
    "privatedns:PrivateZone": "Microsoft.Network/privateDnsZones",
    "privatedns:VirtualNetworkLink": "Microsoft.Network/privateDnsZones/{privateZoneName}/virtualNetworkLinks",
    "compute:VirtualMachine": "Microsoft.Compute/virtualMachines",
    "compute:VirtualMachineScaleSet": "Microsoft.Compute/virtualMachineScaleSets",
    "monitor:AutoscaleSetting": "Microsoft.Insights/autoscaleSettings",
    "monitor:MetricAlert": "Microsoft.Insights/metricAlerts",
    "monitor:ActionGroup": "Microsoft.Insights/actionGroups",
    "monitor:ScheduledQueryRule": "Microsoft.Insights/scheduledQueryRules",
    "operationalinsights:Workspace": "Microsoft.OperationalInsights/workspaces",
    "applicationinsights:Component": "Microsoft.Insights/components",
    "containerservice:ManagedCluster": "Microsoft.ContainerService/managedClusters",
    "containerservice:AgentPool": "Microsoft.ContainerService/managedClusters/{resourceName}/agentPools",
    "keyvault:Vault": "Microsoft.KeyVault/vaults",
    "keyvault:Key": "Microsoft.KeyVault/vaults/{vaultName}/keys",
    "machinelearningservices:Workspace": "Microsoft.MachineLearningServices/workspaces",
    "machinelearningservices:Compute": "Microsoft.MachineLearningServices/workspaces/{workspaceName}/computes",
    "machinelearningservices:EnvironmentContainer": "Microsoft.MachineLearningServices/workspaces/{workspaceName}/environments",
    "machinelearningservices:EnvironmentVersion": (
        "Microsoft.MachineLearningServices/workspaces/{workspaceName}/environments/{name}/versions"
    ),
    "machinelearningservices:OnlineEndpoint": "Microsoft.MachineLearningServices/workspaces/{workspaceName}/onlineEndpoints",
    "machinelearningservices:OnlineDeployment": (
        "Microsoft.MachineLearningServices/workspaces/{workspaceName}/onlineEndpoints/{endpointName}/deployments"
    ),
    "machinelearningservices:ManagedNetworkSettingsRule": (
        "Microsoft.MachineLearningServices/workspaces/{workspaceName}/managedNetworks/default/outboundRules"
    ),
    "automation:AutomationAccount": "Microsoft.Automation/automationAccounts",
    "automation:Runbook": "Microsoft.Automation/automationAccounts/{automationAccountName}/runbooks",
    "automation:Schedule": "Microsoft.Automation/automationAccounts/{automationAccountName}/schedules",
    "automation:JobSchedule": "Microsoft.Automation/automationAccounts/{automationAccountName}/jobSchedules",
    "web:WebApp": "Microsoft.Web/sites",
    "web:AppServicePlan": "Microsoft.Web/serverfarms",
    "app:Job": "Microsoft.App/jobs",
    "app:ManagedEnvironment": "Microsoft.App/managedEnvironments",
    "logic:Workflow": "Microsoft.Logic/workflows",
}


def shape(facts: Facts) -> tuple[str, dict[str, Any]]:
    identifier = path(facts)
    told: dict[str, Any] = {"name": facts.name, "type": _type(facts), "azureApiVersion": "simulated"}
    told |= {"provisioningState": "Succeeded"}
    if isinstance(facts.inputs.get("identity"), dict):
        told["identity"] = _identity(facts)
    special = _SPECIAL.get(facts.token.removeprefix("azure-native:"))
    if special:
        told |= special(facts)
    return identifier, told


def path(facts: Facts) -> str:
    subscription = f"/subscriptions/{facts.world.subscription}"
    kind = facts.token.removeprefix("azure-native:")
    group = f"{subscription}/resourceGroups/{facts.get('resourceGroupName')}"
    if kind == "resources:ResourceGroup":
        return f"{subscription}/resourceGroups/{facts.name}"
    if kind.startswith("authorization:"):
        scope = str(facts.get("scope", subscription))
        collection = kind.partition(":")[2]
        return f"{scope}/providers/Microsoft.Authorization/{collection[0].lower()}{collection[1:]}s/{facts.name}"
    if kind == "consumption:Budget":
        return f"{facts.get('scope')}/providers/Microsoft.Consumption/budgets/{facts.name}"
    if kind == "monitor:DiagnosticSetting":
        return f"{facts.get('resourceUri')}/providers/Microsoft.Insights/diagnosticSettings/{facts.name}"
    if kind == "monitor:DataCollectionRuleAssociation":
        return f"{facts.get('resourceUri')}/providers/Microsoft.Insights/dataCollectionRuleAssociations/{facts.name}"
    last = facts.get("version") if kind.endswith("Version") else facts.name
    return f"{group}/providers/{_collection(facts)}/{last}"


def _collection(facts: Facts) -> str:
    module, kind = facts.token.removeprefix("azure-native:").split(":")
    form = _TYPES.get(f"{module}:{kind}", f"Microsoft.{module.capitalize()}/{kind[0].lower()}{kind[1:]}s")
    return form.format_map(_Forgiving({key: item for key, item in facts.inputs.items() if isinstance(item, str)}))


def _type(facts: Facts) -> str:
    parts = _collection(facts).split("/")
    return "/".join(parts[:1] + parts[1::2])


class _Forgiving(dict[str, str]):
    def __missing__(self, key: str) -> str:
        return f"<{key}>"


def _identity(facts: Facts) -> dict[str, Any]:
    given = facts.inputs["identity"]
    told = {key: item for key, item in given.items() if key != "userAssignedIdentities"}
    assigned = given.get("userAssignedIdentities")
    if isinstance(assigned, list | dict):
        told["userAssignedIdentities"] = {
            str(one): {"principalId": facts.uuid(f"{one} principal"), "clientId": facts.uuid(f"{one} client")}
            for one in assigned
        }
    if "SystemAssigned" in str(given.get("type")):
        told |= {"principalId": facts.uuid("principal"), "tenantId": facts.world.tenant}
    return told


def _endpoints(facts: Facts) -> dict[str, Any]:
    parts = ("blob", "dfs", "file", "queue", "table")
    return {
        "primaryEndpoints": {part: f"https://{facts.name}.{part}.core.windows.net/" for part in parts},
        "primaryLocation": facts.get("location", facts.world.location),
        "statusOfPrimary": "available",
        "creationTime": MOMENT,
    }


def _cluster(facts: Facts) -> dict[str, Any]:
    place = facts.get("location", facts.world.location)
    dns = facts.get("dnsPrefix", facts.name)
    issuer = f"https://{place}.oic.prod-aks.azure.com/{facts.world.tenant}/{facts.uuid('issuer')}/"
    return {
        "fqdn": f"{dns}-{facts.hex(8)}.hcp.{place}.azmk8s.io",
        "privateFQDN": f"{dns}-{facts.hex(8)}.privatelink.{place}.azmk8s.io",
        "nodeResourceGroup": facts.get(
            "nodeResourceGroup", f"MC_{facts.get('resourceGroupName')}_{facts.name}_{place}"
        ),
        "oidcIssuerProfile": {**facts.get("oidcIssuerProfile", {}), "issuerURL": issuer},
        "identityProfile": {
            "kubeletidentity": {
                "clientId": facts.uuid("kubelet client"),
                "objectId": facts.uuid("kubelet"),
                "resourceId": f"/subscriptions/{facts.world.subscription}/resourceGroups/MC/providers/"
                f"Microsoft.ManagedIdentity/userAssignedIdentities/{facts.name}-agentpool",
            }
        },
        "currentKubernetesVersion": facts.get("kubernetesVersion", "1.33.2"),
    }


_SPECIAL: dict[str, Callable[[Facts], dict[str, Any]]] = {
    "resources:ResourceGroup": lambda facts: {
        "location": facts.get("location", facts.world.location),
        "properties": {"provisioningState": "Succeeded"},
    },
    "storage:StorageAccount": _endpoints,
    "containerregistry:Registry": lambda facts: {
        "loginServer": f"{facts.name.lower()}.azurecr.io",
        "creationDate": MOMENT,
    },
    "managedidentity:UserAssignedIdentity": lambda facts: {
        "clientId": facts.uuid("client"),
        "principalId": facts.uuid("principal"),
        "tenantId": facts.world.tenant,
        "location": facts.get("location", facts.world.location),
    },
    "containerservice:ManagedCluster": _cluster,
    "network:PublicIPAddress": lambda facts: {"ipAddress": "203.0.113.20", "resourceGuid": facts.uuid()},
    "network:LoadBalancer": lambda facts: {
        "resourceGuid": facts.uuid(),
        "frontendIPConfigurations": [
            {**one, **({"privateIPAddress": "10.64.0.20"} if one.get("subnet") else {})}
            for one in facts.get("frontendIPConfigurations", [])
        ],
    },
    "operationalinsights:Workspace": lambda facts: {"customerId": facts.uuid(), "createdDate": MOMENT},
    "applicationinsights:Component": lambda facts: {
        "appId": facts.uuid(),
        "instrumentationKey": facts.uuid("key"),
        "connectionString": f"InstrumentationKey={facts.uuid('key')};IngestionEndpoint=https://{facts.world.location}.simulated/",
        "tenantId": facts.world.tenant,
    },
    "keyvault:Vault": lambda facts: {
        "properties": {**facts.get("properties", {}), "vaultUri": f"https://{facts.name}.vault.azure.net/"},
    },
    "keyvault:Key": lambda facts: {
        "keyUri": f"https://{facts.get('vaultName')}.vault.azure.net/keys/{facts.name}",
        "keyUriWithVersion": f"https://{facts.get('vaultName')}.vault.azure.net/keys/{facts.name}/{facts.hex(32)}",
    },
    "machinelearningservices:Workspace": lambda facts: {
        "workspaceId": facts.uuid(),
        "mlFlowTrackingUri": f"azureml://{facts.world.location}.api.azureml.ms/mlflow/v1.0{path(facts)}",
        "tenantId": facts.world.tenant,
    },
    "machinelearningservices:OnlineEndpoint": lambda facts: {
        "properties": {
            **facts.get("properties", {}),
            "scoringUri": f"https://{facts.name}.{facts.get('location', facts.world.location)}.inference.ml.azure.com/score",
            "swaggerUri": f"https://{facts.name}.{facts.get('location', facts.world.location)}.inference.ml.azure.com/swagger.json",
            "provisioningState": "Succeeded",
        }
    },
    "web:WebApp": lambda facts: {"defaultHostName": f"{facts.name}.azurewebsites.net", "state": "Running"},
    "compute:VirtualMachineScaleSet": lambda facts: {"uniqueId": facts.uuid(), "timeCreated": MOMENT},
}
