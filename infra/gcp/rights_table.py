"""Which permissions each resource type of a stack on Google Cloud asks of who runs `up`, `refresh` and `down`. Data only.

Names: https://cloud.google.com/iam/docs/permissions-reference, and per service
https://cloud.google.com/iam/docs/roles-permissions/SERVICE (compute, container, storage, …). Chosen by what the provider
(https://github.com/hashicorp/terraform-provider-google, on which Pulumi's is built) calls to create, read, update and delete a type, and
by what those methods ask for. Exactly which permissions the provider needs was not checked against a cloud.
"""

from __future__ import annotations

PERMISSIONS: dict[str, str] = {
    # type -> resources with their verbs
    "gcp:projects/service:Service": "serviceusage.services enable get list use; serviceusage.operations get",
    "gcp:projects/serviceIdentity:ServiceIdentity": "serviceusage.services enable get; serviceusage.operations get",
    "gcp:projects/iAMAuditConfig:IAMAuditConfig": "resourcemanager.projects getIamPolicy setIamPolicy",
    "gcp:projects/iAMMember:IAMMember": "resourcemanager.projects getIamPolicy setIamPolicy",
    "gcp:projects/iAMCustomRole:IAMCustomRole": "iam.roles create delete get undelete update",
    "gcp:serviceaccount/account:Account": "iam.serviceAccounts create delete get update",
    "gcp:serviceaccount/iAMMember:IAMMember": "iam.serviceAccounts getIamPolicy setIamPolicy",
    "gcp:storage/bucket:Bucket": "storage.buckets create delete get update",
    "gcp:storage/bucketObject:BucketObject": "storage.objects create delete get",
    "gcp:storage/bucketIAMMember:BucketIAMMember": "storage.buckets getIamPolicy setIamPolicy",
    "gcp:kms/keyRing:KeyRing": "cloudkms.keyRings create get",
    "gcp:kms/cryptoKey:CryptoKey": "cloudkms.cryptoKeys create get update; cloudkms.cryptoKeyVersions destroy list",
    "gcp:kms/cryptoKeyIAMMember:CryptoKeyIAMMember": "cloudkms.cryptoKeys getIamPolicy setIamPolicy",
    "gcp:artifactregistry/repository:Repository": "artifactregistry.repositories create delete get update",
    "gcp:artifactregistry/repositoryIamMember:RepositoryIamMember": "artifactregistry.repositories getIamPolicy setIamPolicy",
    "gcp:secretmanager/secret:Secret": "secretmanager.secrets create delete get update",
    "gcp:secretmanager/secretIamMember:SecretIamMember": "secretmanager.secrets getIamPolicy setIamPolicy",
    "gcp:logging/projectBucketConfig:ProjectBucketConfig": "logging.buckets create delete get undelete update; logging.operations get",
    "gcp:logging/projectSink:ProjectSink": "logging.sinks create delete get update",
    "gcp:logging/metric:Metric": "logging.logMetrics create delete get update",
    "gcp:monitoring/alertPolicy:AlertPolicy": "monitoring.alertPolicies create delete get update",
    "gcp:monitoring/notificationChannel:NotificationChannel": "monitoring.notificationChannels create delete get update",
    "gcp:compute/network:Network": "compute.networks create delete get updatePolicy use; compute.globalOperations get",
    "gcp:compute/subnetwork:Subnetwork": "compute.networks get updatePolicy use; "
    "compute.subnetworks create delete expandIpCidrRange get setPrivateIpGoogleAccess update use; compute.regionOperations get",
    "gcp:compute/router:Router": "compute.routers create delete get update; compute.networks get updatePolicy use; "
    "compute.regionOperations get",
    "gcp:compute/routerNat:RouterNat": "compute.routers get update; compute.subnetworks use; compute.regionOperations get",
    "gcp:compute/firewall:Firewall": "compute.firewalls create delete get update; compute.networks get updatePolicy use; "
    "compute.globalOperations get",
    "gcp:compute/forwardingRule:ForwardingRule": "compute.forwardingRules create delete get setLabels setTarget update; "
    "compute.networks use; compute.subnetworks use; compute.regionOperations get",
    "gcp:compute/regionAutoscaler:RegionAutoscaler": "compute.autoscalers create delete get update; "
    "compute.instanceGroupManagers get use; compute.regionOperations get",
    "gcp:compute/regionBackendService:RegionBackendService": ""
    "compute.regionBackendServices create delete get setSecurityPolicy update use; "
    "compute.instanceGroups get use; compute.regionHealthChecks useReadOnly; compute.regionOperations get",
    "gcp:compute/regionHealthCheck:RegionHealthCheck": ""
    "compute.regionHealthChecks create delete get update use; compute.regionOperations get",
    "gcp:compute/regionInstanceGroupManager:RegionInstanceGroupManager": "compute.instanceGroupManagers create delete get update use; "
    "compute.instanceGroups create delete get update use; compute.instanceTemplates get useReadOnly; "
    "compute.instances create delete get list setLabels setMetadata setServiceAccount; compute.disks create setLabels; "
    "compute.images useReadOnly; compute.networks use; compute.subnetworks use; compute.regionHealthChecks use; "
    "compute.regionOperations get; compute.zoneOperations get",
    "gcp:compute/regionInstanceTemplate:RegionInstanceTemplate": ""
    "compute.instanceTemplates create delete get; compute.images get useReadOnly; "
    "compute.networks use; compute.subnetworks use; compute.regionOperations get",
    "gcp:compute/regionSecurityPolicy:RegionSecurityPolicy": "compute.regionSecurityPolicies create delete get update use; "
    "compute.regionOperations get",
    "gcp:compute/regionSslPolicy:RegionSslPolicy": "compute.regionSslPolicies create delete get update use; compute.regionOperations get",
    "gcp:compute/regionTargetHttpProxy:RegionTargetHttpProxy": "compute.regionTargetHttpProxies create delete get setUrlMap use; "
    "compute.regionUrlMaps use; compute.regionOperations get",
    "gcp:compute/regionTargetHttpsProxy:RegionTargetHttpsProxy": "compute.regionTargetHttpsProxies create delete get setSslCertificates "
    "setUrlMap update use; compute.regionUrlMaps use; compute.regionSslCertificates get; compute.regionSslPolicies use; "
    "certificatemanager.certs get use; compute.regionOperations get",
    "gcp:compute/regionUrlMap:RegionUrlMap": "compute.regionUrlMaps create delete get update use; compute.regionBackendServices use; "
    "compute.regionOperations get",
    "gcp:iap/tunnelIamMember:TunnelIamMember": "iap.tunnel getIamPolicy setIamPolicy",
    "gcp:cloudfunctionsv2/function:Function": "cloudfunctions.functions create delete get sourceCodeSet update; "
    "cloudfunctions.operations get; run.services get; cloudbuild.builds get",
    "gcp:cloudrunv2/serviceIamMember:ServiceIamMember": "run.services getIamPolicy setIamPolicy",
    "gcp:cloudscheduler/job:Job": "cloudscheduler.jobs create delete get update",
    "gcp:container/cluster:Cluster": "container.clusters connect create delete get update; container.operations get; "
    "compute.networks get use; compute.subnetworks get use; compute.instanceGroupManagers get",
    "gcp:container/nodePool:NodePool": "container.clusters get update; container.operations get; compute.instanceGroupManagers get",
    "gcp:vertex/aiEndpoint:AiEndpoint": "aiplatform.endpoints create delete get update; aiplatform.operations get",
    "gcp:vertex/aiEndpointIamMember:AiEndpointIamMember": "aiplatform.endpoints getIamPolicy setIamPolicy",
    "gcp:networkconnectivity/serviceConnectionPolicy:ServiceConnectionPolicy": "networkconnectivity.serviceConnectionPolicies "
    "create delete get update; networkconnectivity.operations get; compute.networks use; compute.subnetworks use",
    "pulumi-python:dynamic/gcp:VertexDeployment": "aiplatform.endpoints deploy get undeploy update; "
    "aiplatform.models delete get update upload; aiplatform.operations get",
}

_IN_CLUSTER = "create delete get list update"
_THIRD = f"container.thirdPartyObjects {_IN_CLUSTER}"
_KINDS = {
    "core/v1": "ConfigMap LimitRange Namespace ResourceQuota Secret Service ServiceAccount",
    "apps/v1": "Deployment",
    "autoscaling/v2": "HorizontalPodAutoscaler",
    "policy/v1": "PodDisruptionBudget",
    "networking.k8s.io/v1": "NetworkPolicy",
    "rbac.authorization.k8s.io/v1": "ClusterRole ClusterRoleBinding Role RoleBinding",
    "apiextensions.k8s.io/v1": "CustomResourceDefinition",
    "admissionregistration.k8s.io/v1": "MutatingWebhookConfiguration ValidatingWebhookConfiguration",
}


def _plural(kind: str) -> str:
    word = kind[0].lower() + kind[1:]
    return word[:-1] + "ies" if word.endswith("y") else word + "s"


# https://cloud.google.com/kubernetes-engine/docs/how-to/iam: each kind has permissions of its own inside of a cluster.
PERMISSIONS |= {
    f"kubernetes:{group}:{kind}": f"container.{_plural(kind)} {_IN_CLUSTER}"
    for group, kinds in _KINDS.items()
    for kind in kinds.split()
}
# Whoever writes roles must have what they give, or these two verbs:
# https://kubernetes.io/docs/reference/access-authn-authz/rbac/#privilege-escalation-prevention-and-bootstrapping
PERMISSIONS["kubernetes:rbac.authorization.k8s.io/v1:ClusterRole"] += " bind escalate"
PERMISSIONS["kubernetes:rbac.authorization.k8s.io/v1:Role"] += " bind escalate"
# Kinds without permissions of their own count as other objects.
PERMISSIONS["kubernetes:admissionregistration.k8s.io/v1:ValidatingAdmissionPolicy"] = _THIRD
PERMISSIONS["kubernetes:admissionregistration.k8s.io/v1:ValidatingAdmissionPolicyBinding"] = _THIRD

ALWAYS = "resourcemanager.projects get; cloudquotas.quotas get"
"""To look at the project and its quotas before anything is made."""
ASKED = {
    "vm": "compute.machineTypes list; compute.zones list",
    "cluster": "compute.machineTypes list; compute.zones list; container.clusters get connect",
    "managed": "",
}
"""What checks.py and the components look at, beside what they make."""


def permissions(text: str) -> set[str]:
    """
    Examples:
        >>> sorted(permissions("a.b get use; c.d list"))
        ['a.b.get', 'a.b.use', 'c.d.list']
    """
    parts = [part.split() for part in text.split(";") if part.strip()]
    return {f"{resource}.{verb}" for resource, *verbs in parts for verb in verbs}
