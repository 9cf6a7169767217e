"""What roles may do: as much as their policies say, and nothing else."""

from __future__ import annotations

import json
import sys
import urllib.request
from collections.abc import Callable, Iterator
from subprocess import PIPE, Popen
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

REGION = "us-east-1"
BUCKET = "cars-releases"
ACCOUNT = "123456789012"
POLICY = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{BUCKET}/releases/*"},
        {"Effect": "Allow", "Action": ["s3:PutObject"], "Resource": f"arn:aws:s3:::{BUCKET}/backups/*"},
        {"Effect": "Deny", "Action": "s3:*", "Resource": f"arn:aws:s3:::{BUCKET}/releases/secret"},
        {
            "Effect": "Allow",
            "Action": ["ssm:GetParameter", "ssm:GetParameters"],
            "Resource": f"arn:aws:ssm:{REGION}:{ACCOUNT}:parameter/cars/*",
        },
        {
            "Effect": "Allow",
            "Action": "secretsmanager:GetSecretValue",
            "Resource": f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:/cars/backend-??????",
        },
        {"Effect": "Allow", "Action": "s3:DeleteObject", "Resource": "arn:aws:s3:::boats/*"},
        {"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": f"arn:aws:sqs:{REGION}:{ACCOUNT}:cars-email"},
        {
            "Effect": "Allow",
            "Action": "autoscaling:CompleteLifecycleAction",
            "Resource": f"arn:aws:autoscaling:{REGION}:{ACCOUNT}:autoScalingGroup:*:autoScalingGroupName/cars",
        },
        {"Effect": "Allow", "Action": ["cloudwatch:PutMetricData", "apigateway:GET"], "Resource": "*"},
        {
            "Effect": "Allow",
            "Action": ["dynamodb:PutItem", "dynamodb:ConditionCheckItem"],
            "Resource": f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/cars",
        },
        {
            "Effect": "Allow",
            "Action": "dynamodb:Query",
            "Resource": f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/cars/index/*",
        },
        {
            "Effect": "Allow",
            "Action": "ec2:DeleteLaunchTemplateVersions",
            "Resource": f"arn:aws:ec2:{REGION}:{ACCOUNT}:launch-template/lt-cars",
        },
        {
            "Effect": "Allow",
            "Action": "cloudfront:CreateInvalidation",
            "Resource": f"arn:aws:cloudfront::{ACCOUNT}:distribution/CARS",
        },
        {
            "Effect": "Allow",
            "Action": ["lambda:InvokeFunction", "lambda:UpdateAlias"],
            "Resource": f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:cars",
        },
        {
            "Effect": "Allow",
            "Action": "lambda:InvokeFunction",
            "Resource": f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:boats:7",
        },
    ],
}
TRUST = {"Statement": [{"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}]}
Client = Callable[..., Any]
Call = Callable[[Client], Any]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """`lab serve --api-only` as a program of its own, on a free port."""
    with Popen([sys.executable, "-m", "lab.cli", "serve", "--api-only", "--port", "0"], stdout=PIPE, text=True) as api:
        assert api.stdout is not None
        yield api.stdout.readline().removeprefix("ready: ").strip()
        api.terminate()
        assert api.wait(timeout=120) == 0


@pytest.fixture(scope="module")
def administrator(url: str) -> Client:
    """Makes clients that may do everything, and what the role is tried on."""

    def make(service: str) -> Any:
        options: dict[str, Any] = {"endpoint_url": url, "region_name": REGION}
        return boto3.client(service, aws_access_key_id="admin", aws_secret_access_key="-", **options)  # type: ignore[call-overload]

    for bucket in (BUCKET, "boats"):
        make("s3").create_bucket(Bucket=bucket)
    for key in ("releases/1", "releases/secret", "backups/1", "lock.json"):
        make("s3").put_object(Bucket=BUCKET, Key=key, Body=b"x")
    for name in ("/cars/release", "/boats/release"):
        make("ssm").put_parameter(Name=name, Value="1", Type="String")
    for name in ("/cars/backend", "/cars/backend-admin"):
        make("secretsmanager").create_secret(Name=name, SecretString="x")
    for name in ("cars-email", "boats-email"):
        make("sqs").create_queue(QueueName=name)
    make("iam").create_role(RoleName="host", AssumeRolePolicyDocument=json.dumps(TRUST))
    make("iam").put_role_policy(RoleName="host", PolicyName="host", PolicyDocument=json.dumps(POLICY))
    return make


@pytest.fixture(scope="module")
def role(url: str, administrator: Client) -> Client:
    """Makes clients with the credentials of the role."""
    arn = f"arn:aws:iam::{ACCOUNT}:role/host"
    given = administrator("sts").assume_role(RoleArn=arn, RoleSessionName="i-1")["Credentials"]

    def make(service: str, **options: Any) -> Any:
        return boto3.client(
            service,  # type: ignore[call-overload]
            **options,
            endpoint_url=url,
            region_name=REGION,
            aws_access_key_id=given["AccessKeyId"],
            aws_secret_access_key=given["SecretAccessKey"],
            aws_session_token=given["SessionToken"],
        )

    return make


def queue(aws: Client, name: str) -> str:
    """Return the URL of a queue."""
    return f"{aws('sqs').meta.endpoint_url}/{ACCOUNT}/{name}"


def put_in_parts(aws: Client, key: str) -> None:
    """Upload an object in one part."""
    s3, what = aws("s3"), {"Bucket": BUCKET, "Key": key}
    upload = s3.create_multipart_upload(**what)["UploadId"]
    tag = s3.upload_part(**what, UploadId=upload, PartNumber=1, Body=b"x")["ETag"]
    parts = {"Parts": [{"ETag": tag, "PartNumber": 1}]}
    s3.complete_multipart_upload(**what, UploadId=upload, MultipartUpload=parts)


ALLOWED: list[Call] = [
    lambda aws: aws("s3").get_object(Bucket=BUCKET, Key="releases/1"),
    lambda aws: aws("s3").head_object(Bucket=BUCKET, Key="releases/1"),
    lambda aws: aws("s3").put_object(Bucket=BUCKET, Key="backups/2", Body=b"y"),
    lambda aws: put_in_parts(aws, "backups/3"),
    lambda aws: aws("s3").delete_objects(Bucket="boats", Delete={"Objects": [{"Key": "1"}]}),
    lambda aws: aws("ssm").get_parameter(Name="/cars/release"),
    lambda aws: aws("ssm").get_parameters(Names=["/cars/release", "/cars/none"]),
    lambda aws: aws("secretsmanager").get_secret_value(SecretId="/cars/backend"),
    lambda aws: aws("sqs").send_message(QueueUrl=queue(aws, "cars-email"), MessageBody="x"),
    lambda aws: aws("sqs").send_message_batch(
        QueueUrl=queue(aws, "cars-email"), Entries=[{"Id": "1", "MessageBody": "x"}]
    ),
    lambda aws: aws("cloudwatch").put_metric_data(Namespace="x", MetricData=[{"MetricName": "y", "Value": 1}]),
    lambda aws: aws("apigatewayv2").get_apis(),
    lambda aws: aws("sts").get_caller_identity(),
]
FORBIDDEN: list[tuple[str, Call]] = [
    ("AccessDenied", lambda aws: aws("s3").get_object(Bucket=BUCKET, Key="lock.json")),
    ("AccessDenied", lambda aws: aws("s3").get_object(Bucket=BUCKET, Key="releases/secret")),
    # Who may not list a bucket is not told that an object is missing.
    ("AccessDenied", lambda aws: aws("s3").get_object(Bucket=BUCKET, Key="releases/none")),
    ("AccessDenied", lambda aws: aws("s3").list_objects_v2(Bucket=BUCKET)),
    ("AccessDenied", lambda aws: aws("s3").put_object(Bucket=BUCKET, Key="releases/2", Body=b"x")),
    ("AccessDenied", lambda aws: put_in_parts(aws, "releases/2")),
    ("AccessDenied", lambda aws: aws("s3").delete_object(Bucket=BUCKET, Key="backups/1")),
    ("AccessDenied", lambda aws: aws("s3").delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": "backups/1"}]})),
    ("403", lambda aws: aws("s3").head_object(Bucket=BUCKET, Key="lock.json")),
    ("AccessDeniedException", lambda aws: aws("ssm").get_parameter(Name="/boats/release")),
    ("AccessDeniedException", lambda aws: aws("ssm").get_parameters(Names=["/cars/release", "/boats/release"])),
    ("AccessDeniedException", lambda aws: aws("ssm").put_parameter(Name="/cars/release", Value="2", Type="String")),
    ("AccessDeniedException", lambda aws: aws("secretsmanager").get_secret_value(SecretId="/cars/backend-admin")),
    (
        "AccessDeniedException",
        lambda aws: aws("sqs").send_message(QueueUrl=queue(aws, "boats-email"), MessageBody="x"),
    ),
    ("AccessDenied", lambda aws: aws("iam").list_roles()),
    ("UnauthorizedOperation", lambda aws: aws("ec2").describe_instances()),
    (
        "AccessDenied",
        lambda aws: aws("autoscaling").set_desired_capacity(AutoScalingGroupName="cars", DesiredCapacity=1),
    ),
    ("AccessDeniedException", lambda aws: aws("cloudwatch").describe_alarms()),
    ("AccessDeniedException", lambda aws: aws("lambda").list_functions()),
    ("AccessDeniedException", lambda aws: aws("apigatewayv2").create_api(Name="x", ProtocolType="HTTP")),
]


def test_templates_and_distributions_are_known_by_their_ids(role: Client) -> None:
    def outcome(service: str, call: str, **arguments: Any) -> str:
        with pytest.raises(ClientError) as refused:
            getattr(role(service), call)(**arguments)
        return str(refused.value.response["Error"]["Code"])

    template: dict[str, Any] = {"call": "delete_launch_template_versions", "Versions": ["1"]}
    assert outcome("ec2", LaunchTemplateId="lt-boats", **template) == "UnauthorizedOperation"
    assert outcome("ec2", LaunchTemplateId="lt-cars", **template) != "UnauthorizedOperation"
    batch = {"Paths": {"Quantity": 1, "Items": ["/"]}, "CallerReference": "1"}
    invalidation: dict[str, Any] = {"call": "create_invalidation", "InvalidationBatch": batch}
    assert outcome("cloudfront", DistributionId="BOATS", **invalidation) == "AccessDenied"
    assert outcome("cloudfront", DistributionId="CARS", **invalidation) == "NoSuchDistribution"


def test_a_version_is_no_part_of_its_function(role: Client) -> None:
    def outcome(call: str, **arguments: Any) -> str:
        with pytest.raises(ClientError) as refused:
            getattr(role("lambda"), call)(**arguments)
        return str(refused.value.response["Error"]["Code"])

    # There are no functions: whoever may ask for one is told so.
    there_is_none, refused = "ResourceNotFoundException", "AccessDeniedException"
    assert outcome("invoke", FunctionName="cars") == there_is_none
    assert outcome("invoke", FunctionName="cars", Qualifier="7") == refused
    assert outcome("invoke", FunctionName="boats", Qualifier="7") == there_is_none
    assert outcome("invoke", FunctionName="boats", Qualifier="8") == refused
    assert outcome("update_alias", FunctionName="cars", Name="live", FunctionVersion="7") == there_is_none
    assert outcome("update_alias", FunctionName="boats", Name="live", FunctionVersion="7") == refused


def test_an_index_and_what_is_in_a_transaction_are_asked_for(role: Client) -> None:
    def outcome(call: str, **arguments: Any) -> str:
        with pytest.raises(ClientError) as refused:
            getattr(role("dynamodb"), call)(**arguments)
        return str(refused.value.response["Error"]["Code"])

    # There is no table: whoever may ask for it is told so.
    asked = {"KeyConditionExpression": "make = :make", "ExpressionAttributeValues": {":make": {"S": "Tata"}}}
    assert outcome("query", TableName="cars", IndexName="make", **asked) == "ResourceNotFoundException"
    assert outcome("query", TableName="cars", **asked) == "AccessDeniedException"
    item = {"TableName": "cars", "Item": {"pk": {"S": "1"}}}
    key = {"TableName": "cars", "Key": {"pk": {"S": "1"}}}
    check = {"ConditionCheck": {**key, "ConditionExpression": "attribute_exists(pk)"}}
    assert outcome("transact_write_items", TransactItems=[{"Put": item}, check]) != "AccessDeniedException"
    assert outcome("transact_write_items", TransactItems=[{"Put": item}, {"Delete": key}]) == "AccessDeniedException"


@pytest.mark.parametrize("call", ALLOWED)
def test_what_the_policies_allow(role: Client, call: Call) -> None:
    call(role)


@pytest.mark.parametrize(("code", "call"), FORBIDDEN)
def test_what_they_do_not_allow(role: Client, code: str, call: Call) -> None:
    with pytest.raises(ClientError) as refused:
        call(role)
    assert refused.value.response["Error"]["Code"] == code


def test_the_refusal_names_who_what_and_on_what(role: Client) -> None:
    with pytest.raises(ClientError) as refused:
        role("ssm").get_parameter(Name="/boats/release")
    assert (
        f"arn:aws:sts::{ACCOUNT}:assumed-role/host/i-1 is not authorized to perform: ssm:GetParameter "
        f"on resource: arn:aws:ssm:{REGION}:{ACCOUNT}:parameter/boats/release" in str(refused.value)
    )


def test_what_was_refused_is_not_done(role: Client, administrator: Client) -> None:
    with pytest.raises(ClientError):
        role("s3").delete_object(Bucket=BUCKET, Key="lock.json")
    administrator("s3").head_object(Bucket=BUCKET, Key="lock.json")


def test_a_group_is_known_by_its_name(role: Client) -> None:
    hook = {"LifecycleHookName": "launch", "LifecycleActionResult": "CONTINUE", "InstanceId": "i-1"}
    for group, code in (("cars", "ValidationError"), ("boats", "AccessDenied")):
        with pytest.raises(ClientError) as refused:
            role("autoscaling").complete_lifecycle_action(AutoScalingGroupName=group, **hook)
        assert refused.value.response["Error"]["Code"] == code


def test_a_buckets_policy_counts_too(role: Client, administrator: Client) -> None:
    name = "cars-images"
    administrator("s3").create_bucket(Bucket=name)
    administrator("s3").put_object(Bucket=name, Key="a", Body=b"x")
    statement = {
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:role/host"},
        "Action": "s3:GetObject",
        "Resource": f"arn:aws:s3:::{name}/*",
    }
    with pytest.raises(ClientError):
        role("s3").get_object(Bucket=name, Key="a")
    administrator("s3").put_bucket_policy(Bucket=name, Policy=json.dumps({"Statement": [statement]}))
    role("s3").get_object(Bucket=name, Key="a")
    deny = {**statement, "Effect": "Deny", "Principal": "*"}
    administrator("s3").put_bucket_policy(Bucket=name, Policy=json.dumps({"Statement": [statement, deny]}))
    with pytest.raises(ClientError):
        role("s3").get_object(Bucket=name, Key="a")


def test_a_role_that_is_gone_may_nothing(url: str, administrator: Client) -> None:
    iam = administrator("iam")
    iam.create_role(RoleName="gone", AssumeRolePolicyDocument=json.dumps(TRUST))
    arn = f"arn:aws:iam::{ACCOUNT}:role/gone"
    given = administrator("sts").assume_role(RoleArn=arn, RoleSessionName="i-2")["Credentials"]
    iam.delete_role(RoleName="gone")
    client = boto3.client(
        "ssm",
        endpoint_url=url,
        region_name=REGION,
        aws_access_key_id=given["AccessKeyId"],
        aws_secret_access_key=given["SecretAccessKey"],
        aws_session_token=given["SessionToken"],
    )
    with pytest.raises(ClientError) as refused:
        client.get_parameter(Name="/cars/release")
    assert refused.value.response["Error"]["Code"] == "AccessDeniedException"


def test_a_missing_object_is_missing_to_who_may_list_the_bucket(role: Client, administrator: Client) -> None:
    listing = {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": f"arn:aws:s3:::{BUCKET}"}
    document = {"Version": "2012-10-17", "Statement": [listing]}
    iam, policy = administrator("iam"), {"RoleName": "host", "PolicyName": "list"}
    iam.put_role_policy(**policy, PolicyDocument=json.dumps(document))
    with pytest.raises(ClientError) as refused:
        role("s3").get_object(Bucket=BUCKET, Key="releases/none")
    iam.delete_role_policy(**policy)
    assert refused.value.response["Error"]["Code"] == "NoSuchKey"


def test_a_bad_day_is_answered_before_permissions_are(url: str, role: Client) -> None:
    def fail(errors: int) -> None:
        body = json.dumps({"errors": errors}).encode()
        urllib.request.urlopen(urllib.request.Request(f"{url}/vahana-lab/faults", body, method="PUT")).close()

    fail(100)
    try:
        config = Config(retries={"total_max_attempts": 1})
        with pytest.raises(ClientError) as refused:
            role("ssm", config=config).get_parameter(Name="/boats/release")
    finally:
        fail(0)
    assert refused.value.response["Error"]["Code"] == "InternalFailure"


def test_a_secret_is_read_by_whom_its_key_lets(administrator: Client, role: Client) -> None:
    kms, secrets = administrator("kms"), administrator("secretsmanager")
    # Its policy leaves it to the account's, and the role's names no key.
    key = kms.create_key()["KeyMetadata"]["Arn"]
    via = {"kms:ViaService": f"secretsmanager.{REGION}.amazonaws.com", "kms:CallerAccount": ACCOUNT}
    statement = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "kms:Decrypt", "Resource": "*"}

    def outcome(client: Client = role) -> str:
        try:
            return str(client("secretsmanager").get_secret_value(SecretId="/cars/backend")["SecretString"])
        except ClientError as error:
            return str(error.response["Error"]["Code"])

    def let(**condition: str) -> None:
        policy = {"Statement": [{**statement, "Condition": {"StringEquals": {**via, **condition}}}]}
        kms.put_key_policy(KeyId=key, PolicyName="default", Policy=json.dumps(policy))

    secrets.update_secret(SecretId="/cars/backend", KmsKeyId=key)
    try:
        assert (outcome(), outcome(administrator)) == ("AccessDeniedException", "x")
        let(**{"kms:ViaService": f"sqs.{REGION}.amazonaws.com"})
        assert outcome() == "AccessDeniedException"
        let()
        assert outcome() == "x"
        kms.disable_key(KeyId=key)
        assert outcome() == outcome(administrator) == "DecryptionFailure"
        with pytest.raises(ClientError, match="EncryptionFailure"):
            secrets.put_secret_value(SecretId="/cars/backend", SecretString="y")
        with pytest.raises(ClientError, match="EncryptionFailure"):
            secrets.create_secret(Name="/cars/new", SecretString="y", KmsKeyId=key)
    finally:
        secrets.update_secret(SecretId="/cars/backend", KmsKeyId="alias/aws/secretsmanager")
    assert outcome() == "x"


def test_who_gives_auto_scaling_a_template_may_launch_from_it(administrator: Client, role: Client) -> None:
    ec2, iam = administrator("ec2"), administrator("iam")
    iam.create_role(RoleName="instance", AssumeRolePolicyDocument=json.dumps(TRUST))
    iam.create_instance_profile(InstanceProfileName="instance")
    iam.add_role_to_instance_profile(InstanceProfileName="instance", RoleName="instance")
    tags = [{"ResourceType": kind, "Tags": [{"Key": "a", "Value": "b"}]} for kind in ("instance", "volume")]
    data = {"ImageId": "ami-12345678", "IamInstanceProfile": {"Name": "instance"}, "TagSpecifications": tags}
    template = ec2.create_launch_template(LaunchTemplateName="boats", LaunchTemplateData=data)["LaunchTemplate"]
    arn = f"arn:aws:ec2:{REGION}:{ACCOUNT}:launch-template/{template['LaunchTemplateId']}"
    start = {"Effect": "Allow", "Action": "autoscaling:StartInstanceRefresh", "Resource": "*"}
    run = {
        "Effect": "Allow",
        "Action": "ec2:RunInstances",
        "Resource": "*",
        "Condition": {"ArnLike": {"ec2:LaunchTemplate": arn}},
    }
    tag = {
        "Effect": "Allow",
        "Action": "ec2:CreateTags",
        "Resource": f"arn:aws:ec2:{REGION}:{ACCOUNT}:*/*",
        "Condition": {"StringEquals": {"ec2:CreateAction": "RunInstances"}},
    }
    give = {
        "Effect": "Allow",
        "Action": "iam:PassRole",
        "Resource": f"arn:aws:iam::{ACCOUNT}:role/instance",
        "Condition": {"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}},
    }

    def outcome(*statements: dict[str, Any]) -> str:
        document = json.dumps({"Version": "2012-10-17", "Statement": [start, *statements]})
        iam.put_role_policy(RoleName="host", PolicyName="refresh", PolicyDocument=document)
        specification = {"LaunchTemplateId": template["LaunchTemplateId"], "Version": "1"}
        with pytest.raises(ClientError) as refused:
            role("autoscaling").start_instance_refresh(
                AutoScalingGroupName="boats", DesiredConfiguration={"LaunchTemplate": specification}
            )
        return str(refused.value)

    try:
        assert "ec2:RunInstances" in outcome()
        # What tells of the template is no key of CreateTags.
        assert "ec2:CreateTags" in outcome({**run, "Action": ["ec2:RunInstances", "ec2:CreateTags"]}, give)
        assert "iam:PassRole" in outcome(run, tag)
        # There is no group: whoever may is told so.
        assert "AccessDenied" not in outcome(run, tag, give)
    finally:
        iam.delete_role_policy(RoleName="host", PolicyName="refresh")


def test_inline_policies_have_so_much_room(administrator: Client) -> None:
    iam = administrator("iam")
    iam.create_role(RoleName="large", AssumeRolePolicyDocument=json.dumps(TRUST))

    def put(name: str, characters: int) -> None:
        statement = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{'a' * characters}"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [statement]}, indent=8)
        iam.put_role_policy(RoleName="large", PolicyName=name, PolicyDocument=document)

    put("one", 5000)
    # White space does not count, and a policy takes the place of the one of its name.
    put("one", 9000)
    with pytest.raises(ClientError) as refused:
        put("two", 2000)
    assert refused.value.response["Error"]["Code"] == "LimitExceeded"
    put("two", 500)
