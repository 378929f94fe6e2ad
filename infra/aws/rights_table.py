"""Which actions each resource type of a stack asks of who runs `up`, `refresh` and `down`. Data only.

The actions are those that the provider calls to create, read, update and delete the type, from the service authorization reference
(https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html) and the
operations that the Terraform provider for AWS, on which Pulumi's is built, calls for it. Not checked against a cloud.
"""

from __future__ import annotations

ACTIONS: dict[str, tuple[str, str]] = {
    # type -> service, actions
    "s3/bucket:Bucket": (
        "s3",
        "CreateBucket DeleteBucket ListBucket GetBucketLocation GetBucketTagging PutBucketTagging TagResource UntagResource "
        "ListTagsForResource GetBucketAcl GetBucketCORS GetBucketWebsite GetBucketLogging GetBucketRequestPayment GetBucketVersioning "
        "GetAccelerateConfiguration GetReplicationConfiguration GetBucketObjectLockConfiguration GetEncryptionConfiguration "
        "GetLifecycleConfiguration GetBucketPolicy",
    ),
    "s3/bucketVersioning:BucketVersioning": ("s3", "GetBucketVersioning PutBucketVersioning"),
    "s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": (
        "s3",
        "GetEncryptionConfiguration PutEncryptionConfiguration",
    ),
    "s3/bucketPublicAccessBlock:BucketPublicAccessBlock": (
        "s3",
        "GetBucketPublicAccessBlock PutBucketPublicAccessBlock",
    ),
    "s3/bucketOwnershipControls:BucketOwnershipControls": (
        "s3",
        "GetBucketOwnershipControls PutBucketOwnershipControls",
    ),
    "s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": (
        "s3",
        "GetLifecycleConfiguration PutLifecycleConfiguration",
    ),
    "s3/bucketPolicy:BucketPolicy": ("s3", "GetBucketPolicy PutBucketPolicy DeleteBucketPolicy"),
    "s3/bucketNotification:BucketNotification": ("s3", "GetBucketNotification PutBucketNotification"),
    "cloudtrail/trail:Trail": (
        "cloudtrail",
        "CreateTrail UpdateTrail DeleteTrail GetTrail DescribeTrails GetTrailStatus StartLogging StopLogging GetEventSelectors "
        "PutEventSelectors GetInsightSelectors AddTags RemoveTags ListTags",
    ),
    "kms/key:Key": (
        "kms",
        "CreateKey DescribeKey GetKeyPolicy PutKeyPolicy GetKeyRotationStatus EnableKeyRotation DisableKeyRotation "
        "UpdateKeyDescription ScheduleKeyDeletion TagResource UntagResource ListResourceTags",
    ),
    "kms/alias:Alias": ("kms", "CreateAlias UpdateAlias DeleteAlias ListAliases"),
    "ecr/repository:Repository": (
        "ecr",
        "CreateRepository DeleteRepository DescribeRepositories PutImageTagMutability PutImageScanningConfiguration TagResource "
        "UntagResource ListTagsForResource",
    ),
    "ecr/lifecyclePolicy:LifecyclePolicy": ("ecr", "GetLifecyclePolicy PutLifecyclePolicy DeleteLifecyclePolicy"),
    "iam/role:Role": (
        "iam",
        "CreateRole DeleteRole GetRole UpdateRole UpdateRoleDescription UpdateAssumeRolePolicy PutRolePermissionsBoundary "
        "DeleteRolePermissionsBoundary TagRole UntagRole ListRolePolicies ListAttachedRolePolicies ListInstanceProfilesForRole",
    ),
    "iam/rolePolicy:RolePolicy": ("iam", "PutRolePolicy GetRolePolicy DeleteRolePolicy"),
    "iam/rolePolicyAttachment:RolePolicyAttachment": (
        "iam",
        "AttachRolePolicy DetachRolePolicy ListAttachedRolePolicies",
    ),
    "iam/instanceProfile:InstanceProfile": (
        "iam-profile",
        "CreateInstanceProfile DeleteInstanceProfile GetInstanceProfile AddRoleToInstanceProfile RemoveRoleFromInstanceProfile "
        "TagInstanceProfile UntagInstanceProfile",
    ),
    "ec2/vpc:Vpc": (
        "ec2",
        "CreateVpc DeleteVpc DescribeVpcs DescribeVpcAttribute ModifyVpcAttribute DescribeNetworkAcls CreateTags DeleteTags",
    ),
    "ec2/subnet:Subnet": (
        "ec2",
        "CreateSubnet DeleteSubnet DescribeSubnets ModifySubnetAttribute CreateTags DeleteTags",
    ),
    "ec2/routeTable:RouteTable": ("ec2", "CreateRouteTable DeleteRouteTable DescribeRouteTables CreateTags DeleteTags"),
    "ec2/routeTableAssociation:RouteTableAssociation": (
        "ec2",
        "AssociateRouteTable DisassociateRouteTable ReplaceRouteTableAssociation DescribeRouteTables",
    ),
    "ec2/route:Route": ("ec2", "CreateRoute DeleteRoute ReplaceRoute DescribeRouteTables"),
    "ec2/internetGateway:InternetGateway": (
        "ec2",
        "CreateInternetGateway DeleteInternetGateway AttachInternetGateway DetachInternetGateway DescribeInternetGateways CreateTags",
    ),
    "ec2/natGateway:NatGateway": ("ec2", "CreateNatGateway DeleteNatGateway DescribeNatGateways CreateTags"),
    "ec2/eip:Eip": (
        "ec2",
        "AllocateAddress ReleaseAddress DescribeAddresses DescribeAddressesAttribute DisassociateAddress CreateTags",
    ),
    "ec2/vpcEndpoint:VpcEndpoint": (
        "ec2",
        "CreateVpcEndpoint DeleteVpcEndpoints DescribeVpcEndpoints ModifyVpcEndpoint DescribePrefixLists CreateTags DeleteTags",
    ),
    "ec2/flowLog:FlowLog": ("ec2", "CreateFlowLogs DeleteFlowLogs DescribeFlowLogs CreateTags"),
    "ec2/defaultSecurityGroup:DefaultSecurityGroup": (
        "ec2",
        "DescribeSecurityGroups RevokeSecurityGroupIngress RevokeSecurityGroupEgress CreateTags",
    ),
    "ec2/securityGroup:SecurityGroup": (
        "ec2",
        "CreateSecurityGroup DeleteSecurityGroup DescribeSecurityGroups RevokeSecurityGroupEgress DescribeNetworkInterfaces CreateTags",
    ),
    "vpc/securityGroupIngressRule:SecurityGroupIngressRule": (
        "ec2",
        "AuthorizeSecurityGroupIngress RevokeSecurityGroupIngress ModifySecurityGroupRules DescribeSecurityGroupRules CreateTags",
    ),
    "vpc/securityGroupEgressRule:SecurityGroupEgressRule": (
        "ec2",
        "AuthorizeSecurityGroupEgress RevokeSecurityGroupEgress ModifySecurityGroupRules DescribeSecurityGroupRules CreateTags",
    ),
    "ec2/launchTemplate:LaunchTemplate": (
        "ec2",
        "CreateLaunchTemplate CreateLaunchTemplateVersion ModifyLaunchTemplate DeleteLaunchTemplate DescribeLaunchTemplates "
        "DescribeLaunchTemplateVersions RunInstances CreateTags DeleteTags",
    ),
    "secretsmanager/secret:Secret": (
        "secretsmanager",
        "CreateSecret UpdateSecret DeleteSecret DescribeSecret GetResourcePolicy TagResource UntagResource",
    ),
    "cloudwatch/logGroup:LogGroup": (
        "logs",
        "CreateLogGroup DeleteLogGroup DescribeLogGroups PutRetentionPolicy DeleteRetentionPolicy AssociateKmsKey "
        "DisassociateKmsKey TagResource UntagResource ListTagsForResource",
    ),
    "cloudwatch/logMetricFilter:LogMetricFilter": (
        "logs",
        "PutMetricFilter DeleteMetricFilter DescribeMetricFilters",
    ),
    "cloudwatch/metricAlarm:MetricAlarm": (
        "cloudwatch",
        "PutMetricAlarm DeleteAlarms DescribeAlarms TagResource UntagResource ListTagsForResource",
    ),
    "cloudwatch/eventRule:EventRule": (
        "events",
        "PutRule DeleteRule DescribeRule TagResource UntagResource ListTagsForResource",
    ),
    "cloudwatch/eventTarget:EventTarget": ("events", "PutTargets RemoveTargets ListTargetsByRule"),
    "sns/topic:Topic": (
        "sns",
        "CreateTopic DeleteTopic GetTopicAttributes SetTopicAttributes TagResource UntagResource ListTagsForResource",
    ),
    "sns/topicPolicy:TopicPolicy": ("sns", "GetTopicAttributes SetTopicAttributes"),
    "sns/topicSubscription:TopicSubscription": (
        "sns",
        "Subscribe Unsubscribe GetSubscriptionAttributes SetSubscriptionAttributes ListSubscriptionsByTopic",
    ),
    "budgets/budget:Budget": ("budgets", "ViewBudget ModifyBudget TagResource UntagResource ListTagsForResource"),
    "ssm/parameter:Parameter": (
        "ssm",
        "PutParameter GetParameter GetParameters DeleteParameter DescribeParameters AddTagsToResource RemoveTagsFromResource "
        "ListTagsForResource",
    ),
    "lambda/function:Function": (
        "lambda",
        "CreateFunction DeleteFunction GetFunction GetFunctionConfiguration GetFunctionCodeSigningConfig UpdateFunctionCode "
        "UpdateFunctionConfiguration ListVersionsByFunction GetPolicy TagResource UntagResource ListTags",
    ),
    "lambda/permission:Permission": ("lambda", "AddPermission RemovePermission GetPolicy"),
    "autoscaling/group:Group": (
        "autoscaling",
        "CreateAutoScalingGroup UpdateAutoScalingGroup DeleteAutoScalingGroup DescribeAutoScalingGroups DescribeScalingActivities "
        "StartInstanceRefresh CancelInstanceRefresh DescribeInstanceRefreshes AttachLoadBalancerTargetGroups "
        "DetachLoadBalancerTargetGroups CreateOrUpdateTags DeleteTags DescribeTags DescribeWarmPool SetInstanceProtection "
        "SuspendProcesses ResumeProcesses",
    ),
    "autoscaling/policy:Policy": ("autoscaling", "PutScalingPolicy DeletePolicy DescribePolicies"),
    "lb/loadBalancer:LoadBalancer": (
        "elasticloadbalancing",
        "CreateLoadBalancer DeleteLoadBalancer DescribeLoadBalancers DescribeLoadBalancerAttributes ModifyLoadBalancerAttributes "
        "SetSecurityGroups SetSubnets DescribeCapacityReservation AddTags RemoveTags DescribeTags",
    ),
    "lb/targetGroup:TargetGroup": (
        "elasticloadbalancing",
        "CreateTargetGroup DeleteTargetGroup DescribeTargetGroups DescribeTargetGroupAttributes ModifyTargetGroup "
        "ModifyTargetGroupAttributes DescribeTargetHealth AddTags RemoveTags DescribeTags",
    ),
    "lb/listener:Listener": (
        "elasticloadbalancing",
        "CreateListener DeleteListener DescribeListeners DescribeListenerAttributes ModifyListener ModifyListenerAttributes AddTags "
        "RemoveTags DescribeTags",
    ),
    "sagemaker/model:Model": ("sagemaker", "CreateModel DeleteModel DescribeModel AddTags DeleteTags ListTags"),
    "sagemaker/endpointConfiguration:EndpointConfiguration": (
        "sagemaker",
        "CreateEndpointConfig DeleteEndpointConfig DescribeEndpointConfig AddTags DeleteTags ListTags",
    ),
    "sagemaker/endpoint:Endpoint": (
        "sagemaker",
        "CreateEndpoint UpdateEndpoint DeleteEndpoint DescribeEndpoint AddTags DeleteTags ListTags",
    ),
    "appautoscaling/target:Target": (
        "application-autoscaling",
        "RegisterScalableTarget DeregisterScalableTarget DescribeScalableTargets TagResource UntagResource ListTagsForResource",
    ),
    "appautoscaling/policy:Policy": (
        "application-autoscaling",
        "PutScalingPolicy DeleteScalingPolicy DescribeScalingPolicies",
    ),
    "eks/cluster:Cluster": (
        "eks",
        "CreateCluster DeleteCluster DescribeCluster UpdateClusterConfig UpdateClusterVersion DescribeUpdate AssociateEncryptionConfig "
        "TagResource UntagResource ListTagsForResource",
    ),
    "eks/nodeGroup:NodeGroup": (
        "eks",
        "CreateNodegroup DeleteNodegroup DescribeNodegroup UpdateNodegroupConfig UpdateNodegroupVersion DescribeUpdate TagResource",
    ),
    "eks/addon:Addon": ("eks", "CreateAddon DeleteAddon DescribeAddon UpdateAddon DescribeAddonVersions TagResource"),
    "eks/accessEntry:AccessEntry": (
        "eks",
        "CreateAccessEntry DeleteAccessEntry DescribeAccessEntry UpdateAccessEntry TagResource",
    ),
    "eks/accessPolicyAssociation:AccessPolicyAssociation": (
        "eks",
        "AssociateAccessPolicy DisassociateAccessPolicy ListAssociatedAccessPolicies",
    ),
    "eks/podIdentityAssociation:PodIdentityAssociation": (
        "eks",
        "CreatePodIdentityAssociation DeletePodIdentityAssociation DescribePodIdentityAssociation UpdatePodIdentityAssociation "
        "TagResource",
    ),
    "autoscaling/tag:Tag": ("autoscaling", "CreateOrUpdateTags DeleteTags DescribeTags"),
}

NOT_NARROWED = {
    "kms": ("CreateKey", "ListAliases"),
    "ec2": ("Describe",),
    "autoscaling": ("Describe",),
    "elasticloadbalancing": ("Describe",),
    "cloudtrail": ("DescribeTrails",),
    "logs": ("DescribeLogGroups",),
    "ssm": ("DescribeParameters",),
    "sns": ("GetSubscriptionAttributes", "SetSubscriptionAttributes", "Unsubscribe"),
    "application-autoscaling": ("Describe",),
    "eks": ("CreateCluster", "DescribeAddonVersions"),
    "lambda": ("GetFunctionCodeSigningConfig",),
}
"""Service -> beginnings of actions that take no resource, or whose resource has no name yet."""
