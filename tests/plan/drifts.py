"""What somebody else may change behind our back, and what an operator may want otherwise, by tier."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tests.plan.conftest import Account

NAME = "vahanhelp-prod"
PARAMETERS = "/vahanhelp/prod"
ACCOUNT_ID = "123456789012"
Drift = Callable[[Account], None]


# Every tier ----------------------------------------------------------------------------------------------------------


def _group(account: Account, name: str) -> str:
    filters = [{"Name": "group-name", "Values": [f"{NAME}-{name}"]}]
    found = account.client("ec2").describe_security_groups(Filters=filters)["SecurityGroups"]
    return str(found[0]["GroupId"])


def add_security_group_rule(account: Account) -> None:
    """Open SSH to the world by hand."""
    account.client("ec2").authorize_security_group_ingress(
        GroupId=_group(account, "backend"), IpProtocol="tcp", FromPort=22, ToPort=22, CidrIp="0.0.0.0/0"
    )


def open_network_acl(account: Account) -> None:
    """Let everything into the subnets by hand, as AWS does at first."""
    ec2 = account.client("ec2")
    vpcs = ec2.describe_vpcs(Filters=[{"Name": "tag:Name", "Values": [f"{NAME}-vpc"]}])["Vpcs"]
    filters = [{"Name": "vpc-id", "Values": [vpcs[0]["VpcId"]]}, {"Name": "default", "Values": ["true"]}]
    [acl] = ec2.describe_network_acls(Filters=filters)["NetworkAcls"]
    everything = {"Protocol": "-1", "RuleAction": "allow", "Egress": False, "CidrBlock": "0.0.0.0/0"}
    ec2.create_network_acl_entry(NetworkAclId=acl["NetworkAclId"], RuleNumber=50, **everything)


def lose_subnet_tag(account: Account) -> None:
    """Take a tag from one of the subnets."""
    ec2 = account.client("ec2")
    subnet = ec2.describe_subnets(Filters=[{"Name": "cidr-block", "Values": ["10.0.1.0/24"]}])["Subnets"]
    ours = [each["SubnetId"] for each in subnet if any(tag["Key"] == "vahana:app" for tag in each.get("Tags", []))]
    ec2.delete_tags(Resources=ours, Tags=[{"Key": "vahana:subnet"}])


def remove_bucket_policy(account: Account) -> None:
    """Let the bucket of releases be read without TLS."""
    account.client("s3").delete_bucket_policy(Bucket=f"{NAME}-releases-{ACCOUNT_ID}")


# Tiers with a group behind a load balancer ---------------------------------------------------------------------------


def raise_group_maximum(account: Account) -> None:
    """Let the group grow."""
    account.client("autoscaling").update_auto_scaling_group(AutoScalingGroupName=f"{NAME}-backend", MaxSize=9)


def edit_health_path(account: Account) -> None:
    """Let the load balancer ask for another page."""
    elbv2 = account.client("elbv2")
    arn = elbv2.describe_target_groups(Names=[f"{NAME}-backend"])["TargetGroups"][0]["TargetGroupArn"]
    elbv2.modify_target_group(TargetGroupArn=arn, HealthCheckPath="/")


def edit_launch_template(account: Account) -> None:
    """Let the group start larger instances."""
    account.client("ec2").create_launch_template_version(
        LaunchTemplateName=f"{NAME}-backend", SourceVersion="$Latest", LaunchTemplateData={"InstanceType": "t3.large"}
    )


# The full tier: network ----------------------------------------------------------------------------------------------


def _private_route_table(account: Account) -> str:
    filters = [{"Name": "tag:Name", "Values": [f"{NAME}-private-2"]}]
    return str(account.client("ec2").describe_route_tables(Filters=filters)["RouteTables"][0]["RouteTableId"])


def lose_private_route(account: Account) -> None:
    """Take the way out from one of the private subnets."""
    account.client("ec2").delete_route(RouteTableId=_private_route_table(account), DestinationCidrBlock="0.0.0.0/0")


def lead_private_subnet_elsewhere(account: Account) -> None:
    """Take one of the private subnets out of its route table."""
    ec2 = account.client("ec2")
    [table] = ec2.describe_route_tables(RouteTableIds=[_private_route_table(account)])["RouteTables"]
    for link in table["Associations"]:
        ec2.disassociate_route_table(AssociationId=link["RouteTableAssociationId"])


def lose_nat_gateway(account: Account) -> None:
    """Delete the NAT gateway."""
    ec2 = account.client("ec2")
    for gateway in ec2.describe_nat_gateways()["NatGateways"]:
        ec2.delete_nat_gateway(NatGatewayId=gateway["NatGatewayId"])


def lose_endpoint(account: Account) -> None:
    """Delete the gateway endpoint of DynamoDB."""
    ec2 = account.client("ec2")
    for endpoint in ec2.describe_vpc_endpoints()["VpcEndpoints"]:
        if endpoint["ServiceName"].endswith(".dynamodb"):
            ec2.delete_vpc_endpoints(VpcEndpointIds=[endpoint["VpcEndpointId"]])


def lose_endpoint_of_subnet(account: Account) -> None:
    """Let a private subnet reach S3 the long way."""
    ec2 = account.client("ec2")
    for endpoint in ec2.describe_vpc_endpoints()["VpcEndpoints"]:
        if endpoint["ServiceName"].endswith(".s3"):
            ec2.modify_vpc_endpoint(
                VpcEndpointId=endpoint["VpcEndpointId"], RemoveRouteTableIds=[_private_route_table(account)]
            )


def lose_flow_log(account: Account) -> None:
    """Delete the flow log."""
    ec2 = account.client("ec2")
    ec2.delete_flow_logs(FlowLogIds=[item["FlowLogId"] for item in ec2.describe_flow_logs()["FlowLogs"]])


# The full tier: key --------------------------------------------------------------------------------------------------


KEY = f"alias/{NAME}"


def _key(account: Account) -> dict[str, str]:
    return {"KeyId": str(account.client("kms").describe_key(KeyId=KEY)["KeyMetadata"]["Arn"])}


def keep_key_for_ever(account: Account) -> None:
    """Let what encrypts never be renewed."""
    account.client("kms").disable_key_rotation(**_key(account))


def disable_key(account: Account) -> None:
    """Let nobody read a secret."""
    account.client("kms").disable_key(**_key(account))


def keep_alarms_from_key(account: Account) -> None:
    """Let CloudWatch tell nobody."""
    kms, key = account.client("kms"), _key(account)
    policy = json.loads(kms.get_key_policy(**key, PolicyName="default")["Policy"])
    policy["Statement"] = [each for each in policy["Statement"] if "Service" not in each["Principal"]]
    kms.put_key_policy(**key, PolicyName="default", Policy=json.dumps(policy))


def lose_key_alias(account: Account) -> None:
    """Take the key's name, by which nobody but its tags finds it then."""
    account.client("kms").delete_alias(AliasName=KEY)


def take_key_from_secret(account: Account) -> None:
    """Encrypt the cache's password with the key of Secrets Manager itself."""
    account.client("secretsmanager").update_secret(SecretId=f"{PARAMETERS}/cache", KmsKeyId="alias/aws/secretsmanager")


def take_key_from_topic(account: Account) -> None:
    """Let what alarms say be stored as it is."""
    topics = account.client("sns").list_topics()["Topics"]
    [topic] = [each["TopicArn"] for each in topics if each["TopicArn"].endswith(f":{NAME}-alarms")]
    account.client("sns").set_topic_attributes(TopicArn=topic, AttributeName="KmsMasterKeyId", AttributeValue="")


# The full tier: load balancer, firewall, edge ------------------------------------------------------------------------


def _balancer(account: Account) -> str:
    found = account.client("elbv2").describe_load_balancers(Names=[NAME])["LoadBalancers"]
    return str(found[0]["LoadBalancerArn"])


def unprotect_load_balancer(account: Account) -> None:
    """Let the load balancer be deleted by mistake, and write no logs."""
    off = ("deletion_protection.enabled", "access_logs.s3.enabled")
    account.client("elbv2").modify_load_balancer_attributes(
        LoadBalancerArn=_balancer(account), Attributes=[{"Key": key, "Value": "false"} for key in off]
    )


def _edit_web_acl(account: Account, scope: str, edit: Callable[[list[dict[str, Any]]], list[dict[str, Any]]]) -> None:
    wafv2 = account.client("wafv2")
    [listed] = wafv2.list_web_acls(Scope=scope)["WebACLs"]
    named = {"Name": listed["Name"], "Scope": scope, "Id": listed["Id"]}
    found = wafv2.get_web_acl(**named)
    wafv2.update_web_acl(
        **named,
        LockToken=found["LockToken"],
        DefaultAction=found["WebACL"]["DefaultAction"],
        Description=found["WebACL"]["Description"],
        VisibilityConfig=found["WebACL"]["VisibilityConfig"],
        Rules=edit(found["WebACL"]["Rules"]),
    )


def raise_rate_limit(account: Account) -> None:
    """Let an address ask ten times as often."""

    def raised(rules: list[dict[str, Any]]) -> list[dict[str, Any]]:
        for rule in rules:
            if "RateBasedStatement" in rule["Statement"]:
                rule["Statement"]["RateBasedStatement"]["Limit"] *= 10
        return rules

    _edit_web_acl(account, "CLOUDFRONT", raised)


def remove_firewall_rule(account: Account) -> None:
    """Let SQL injection reach the load balancer."""
    _edit_web_acl(account, "REGIONAL", lambda rules: [rule for rule in rules if "SQLi" not in rule["Name"]])


def unprotect_from_requests(account: Account) -> None:
    """Take the web ACL from the load balancer."""
    account.client("wafv2").disassociate_web_acl(ResourceArn=_balancer(account))


def take_firewall_from_distribution(account: Account) -> None:
    """Take the web ACL from CloudFront."""
    cloudfront = account.client("cloudfront")
    [listed] = cloudfront.list_distributions()["DistributionList"]["Items"]
    found = cloudfront.get_distribution_config(Id=listed["Id"])
    cloudfront.update_distribution(
        Id=listed["Id"], IfMatch=found["ETag"], DistributionConfig={**found["DistributionConfig"], "WebACLId": ""}
    )


# The full tier: compute ----------------------------------------------------------------------------------------------


def terminate_first(account: Account) -> None:
    """Let the group terminate instances before their successors serve."""
    account.client("autoscaling").update_auto_scaling_group(
        AutoScalingGroupName=f"{NAME}-backend",
        InstanceMaintenancePolicy={"MinHealthyPercentage": -1, "MaxHealthyPercentage": -1},
    )


def edit_scaling_policy(account: Account) -> None:
    """Let the group grow late."""
    autoscaling = account.client("autoscaling")
    [policy] = autoscaling.describe_policies(AutoScalingGroupName=f"{NAME}-backend")["ScalingPolicies"]
    autoscaling.put_scaling_policy(
        AutoScalingGroupName=f"{NAME}-backend",
        PolicyName=policy["PolicyName"],
        PolicyType="TargetTrackingScaling",
        EstimatedInstanceWarmup=policy["EstimatedInstanceWarmup"],
        TargetTrackingConfiguration={**policy["TargetTrackingConfiguration"], "TargetValue": 90.0},
    )


# The full tier: data -------------------------------------------------------------------------------------------------


def enlarge_replica(account: Account) -> None:
    """Give the read replica another class than its source has."""
    account.client("rds").modify_db_instance(
        DBInstanceIdentifier=f"{NAME}-replica", DBInstanceClass="db.t3.medium", ApplyImmediately=True
    )


def lose_replica(account: Account) -> None:
    """Delete the read replica."""
    account.client("rds").delete_db_instance(DBInstanceIdentifier=f"{NAME}-replica", SkipFinalSnapshot=True)


def keep_backups_for_a_day(account: Account) -> None:
    """Let the database's backups go too early."""
    account.client("rds").modify_db_instance(DBInstanceIdentifier=NAME, BackupRetentionPeriod=1, ApplyImmediately=True)


def allow_plain_connections(account: Account) -> None:
    """Let clients talk to the database without TLS."""
    account.client("rds").modify_db_parameter_group(
        DBParameterGroupName=f"{NAME}-postgres17",
        Parameters=[{"ParameterName": "rds.force_ssl", "ParameterValue": "0", "ApplyMethod": "immediate"}],
    )


def enlarge_cache(account: Account) -> None:
    """Give the cache larger nodes."""
    account.client("elasticache").modify_replication_group(
        ReplicationGroupId=NAME, CacheNodeType="cache.t3.small", ApplyImmediately=True
    )


def lose_images_lifecycle(account: Account) -> None:
    """Let images stay where they are dear."""
    account.client("s3").delete_bucket_lifecycle(Bucket=f"{NAME}-images-{ACCOUNT_ID}")


def refuse_logs(account: Account) -> None:
    """Let nobody write to the bucket of logs."""
    account.client("s3").delete_bucket_policy(Bucket=f"{NAME}-logs-{ACCOUNT_ID}")


# The full tier: messages ---------------------------------------------------------------------------------------------


def _queue(account: Account, name: str) -> str:
    return str(account.client("sqs").get_queue_url(QueueName=f"{NAME}-{name}")["QueueUrl"])


def lose_redrive_policy(account: Account) -> None:
    """Let messages that nobody can process come back for ever."""
    account.client("sqs").set_queue_attributes(QueueUrl=_queue(account, "email"), Attributes={"RedrivePolicy": ""})


def lose_dead_letter_queue(account: Account) -> None:
    """Delete the dead letter queue of one of the queues."""
    account.client("sqs").delete_queue(QueueUrl=_queue(account, "analytics-dlq"))


def _mapping(account: Account, name: str) -> str:
    mappings = account.client("lambda").list_event_source_mappings(FunctionName=f"{NAME}-{name}")["EventSourceMappings"]
    return str(mappings[0]["UUID"])


def stop_worker(account: Account) -> None:
    """Let a queue's messages wait."""
    account.client("lambda").update_event_source_mapping(UUID=_mapping(account, "email"), Enabled=False)


def lose_worker(account: Account) -> None:
    """Let a function work on nothing."""
    account.client("lambda").delete_event_source_mapping(UUID=_mapping(account, "analytics"))


def edit_worker(account: Account) -> None:
    """Give a function less time."""
    account.client("lambda").update_function_configuration(FunctionName=f"{NAME}-notifications", Timeout=3)


def forbid_worker(account: Account) -> None:
    """Take a function's permissions."""
    account.client("iam").delete_role_policy(RoleName=f"{NAME}-function-email", PolicyName="function")


# The full tier: monitoring and audit ---------------------------------------------------------------------------------


def raise_alarm_threshold(account: Account) -> None:
    """Let an alarm go off too late."""
    cloudwatch = account.client("cloudwatch")
    [alarm] = cloudwatch.describe_alarms(AlarmNames=[f"{NAME}-backend-latency"])["MetricAlarms"]
    given = cloudwatch.meta.service_model.operation_model("PutMetricAlarm").input_shape.members
    kept = {key: value for key, value in alarm.items() if key in given and value not in ([], "", None)}
    cloudwatch.put_metric_alarm(**{**kept, "Threshold": 30.0})


def lose_alarm(account: Account) -> None:
    """Delete an alarm of one of the queues."""
    cloudwatch = account.client("cloudwatch")
    named = cloudwatch.describe_alarms(AlarmNamePrefix=f"{NAME}-queue-age")["MetricAlarms"]
    cloudwatch.delete_alarms(AlarmNames=[named[0]["AlarmName"]])


def edit_dashboard(account: Account) -> None:
    """Take the last picture from the dashboard."""
    cloudwatch = account.client("cloudwatch")
    body = json.loads(cloudwatch.get_dashboard(DashboardName=NAME)["DashboardBody"])
    cloudwatch.put_dashboard(DashboardName=NAME, DashboardBody=json.dumps({**body, "widgets": body["widgets"][:-1]}))


def lose_log_retention(account: Account) -> None:
    """Let the hosts' logs stay for ever."""
    account.client("logs").delete_retention_policy(logGroupName=f"{PARAMETERS}/backend")


def stop_trail(account: Account) -> None:
    """Let nobody know who did what."""
    account.client("cloudtrail").stop_logging(Name=NAME)


def raise_budget(account: Account) -> None:
    """Let nobody be told of what it costs."""
    budgets = account.client("budgets")
    budget = budgets.describe_budget(AccountId=ACCOUNT_ID, BudgetName=NAME)["Budget"]
    given = ("BudgetName", "BudgetType", "TimeUnit", "CostTypes", "CostFilters")
    kept = {key: budget[key] for key in given if budget.get(key)}
    budgets.update_budget(AccountId=ACCOUNT_ID, NewBudget={**kept, "BudgetLimit": {"Amount": "100000", "Unit": "USD"}})


# The serverless tier -------------------------------------------------------------------------------------------------


def unprotect_table(account: Account) -> None:
    """Let the table be deleted."""
    account.client("dynamodb").update_table(TableName=NAME, DeletionProtectionEnabled=False)


def stop_backups(account: Account) -> None:
    """Let the table not be restored."""
    account.client("dynamodb").update_continuous_backups(
        TableName=NAME, PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": False}
    )


def lose_index(account: Account) -> None:
    """Let a search have nothing to look in."""
    account.client("dynamodb").update_table(
        TableName=NAME, GlobalSecondaryIndexUpdates=[{"Delete": {"IndexName": "price"}}]
    )


def _api(account: Account) -> dict[str, str]:
    [api] = account.client("apigatewayv2").get_apis()["Items"]
    return {"ApiId": str(api["ApiId"])}


def answer_everything(account: Account) -> None:
    """Add a route of one's own to the API."""
    client, api = account.client("apigatewayv2"), _api(account)
    [integration] = client.get_integrations(**api)["Items"]
    client.create_route(**api, RouteKey="$default", Target=f"integrations/{integration['IntegrationId']}")


def throttle_api(account: Account) -> None:
    """Let the API answer less."""
    settings = {"ThrottlingRateLimit": 1.0, "ThrottlingBurstLimit": 1}
    account.client("apigatewayv2").update_stage(**_api(account), StageName="$default", DefaultRouteSettings=settings)


def edit_api_function(account: Account) -> None:
    """Give the function less memory: what is in service has still as much."""
    account.client("lambda").update_function_configuration(FunctionName=f"{NAME}-api", MemorySize=128)


def forbid_api(account: Account) -> None:
    """Take away what lets API Gateway ask the function."""
    account.client("lambda").remove_permission(FunctionName=f"{NAME}-api", StatementId="http-api", Qualifier="live")


def point_elsewhere(account: Account) -> None:
    """Let the API's functions look for another table."""
    account.client("ssm").put_parameter(Name=f"{PARAMETERS}/api/table", Value="elsewhere", Overwrite=True)


def leave_network(account: Account) -> None:
    """Take the function that answers out of its network, where the cache is."""
    outside: dict[str, list[str]] = {"SubnetIds": [], "SecurityGroupIds": []}
    account.client("lambda").update_function_configuration(FunctionName=f"{NAME}-api", VpcConfig=outside)


def stop_schedule(account: Account) -> None:
    """Let nobody ask the sweep."""
    account.client("events").disable_rule(Name=f"{NAME}-sweep")


# The microservices tier ----------------------------------------------------------------------------------------------


def move_image_tags(account: Account) -> None:
    """Let a version be another image tomorrow."""
    account.client("ecr").put_image_tag_mutability(repositoryName=f"{NAME}/auth", imageTagMutability="MUTABLE")


def keep_every_image(account: Account) -> None:
    """Let images of a service pile up."""
    account.client("ecr").delete_lifecycle_policy(repositoryName=f"{NAME}/cars")


def lose_path(account: Account) -> None:
    """Let nothing lead to a service."""
    elbv2 = account.client("elbv2")
    [group] = elbv2.describe_target_groups(Names=[f"{NAME}-cars"])["TargetGroups"]
    listeners = elbv2.describe_listeners(LoadBalancerArn=group["LoadBalancerArns"][0])["Listeners"]
    for listener in listeners:
        for rule in elbv2.describe_rules(ListenerArn=listener["ListenerArn"])["Rules"]:
            if rule["Actions"][0].get("TargetGroupArn") == group["TargetGroupArn"] and not rule["IsDefault"]:
                elbv2.delete_rule(RuleArn=rule["RuleArn"])


def _scaled(service: str) -> dict[str, Any]:
    dimension = "ecs:service:DesiredCount"
    return {
        "ServiceNamespace": "ecs",
        "ResourceId": f"service/{NAME}/{service}",
        "ScalableDimension": dimension,
    }


def raise_service_maximum(account: Account) -> None:
    """Let a service grow without end."""
    account.client("application-autoscaling").register_scalable_target(**_scaled("cars"), MaxCapacity=50)


def lose_service_scaling(account: Account) -> None:
    """Let a service not follow its CPU."""
    scaling = account.client("application-autoscaling")
    [policy] = scaling.describe_scaling_policies(**_scaled("auth"))["ScalingPolicies"]
    scaling.delete_scaling_policy(**_scaled("auth"), PolicyName=policy["PolicyName"])


def keep_failed_deployments(account: Account) -> None:
    """Let a deployment that fails stay."""
    breaker = {"enable": False, "rollback": False}
    account.client("ecs").update_service(
        cluster=NAME, service="payment", deploymentConfiguration={"deploymentCircuitBreaker": breaker}
    )


def forbid_service(account: Account) -> None:
    """Let a service tell no queue."""
    account.client("iam").delete_role_policy(RoleName=f"{NAME}-service-cars", PolicyName="service")


def remember_names_for_long(account: Account) -> None:
    """Let services ask for each other where they were an hour ago."""
    client = account.client("servicediscovery")
    [found] = [each for each in client.list_services()["Services"] if each["Name"] == "auth"]
    client.update_service(Id=found["Id"], Service={"DnsConfig": {"DnsRecords": [{"Type": "A", "TTL": 3600}]}})


DRIFTS: dict[str, list[Drift]] = {
    "basic": [
        add_security_group_rule,
        open_network_acl,
        raise_group_maximum,
        remove_bucket_policy,
        edit_health_path,
        lose_subnet_tag,
        edit_launch_template,
    ],
    "minimal": [add_security_group_rule, remove_bucket_policy, lose_subnet_tag],
    "full": [
        add_security_group_rule,
        lose_subnet_tag,
        take_key_from_secret,
        keep_key_for_ever,
        keep_alarms_from_key,
        disable_key,
        # By its alias the others find it.
        lose_key_alias,
        lose_private_route,
        lead_private_subnet_elsewhere,
        lose_nat_gateway,
        lose_endpoint,
        lose_endpoint_of_subnet,
        lose_flow_log,
        unprotect_load_balancer,
        raise_rate_limit,
        remove_firewall_rule,
        unprotect_from_requests,
        take_firewall_from_distribution,
        edit_scaling_policy,
        terminate_first,
        enlarge_replica,
        lose_replica,
        keep_backups_for_a_day,
        allow_plain_connections,
        enlarge_cache,
        lose_images_lifecycle,
        refuse_logs,
        lose_redrive_policy,
        lose_dead_letter_queue,
        stop_worker,
        lose_worker,
        edit_worker,
        forbid_worker,
        raise_alarm_threshold,
        lose_alarm,
        take_key_from_topic,
        edit_dashboard,
        lose_log_retention,
        stop_trail,
        raise_budget,
    ],
    "serverless": [
        unprotect_table,
        stop_backups,
        lose_index,
        answer_everything,
        throttle_api,
        edit_api_function,
        leave_network,
        forbid_api,
        point_elsewhere,
        stop_schedule,
        forbid_worker,
        lose_alarm,
    ],
    "microservices": [
        move_image_tags,
        keep_every_image,
        lose_path,
        raise_service_maximum,
        lose_service_scaling,
        keep_failed_deployments,
        forbid_service,
        remember_names_for_long,
    ],
}
EDITED: dict[str, dict[str, Any]] = {
    "basic": {
        "database_instance_class": "db.t3.small",
        "compute_max_size": 6,
        "monitoring_database_free_storage": 2147483648,
        "load_balancer_health_check_path": "/",
        "compute_instance_type": "t3.small",
        "storage_noncurrent_days": 30,
    },
    "minimal": {
        "network_public_sources": ["192.0.2.0/24"],
        "monitoring_email": "operators@example.com",
        "storage_noncurrent_days": 30,
    },
    "full": {
        "network_nat_gateways": "per_zone",
        "storage_logs_days": 30,
        "storage_images_infrequent_days": 60,
        "compute_cpu_target": 50,
        "firewall_rate_limit": 10000,
        "database_backup_retention_days": 14,
        "database_read_replica": False,
        "cache_replicas": 1,
        "queue_names": ["email", "notifications"],
        "functions_timeout": 60,
        "monitoring_log_retention_days": 90,
        "audit_budget": 500,
    },
    "serverless": {
        "api_memory": 1024,
        "api_rate_limit": 50,
        "api_log_days": 90,
        "api_sweep_schedule": "rate(5 minutes)",
        "api_environment": {"CARS_PER_PAGE": "10"},
        "table_point_in_time_recovery": False,
        "cache_replicas": 1,
        "queue_names": ["email", "notifications"],
    },
    "microservices": {
        "containers_memory": 1024,
        "containers_max_tasks": 6,
        "containers_log_days": 90,
        "containers_keep_images": 5,
        "containers_scale_cpu": 50,
    },
}


def few[T](by_tier: Mapping[str, Sequence[T]], most: int) -> list[tuple[str, list[T]]]:
    """Return the tiers with a few of their own at a time; those next to each other, of one layer, are apart."""
    return [
        (tier, list(every[first :: -(-len(every) // most)]))
        for tier, every in by_tier.items()
        for first in range(-(-len(every) // most))
    ]
