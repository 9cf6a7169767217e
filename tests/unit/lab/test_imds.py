"""The metadata service, asked as a host asks it: the test's own address is the instance's."""

from __future__ import annotations

import base64
import json
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from lab import imds
from lab.moto_patches import ec2

Client = Callable[[str], Any]
USER_DATA = b"#!/bin/sh\necho \xc3\xa9\n"
PUBLIC_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl test"
TRUST = '{"Version":"2012-10-17","Statement":[]}'
TOKEN_HEADER = "X-aws-ec2-metadata-token"
TTL_HEADER = "X-aws-ec2-metadata-token-ttl-seconds"


@pytest.fixture
def instance(client: Client, monkeypatch: pytest.MonkeyPatch) -> Any:
    """An instance with all that metadata can tell, whose address is found to be ours."""
    vpc = client("ec2").create_vpc(CidrBlock="10.94.0.0/16")["Vpc"]["VpcId"]
    subnet = client("ec2").create_subnet(VpcId=vpc, CidrBlock="10.94.1.0/24")["Subnet"]["SubnetId"]
    client("ec2").import_key_pair(KeyName="trial", PublicKeyMaterial=PUBLIC_KEY.encode())
    client("iam").create_role(RoleName="trial", AssumeRolePolicyDocument=TRUST)
    client("iam").create_instance_profile(InstanceProfileName="trial")
    client("iam").add_role_to_instance_profile(InstanceProfileName="trial", RoleName="trial")
    made = client("ec2").run_instances(
        ImageId=ec2.debian_image_id("us-east-1"),
        MinCount=1,
        MaxCount=1,
        SubnetId=subnet,
        KeyName="trial",
        UserData=USER_DATA.decode(),
        IamInstanceProfile={"Name": "trial"},
        MetadataOptions={"HttpTokens": "required", "InstanceMetadataTags": "enabled"},
        TagSpecifications=[{"ResourceType": "instance", "Tags": [{"Key": "Name", "Value": "trial"}]}],
    )
    found = ec2.all_instances()[0]
    assert found.id == made["Instances"][0]["InstanceId"]
    assert imds.find_instance(found.private_ip) is found
    assert imds.find_instance("10.94.1.250") is None
    monkeypatch.setattr(imds, "find_instance", lambda address: found)
    return found


@pytest.fixture
def url(instance: Any) -> Iterator[str]:
    """Where the service answers."""
    service = imds.MetadataService("127.0.0.1", 0)
    service.start()
    yield "http://{}:{}".format(*service.address)
    service.close()


def ask(url: str, method: str = "GET", **headers: str) -> tuple[int, bytes]:
    """Send a request; return status and body."""
    request = urllib.request.Request(url, method=method, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, b""


@pytest.fixture
def get(url: str) -> Callable[[str], str]:
    """Asks for a path below /latest with a token."""
    status, token = ask(f"{url}/latest/api/token", "PUT", **{TTL_HEADER: "60"})
    assert status == 200

    def fetch(path: str) -> str:
        status, body = ask(f"{url}/latest/{path}", **{TOKEN_HEADER: token.decode()})
        assert status == 200, path
        return body.decode()

    return fetch


def test_version_1_is_refused_when_tokens_are_required(url: str, instance: Any) -> None:
    assert ask(f"{url}/latest/meta-data/")[0] == 401
    instance.metadata_options.http_tokens = "optional"
    assert ask(f"{url}/latest/meta-data/")[0] == 200
    instance.metadata_options.http_endpoint = "disabled"
    assert ask(f"{url}/latest/meta-data/")[0] == 403


@pytest.mark.parametrize(("headers", "status"), [({}, 400), ({TTL_HEADER: "0"}, 400), ({TTL_HEADER: "21601"}, 400)])
def test_token_needs_a_lifetime(url: str, headers: dict[str, str], status: int) -> None:
    assert ask(f"{url}/latest/api/token", "PUT", **headers)[0] == status


def test_token_is_not_for_proxies_and_not_for_others(url: str) -> None:
    forwarded = {TTL_HEADER: "60", "X-Forwarded-For": "10.94.1.4"}
    assert ask(f"{url}/latest/api/token", "PUT", **forwarded)[0] == 403
    foreign = imds.Tokens().issue("i-0", 60)
    assert ask(f"{url}/latest/meta-data/", **{TOKEN_HEADER: foreign})[0] == 401
    assert ask(f"{url}/latest/meta-data/", **{TOKEN_HEADER: "nonsense"})[0] == 401


def test_token_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = imds.Tokens()
    token = tokens.issue("i-0", 60)
    assert tokens.valid(token, "i-0")
    now = imds.time.time()
    monkeypatch.setattr(imds.time, "time", lambda: now + 61)
    assert not tokens.valid(token, "i-0")


def test_identity(get: Callable[[str], str], instance: Any) -> None:
    assert get("meta-data/instance-id") == instance.id
    assert get("meta-data/local-ipv4") == "10.94.1.4"
    assert get("meta-data/placement/availability-zone").startswith("us-east-1")
    document = json.loads(get("dynamic/instance-identity/document"))
    assert document["region"] == "us-east-1"
    assert document["instanceId"] == instance.id


def test_keys_are_listed_as_ec2_lists_them(get: Callable[[str], str]) -> None:
    assert get("meta-data/public-keys/") == "0=trial"
    assert get("meta-data/public-keys/0/openssh-key").strip() == PUBLIC_KEY


def test_user_data_is_the_bytes_that_were_sent(get: Callable[[str], str]) -> None:
    assert get("user-data").encode() == USER_DATA


def test_tags(get: Callable[[str], str]) -> None:
    assert get("meta-data/tags/instance/Name") == "trial"


def test_role_credentials_work(get: Callable[[str], str], client: Client, instance: Any) -> None:
    assert get("meta-data/iam/security-credentials/") == "trial"
    issued = json.loads(get("meta-data/iam/security-credentials/trial"))
    assert issued == json.loads(get("meta-data/iam/security-credentials/trial"))
    import boto3

    sts = boto3.client(
        "sts",
        region_name="us-east-1",
        aws_access_key_id=issued["AccessKeyId"],
        aws_secret_access_key=issued["SecretAccessKey"],
        aws_session_token=issued["Token"],
    )
    assert sts.get_caller_identity()["Arn"].endswith(f":assumed-role/trial/{instance.id}")


def test_user_data_may_be_binary(client: Client, instance: Any, url: str) -> None:
    instance.user_data = base64.b64encode(b"\x1f\x8b\x00\xff").decode()
    instance.metadata_options.http_tokens = "optional"
    assert ask(f"{url}/latest/user-data") == (200, b"\x1f\x8b\x00\xff")


def test_a_name_that_is_not_there_is_not_found(url: str, instance: Any) -> None:
    instance.metadata_options.http_tokens = "optional"
    assert ask(f"{url}/latest/meta-data/absent")[0] == 404
    assert ask(f"{url}/latest/meta-data/instance-id/below")[0] == 404
