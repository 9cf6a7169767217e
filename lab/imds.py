"""The instance metadata service, version 2, as hosts see it at 169.254.169.254.

Paths and answers follow
https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-categories.html. Hosts are told apart by their
source address: VPCs do not overlap here, so a private address names one instance.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import logging
import secrets
import threading
import time
from datetime import UTC, datetime
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import Any, ClassVar

from moto.autoscaling import autoscaling_backends
from moto.iam import iam_backends
from moto.sts import sts_backends

from lab import settings
from lab.metadata_server import MetadataServer
from lab.moto_patches import ec2
from lab.moto_patches.ec2 import State

TOKEN_SECONDS_MAX = 21600
"""https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html: one second to six hours."""
CREDENTIAL_SECONDS = 6 * 3600
RENEW_BEFORE = 900
"""Seconds before their end when new credentials are given out, so that a client never holds dying ones."""

Tree = dict[str, Any]
"""Names to texts, deeper trees, or functions that make either when asked."""

_log = logging.getLogger("lab.imds")


class Tokens:
    """Session tokens that prove themselves: none need be remembered, and none works on another instance."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)

    def issue(self, instance_id: str, seconds: int) -> str:
        """Make a token that an instance may use for some seconds."""
        until = str(int(time.time()) + seconds)
        return base64.urlsafe_b64encode(f"{until}.{self._sign(instance_id, until)}".encode()).decode()

    def valid(self, token: str, instance_id: str) -> bool:
        """Was the token given to this instance, and does it still hold?"""
        try:
            until, signature = base64.urlsafe_b64decode(token).decode().split(".")
        except ValueError:
            return False
        return hmac.compare_digest(signature, self._sign(instance_id, until)) and int(until) > time.time()

    def _sign(self, instance_id: str, until: str) -> str:
        return hmac.new(self._key, f"{instance_id} {until}".encode(), hashlib.sha256).hexdigest()


class Credentials:
    """Credentials of the roles of instances and tasks, kept until shortly before their end."""

    def __init__(self) -> None:
        self._issued: dict[tuple[str, str], Any] = {}
        self._lock = threading.Lock()

    def of(self, instance: Any, role: Any) -> dict[str, str]:
        """The credentials document of an instance's role, or a task's."""
        with self._lock:
            issued = self._issued.get((instance.id, role.arn))
            now = datetime.now(UTC)
            if issued is None or (_utc(issued.expiration) - now).total_seconds() < RENEW_BEFORE:
                issued = sts_backends[settings.ACCOUNT_ID]["aws"].assume_role(
                    region_name=instance.region_name,
                    role_session_name=instance.id,
                    role_arn=role.arn,
                    policy="",
                    duration=CREDENTIAL_SECONDS,
                    external_id="",
                )
                self._issued[instance.id, role.arn] = issued
        return {
            "Code": "Success",
            "LastUpdated": _stamp(now),
            "Type": "AWS-HMAC",
            "AccessKeyId": issued.access_key_id,
            "SecretAccessKey": issued.secret_access_key,
            "Token": issued.session_token,
            "Expiration": _stamp(_utc(issued.expiration)),
        }


def find_instance(address: str) -> Any | None:
    """The instance whose host has a private address."""
    for instance in ec2.all_instances():
        alive = ec2.state_of(instance) in (State.PENDING, State.RUNNING, State.STOPPING)
        if alive and any(nic.private_ip_address == address for nic in instance.nics.values()):
            return instance
    return None


def metadata(instance: Any, credentials: Credentials) -> Tree:
    """Everything below /latest/meta-data for an instance."""
    region = instance.region_name
    groups = list(instance.nics[0].group_set)
    tree: Tree = {
        "ami-id": instance.image_id,
        "ami-launch-index": str(instance.ami_launch_index),
        "hostname": instance.private_dns_name,
        "instance-action": "none",
        "instance-id": instance.id,
        "instance-life-cycle": instance.lifecycle or "on-demand",
        "instance-type": instance.instance_type,
        "local-hostname": instance.private_dns_name,
        "local-ipv4": instance.private_ip,
        "mac": instance.nics[0].mac_address,
        "placement": {
            "availability-zone": instance.placement.zone,
            "availability-zone-id": instance.nics[0].subnet.availability_zone_id,
            "region": region,
        },
        "reservation-id": next(
            each.id for each in instance.ec2_backend.all_reservations() if instance in each.instances
        ),
        "security-groups": "\n".join(sorted(group.name for group in groups)),
        "services": {"domain": "amazonaws.com", "partition": "aws"},
        "network": {
            "interfaces": {"macs": {nic.mac_address: _interface(nic) for nic in instance.nics.values()}},
        },
    }
    if instance.public_ip:
        tree |= {"public-hostname": instance.public_dns_name, "public-ipv4": instance.public_ip}
    if key := instance.ec2_backend.key_pairs.get(instance.key_name):
        # The listing of public-keys is "0=name", its path only "0": see _listing.
        tree["public-keys"] = {f"0={key.key_name}": {"openssh-key": key.public_key.strip() + "\n"}}
    if profile := _profile(instance):
        information = {
            "Code": "Success",
            "LastUpdated": _stamp(datetime.now(UTC)),
            "InstanceProfileArn": profile.arn,
            "InstanceProfileId": profile.id,
        }
        tree["iam"] = {
            "info": json.dumps(information, indent=2),
            "security-credentials": {
                role.name: lambda role=role: json.dumps(credentials.of(instance, role), indent=2)
                for role in profile.roles
            },
        }
    if instance.metadata_options.instance_metadata_tags == "enabled":
        tree["tags"] = {"instance": {tag["key"]: tag["value"] for tag in instance.get_tags()}}
    if state := _lifecycle_state(instance):
        tree["autoscaling"] = {"target-lifecycle-state": state}
    return tree


def _interface(nic: Any) -> Tree:
    vpc = nic.ec2_backend.get_vpc(nic.vpc_id)
    return {
        "device-number": str(nic.device_index),
        "interface-id": nic.id,
        "local-ipv4s": nic.private_ip_address,
        "mac": nic.mac_address,
        "owner-id": settings.ACCOUNT_ID,
        "security-group-ids": "\n".join(sorted(group.id for group in nic.group_set)),
        "subnet-id": nic.subnet.id,
        "subnet-ipv4-cidr-block": nic.subnet.cidr_block,
        "vpc-id": nic.vpc_id,
        "vpc-ipv4-cidr-block": vpc.cidr_block,
    }


def _profile(instance: Any) -> Any | None:
    arn = (instance.iam_instance_profile or {}).get("Arn")
    profiles = iam_backends[settings.ACCOUNT_ID]["aws"].instance_profiles.values()
    return next((profile for profile in profiles if profile.arn == arn), None)


def _lifecycle_state(instance: Any) -> str | None:
    """What Auto Scaling wants of the instance: it moves to InService until it is to be terminated."""
    for backend in list(autoscaling_backends[settings.ACCOUNT_ID].values()):
        for state in backend.describe_auto_scaling_instances([instance.id]):
            return "Terminated" if state.lifecycle_state.startswith("Terminat") else "InService"
    return None


def identity_document(instance: Any) -> str:
    """The instance identity document (the lab signs nothing)."""
    document = {
        "accountId": settings.ACCOUNT_ID,
        "architecture": instance.architecture,
        "availabilityZone": instance.placement.zone,
        "imageId": instance.image_id,
        "instanceId": instance.id,
        "instanceType": instance.instance_type,
        "pendingTime": _stamp(instance.launch_time),
        "privateIp": instance.private_ip,
        "region": instance.region_name,
        "version": "2017-09-30",
    }
    return json.dumps(document, indent=2)


def lookup(tree: Tree, path: list[str]) -> str | None:
    """Find a text, or the listing of a directory, in a tree; None if there is nothing of that name."""
    node: Any = tree
    for name in path:
        if not isinstance(node, dict):
            return None
        # "0=name" is shown in listings, asked for as "0".
        node = node.get(name, next((value for key, value in node.items() if key.split("=")[0] == name), None))
        if callable(node):
            node = node()
    if isinstance(node, dict):
        directories = (f"{key}/" if isinstance(value, dict) and "=" not in key else key for key, value in node.items())
        return "\n".join(directories)
    return node if node is None else str(node)


class Handler(BaseHTTPRequestHandler):
    """Answers one request of a host."""

    server_version = "EC2ws"
    sys_version = ""
    protocol_version = "HTTP/1.1"
    tokens: ClassVar[Tokens]
    credentials: ClassVar[Credentials]

    def do_PUT(self) -> None:
        """Give out a session token."""
        instance = find_instance(self.client_address[0])
        if instance is None or self.path != "/latest/api/token":
            return self._answer(HTTPStatus.NOT_FOUND)
        if "X-Forwarded-For" in self.headers:
            # Whoever comes through a proxy is not the host itself.
            return self._answer(HTTPStatus.FORBIDDEN)
        wanted = self.headers.get("X-aws-ec2-metadata-token-ttl-seconds", "")
        if not wanted.isdigit() or not 1 <= int(wanted) <= TOKEN_SECONDS_MAX:
            return self._answer(HTTPStatus.BAD_REQUEST)
        token = self.tokens.issue(instance.id, int(wanted))
        return self._answer(HTTPStatus.OK, token, {"X-aws-ec2-metadata-token-ttl-seconds": wanted})

    def do_GET(self) -> None:
        """Give out metadata, user data or the identity document."""
        instance = find_instance(self.client_address[0])
        if instance is None:
            return self._answer(HTTPStatus.NOT_FOUND)
        options = instance.metadata_options
        if options.http_endpoint == "disabled":
            return self._answer(HTTPStatus.FORBIDDEN)
        token = self.headers.get("X-aws-ec2-metadata-token")
        if token is None and options.http_tokens == "required":
            return self._answer(HTTPStatus.UNAUTHORIZED)
        if token is not None and not self.tokens.valid(token, instance.id):
            return self._answer(HTTPStatus.UNAUTHORIZED)
        text = self._find(instance)
        return self._answer(HTTPStatus.OK, text) if text is not None else self._answer(HTTPStatus.NOT_FOUND)

    def _find(self, instance: Any) -> str | bytes | None:
        path = [part for part in self.path.split("?")[0].split("/") if part]
        if not path:
            return "1.0\n2009-04-04\n2021-03-23\nlatest"
        # Each version has the same content here.
        match path[1:]:
            case []:
                return "dynamic\nmeta-data\nuser-data"
            case ["user-data"]:
                return base64.b64decode(str(instance.user_data)) if instance.user_data else None
            case ["meta-data", *rest]:
                return lookup(metadata(instance, self.credentials), rest)
            case ["dynamic", *rest]:
                document = {"document": lambda: identity_document(instance)}
                return lookup({"instance-identity": document}, rest)
        return None

    def _answer(self, status: HTTPStatus, body: str | bytes = "", headers: dict[str, str] | None = None) -> None:
        content = body.encode() if isinstance(body, str) else body
        self.send_response(status)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(content)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Keep requests out of the log, unless it is asked for in full."""
        _log.debug("%s %s", self.client_address[0], format % args)


class MetadataService(MetadataServer):
    """The metadata server of all hosts."""

    def __init__(self, address: str = settings.METADATA_ADDRESS, port: int = settings.METADATA_PORT) -> None:
        handler = type("Handler", (Handler,), {"tokens": Tokens(), "credentials": Credentials()})
        super().__init__("imds", (address, port), handler)


def _utc(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _stamp(moment: datetime) -> str:
    return _utc(moment).strftime("%Y-%m-%dT%H:%M:%SZ")
