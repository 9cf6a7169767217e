"""What an account holds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def census(aws: Callable[[str], Any]) -> dict[str, list[str]]:
    """Return what each service's own list calls name, whoever made it and however it is tagged."""
    ec2, iam, rds, elbv2, cloudfront = (aws(name) for name in ("ec2", "iam", "rds", "elbv2", "cloudfront"))
    live = {"Name": "instance-state-name", "Values": ["pending", "running", "stopping", "stopped"]}
    instances = [i for r in ec2.describe_instances(Filters=[live])["Reservations"] for i in r["Instances"]]
    lists: dict[str, tuple[list[dict[str, Any]], str]] = {
        "vpcs": (ec2.describe_vpcs()["Vpcs"], "VpcId"),
        "subnets": (ec2.describe_subnets()["Subnets"], "SubnetId"),
        "groups": (ec2.describe_security_groups()["SecurityGroups"], "GroupId"),
        "instances": (instances, "InstanceId"),
        "images": (ec2.describe_images(Owners=["self"])["Images"], "ImageId"),
        "volumes": (ec2.describe_volumes()["Volumes"], "VolumeId"),
        "snapshots": (ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"], "SnapshotId"),
        "addresses": (ec2.describe_addresses()["Addresses"], "AllocationId"),
        "keys": (ec2.describe_key_pairs()["KeyPairs"], "KeyName"),
        "templates": (ec2.describe_launch_templates()["LaunchTemplates"], "LaunchTemplateId"),
        "scaling": (aws("autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"], "AutoScalingGroupName"),
        "databases": (rds.describe_db_instances()["DBInstances"], "DBInstanceIdentifier"),
        "subnet groups": (rds.describe_db_subnet_groups()["DBSubnetGroups"], "DBSubnetGroupName"),
        "balancers": (elbv2.describe_load_balancers()["LoadBalancers"], "LoadBalancerArn"),
        "targets": (elbv2.describe_target_groups()["TargetGroups"], "TargetGroupArn"),
        "buckets": (aws("s3").list_buckets()["Buckets"], "Name"),
        "distributions": (cloudfront.list_distributions()["DistributionList"].get("Items", []), "Id"),
        "controls": (cloudfront.list_origin_access_controls()["OriginAccessControlList"].get("Items", []), "Id"),
        "functions": (cloudfront.list_functions()["FunctionList"].get("Items", []), "Name"),
        "roles": (iam.list_roles()["Roles"], "RoleName"),
        "profiles": (iam.list_instance_profiles()["InstanceProfiles"], "InstanceProfileName"),
        "topics": (aws("sns").list_topics()["Topics"], "TopicArn"),
        "alarms": (aws("cloudwatch").describe_alarms()["MetricAlarms"], "AlarmName"),
        "secrets": (aws("secretsmanager").list_secrets()["SecretList"], "Name"),
        "parameters": (aws("ssm").get_parameters_by_path(Path="/vahanhelp", Recursive=True)["Parameters"], "Name"),
    }
    return {name: sorted(item[key] for item in items) for name, (items, key) in lists.items()}
