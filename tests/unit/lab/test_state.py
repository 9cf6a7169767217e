"""The state survives: what is saved comes back, whatever moto keeps it in."""

from __future__ import annotations

import gc
import hashlib
import itertools
import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from moto.backends import get_backend
from moto.core.base_backend import BackendDict
from moto.s3.models import s3_backends

from lab import state
from lab.moto_patches import ec2
from lab.reconcilers import services

Client = Callable[[str], Any]
CONTENT = b"x" * 100_000


def forget() -> None:
    """Lose everything, as a killed process does."""
    for service in list(BackendDict._instances):
        for account in service.values():
            account.clear()
    s3_backends.bucket_accounts.clear()


def fill_messages(client: Client) -> None:
    """Have queues, a move out of one and a function that works on the other."""
    sqs = client("sqs")
    dead = sqs.create_queue(QueueName="trial-dlq")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    redrive = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 1})
    sqs.create_queue(QueueName="trial", Attributes={"RedrivePolicy": redrive})
    sqs.start_message_move_task(SourceArn=arn)
    role = client("iam").create_role(RoleName="trial", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    client("lambda").create_function(
        FunctionName="trial", Runtime="nodejs24.x", Role=role, Handler="a.b", Code={"ZipFile": b"x"}
    )
    client("lambda").create_event_source_mapping(FunctionName="trial", EventSourceArn=arn.removesuffix("-dlq"))


def fill_services(client: Client, subnet: str, vpc: str) -> None:
    """Have a service with a task, a name for it and an image."""
    client("ecs").create_cluster(clusterName="trial")
    container = {"name": "web", "image": "web"}
    client("ecs").register_task_definition(
        family="web",
        requiresCompatibilities=["FARGATE"],
        networkMode="awsvpc",
        cpu="256",
        memory="512",
        executionRoleArn="arn:aws:iam::123456789012:role/trial",
        containerDefinitions=[container],
    )
    client("servicediscovery").create_private_dns_namespace(Name="trial.internal", Vpc=vpc)
    client("ecs").create_service(
        cluster="trial",
        serviceName="web",
        taskDefinition="web",
        desiredCount=1,
        launchType="FARGATE",
        networkConfiguration={"awsvpcConfiguration": {"subnets": [subnet]}},
    )
    client("ecr").create_repository(repositoryName="web")
    manifest = json.dumps({"mediaType": "application/vnd.oci.image.manifest.v1+json", "layers": []})
    client("ecr").put_image(repositoryName="web", imageManifest=manifest, imageTag="v1")
    services.Services().reconcile()


def fill(client: Client) -> str:
    """Have something of every kind that is hard to keep; return an instance's id."""
    vpc = client("ec2").create_vpc(CidrBlock="10.95.0.0/16")["Vpc"]["VpcId"]
    subnet = client("ec2").create_subnet(VpcId=vpc, CidrBlock="10.95.1.0/24")["Subnet"]["SubnetId"]
    image = client("ssm").get_parameter(Name=ec2.DEBIAN_PARAMETER)["Parameter"]["Value"]
    client("ec2").create_launch_template(LaunchTemplateName="trial", LaunchTemplateData={"ImageId": image})
    client("autoscaling").create_auto_scaling_group(
        AutoScalingGroupName="trial",
        MinSize=0,
        MaxSize=1,
        LaunchTemplate={"LaunchTemplateName": "trial"},
        VPCZoneIdentifier=subnet,
    )
    client("s3").create_bucket(Bucket="trial")
    for _ in range(2):
        client("s3").put_object(Bucket="trial", Key="a/b", Body=CONTENT)
    client("kms").create_key(KeySpec="RSA_2048", KeyUsage="SIGN_VERIFY")
    client("acm").request_certificate(DomainName="cars.example.com", ValidationMethod="DNS")
    client("ssm").put_parameter(Name="/trial/env/release", Value="1", Type="String")
    client("secretsmanager").create_secret(Name="/trial/env/database", SecretString="{}")
    fill_messages(client)
    fill_services(client, subnet, vpc)
    client("sns").create_topic(Name="trial")
    client("route53").create_hosted_zone(Name="example.com", CallerReference="1")
    client("logs").create_log_group(logGroupName="trial")
    instance = client("ec2").run_instances(ImageId=image, MinCount=1, MaxCount=1, SubnetId=subnet)
    return str(instance["Instances"][0]["InstanceId"])


def test_everything_comes_back_and_still_belongs_together(client: Client, tmp_path: Path) -> None:
    instance = fill(client)
    state.save(tmp_path)
    forget()
    assert not client("s3").list_buckets()["Buckets"]

    assert state.load(tmp_path)
    assert client("s3").get_object(Bucket="trial", Key="a/b")["Body"].read() == CONTENT
    assert client("ssm").get_parameter(Name="/trial/env/release")["Parameter"]["Value"] == "1"
    assert client("secretsmanager").get_secret_value(SecretId="/trial/env/database")["SecretString"] == "{}"
    assert client("kms").list_keys()["Keys"]
    assert len(client("sqs").list_queues()["QueueUrls"]) == 2
    (mapping,) = client("lambda").list_event_source_mappings()["EventSourceMappings"]
    functions = get_backend("lambda")["123456789012"]["us-east-1"]
    assert functions.get_function_by_arn(mapping["FunctionArn"]).function_name == "trial"
    client("lambda").delete_function(FunctionName="trial")
    (service,) = client("ecs").describe_services(cluster="trial", services=["web"])["services"]
    assert (service["pendingCount"], service["deployments"][0]["pendingCount"]) == (1, 1)
    assert client("ecr").describe_images(repositoryName="web")["imageDetails"][0]["imageTags"] == ["v1"]
    assert client("servicediscovery").list_namespaces()["Namespaces"][0]["Name"] == "trial.internal"
    described = client("ec2").describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0]
    assert described["PrivateIpAddress"] == "10.95.1.4"
    # The same object from both sides, not a copy on each.
    group = get_backend("autoscaling")["123456789012"]["us-east-1"].autoscaling_groups["trial"]
    assert group.ec2_backend is get_backend("ec2")["123456789012"]["us-east-1"]
    # The next address is a free one.
    more = client("ec2").run_instances(
        ImageId=described["ImageId"], MinCount=1, MaxCount=1, SubnetId=described["SubnetId"]
    )
    assert more["Instances"][0]["PrivateIpAddress"] == "10.95.1.5"


def test_contents_are_written_once_and_go_with_their_objects(client: Client, tmp_path: Path) -> None:
    fill(client)
    state.save(tmp_path)
    objects = list((tmp_path / "objects").iterdir())
    assert [path.name for path in objects] == [f"{hashlib.md5(CONTENT).hexdigest()}-{len(CONTENT)}"]
    written = objects[0].stat().st_mtime_ns
    state.save(tmp_path)
    assert objects[0].stat().st_mtime_ns == written
    client("s3").delete_object(Bucket="trial", Key="a/b")
    state.save(tmp_path)
    assert not list((tmp_path / "objects").iterdir())


def test_no_state_is_an_empty_account(tmp_path: Path) -> None:
    assert not state.load(tmp_path)


@pytest.mark.parametrize("content", [b"", b"nonsense"])
def test_damaged_state_says_what_to_do(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "state.pickle").write_bytes(content)
    with pytest.raises(state.StateError, match="lab down"):
        state.load(tmp_path)


def test_state_of_another_version_says_what_to_do(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client("sns").create_topic(Name="trial")
    state.save(tmp_path)
    monkeypatch.setattr(state, "FORMAT", [1, "another", [3, 13]])
    with pytest.raises(state.StateError, match="another version"):
        state.load(tmp_path)


def test_saver_saves_after_a_change_and_at_the_end(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state, "SETTLE_SECONDS", 0.0)
    saver = state.Saver(tmp_path)
    saver.start()
    client("sns").create_topic(Name="trial")
    saver.changed()
    saver.close()
    forget()
    state.load(tmp_path)
    assert len(client("sns").list_topics()["Topics"]) == 1


def test_a_state_that_changes_all_the_time_is_saved(client: Client, tmp_path: Path) -> None:
    client("sns").create_topic(Name="trial")
    topics, ended = get_backend("sns")["123456789012"]["us-east-1"].topics, threading.Event()
    [topic] = topics.values()

    def change() -> None:
        for number in itertools.count():
            if ended.is_set():
                return
            topics[str(number)] = topic

    changing = threading.Thread(target=change, daemon=True)
    changing.start()
    try:
        state.save(tmp_path)
    finally:
        ended.set()
        changing.join()
    forget()
    assert state.load(tmp_path)
    assert get_backend("sns")["123456789012"]["us-east-1"].topics["0"].name == "trial"


def test_what_was_saved_is_not_looked_through_for_garbage_again(client: Client, tmp_path: Path) -> None:
    """A collection that does stops all threads, the resolver's too: with 600 MB for 1.5 s."""
    fill_messages(client)
    many = [[] for _ in range(100_000)]  # type: ignore[var-annotated]
    assert len(gc.get_objects()) > len(many)
    try:
        state.save(tmp_path)
        assert len(gc.get_objects()) < len(many)
    finally:
        gc.unfreeze()


def test_what_cannot_be_written_is_told_and_leaves_the_former(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client("sns").create_topic(Name="trial")
    state.save(tmp_path)
    former = (tmp_path / "state.pickle").read_bytes()

    def fail(*_arguments: Any) -> None:
        raise ValueError("no such thing")

    monkeypatch.setattr(state, "_write", fail)
    with pytest.raises(state.StateError, match="no such thing"):
        state.save(tmp_path)
    monkeypatch.setattr(state, "_write", lambda *_arguments: time.sleep(60))
    monkeypatch.setattr(state, "COPY_SECONDS", 0.1)
    with pytest.raises(state.StateError, match=r"not done after 0\.1 s"):
        state.save(tmp_path)
    assert (tmp_path / "state.pickle").read_bytes() == former
