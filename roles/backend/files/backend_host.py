"""What a backend host knows (its configuration) and what it fetches from AWS.

Two files configure a host, neither of them secret:

* /etc/vahana/backend.json, written by the role `backend`: the user, directories and limits of the service.
* /etc/vahana/boot.json, written by the instance's user data or by the role: the environment the host belongs to.

AWS is called as the instance (its role, from the instance metadata service). Nothing here names an endpoint.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import re
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError, NoCredentialsError
from botocore.exceptions import ConnectionError as AwsConnectionError

CONFIG_FILE = Path("/etc/vahana/backend.json")
BOOT_FILE = Path("/etc/vahana/boot.json")
BOOT_BEGAN_FILE = Path("/run/vahana-boot-began")
RUNTIME_DIRECTORY = Path("/run/backend")
STATE_DIRECTORY = Path("/var/lib/vahana")
LOCK_FILE = Path("/run/lock/backend-release")

EXIT_FAILED = 1
EXIT_TRY_AGAIN = 75
"""EX_TEMPFAIL of sysexits.h: the cause may pass by itself, as a network that is not up yet."""

VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,127}")
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
COMPUTED_VARIABLES = frozenset({"APP_VERSION", "DATABASE_READ_URL", "DATABASE_URL", "NODE_ENV", "PORT", "REDIS_URL"})
"""Variables that this module computes and a secret must not carry."""


class HostError(Exception):
    """Something that a person or a later attempt must mend; the text is one line and says what to do.

    Attributes:
        passing: whether the same call may succeed later with nothing changed.
    """

    def __init__(self, message: str, *, passing: bool = False) -> None:
        super().__init__(message)
        self.passing = passing


def say(message: str, *, error: bool = False) -> None:
    """Write one line to standard error: to the journal with its priority, to a person with a word."""
    # https://www.freedesktop.org/software/systemd/man/latest/sd-daemon.html: 3 is an error, 6 information.
    prefixes = ("<6>", "<3>") if "JOURNAL_STREAM" in os.environ else ("", "error: ")
    print(f"{prefixes[error]}{message}", file=sys.stderr, flush=True)


# --- configuration -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Boot:
    """The environment a host belongs to, from /etc/vahana/boot.json.

    Attributes:
        region: AWS region.
        port: TCP port the backend listens on.
        releases_bucket: S3 bucket of the releases.
        parameter_prefix: path of the environment's parameters in SSM, as /app/env.
        secrets: Secrets Manager ids; each holds a JSON object of variables for the application.
        database: {"engine": "sqlite", "path"} or {"engine": "postgres", "parameter"} (SSM name).
        cache: {"parameter"} (SSM name), if there is a cache.
        auto_scaling_group: name of the group that launched the host, if one did.
        lifecycle_hook: name of the launch hook that waits for the host, if there is one.
        queues: URLs of the queues that the application sends to, by name.
        images_bucket: S3 bucket in which the application keeps images, if there is one.
        release: the release that the host is launched with; without it the approved one (parameter_prefix/release). It
            counts until the launch is answered: what is deployed later survives a reboot.
    """

    region: str
    port: int
    releases_bucket: str
    parameter_prefix: str
    secrets: tuple[str, ...]
    database: dict[str, str]
    auto_scaling_group: str | None
    lifecycle_hook: str | None
    queues: dict[str, str]
    release: str | None = None
    cache: dict[str, str] | None = None
    images_bucket: str | None = None

    @classmethod
    def load(cls, path: Path) -> Boot:
        """Read and check the file.

        Raises:
            HostError: it is missing or wrong; all faults at once.
        """
        data = _read_json(path, "the instance's user data or the role backend (backend_boot_config) writes it")
        faults: list[str] = []

        def take(name: str, kind: type, *, optional: bool = False) -> Any:
            value = data.get(name)
            if value is None and optional:
                return None
            if not isinstance(value, kind) or isinstance(value, bool) or value in ("", {}):
                faults.append(f"'{name}' must be {_KINDS[kind]}")
            return value

        boot = cls(
            region=take("region", str),
            port=take("port", int),
            releases_bucket=take("releases_bucket", str),
            parameter_prefix=take("parameter_prefix", str),
            secrets=tuple(take("secrets", list) or ()),
            database=take("database", dict),
            auto_scaling_group=take("auto_scaling_group", str, optional=True),
            lifecycle_hook=take("lifecycle_hook", str, optional=True),
            queues=take("queues", dict, optional=True) or {},
            release=take("release", str, optional=True),
            cache=take("cache", dict, optional=True),
            images_bucket=take("images_bucket", str, optional=True),
        )
        if isinstance(boot.port, int) and not 0 < boot.port < 65536:
            faults.append("'port' must be between 1 and 65535")
        if isinstance(boot.release, str) and not VERSION.fullmatch(boot.release):
            faults.append(f"'release' is no release name: '{boot.release}'")
        if isinstance(boot.database, dict) and boot.database:
            wanted = {"sqlite": "path", "postgres": "parameter"}.get(boot.database.get("engine", ""))
            if wanted is None:
                faults.append("'database.engine' must be sqlite or postgres")
            elif not boot.database.get(wanted):
                faults.append(f"'database.{wanted}' is missing")
        if isinstance(boot.cache, dict) and boot.cache and not boot.cache.get("parameter"):
            faults.append("'cache.parameter' is missing")
        if faults:
            raise HostError(f"{path}: {'; '.join(faults)}")
        return boot


_KINDS: dict[type, str] = {str: "a text", int: "a whole number", list: "a list", dict: "an object"}


@dataclass(frozen=True)
class Host:
    """The service on this host, from /etc/vahana/backend.json.

    Attributes:
        app: the application's name.
        user: the user it runs as.
        root: directory of releases, `current`, `previous` and `shared`.
        entry: the application's start file inside a release.
        unit: systemd unit of the service.
        keep_releases: releases that stay on the host.
        health_path: path that answers 200 with the release's version when all is well.
        health_timeout: seconds within which it must do so after a start.
        depends_on: files whose change takes a restart of the service to be in use.
    """

    app: str
    user: str
    root: Path
    entry: str
    unit: str
    keep_releases: int
    health_path: str
    health_timeout: float
    depends_on: tuple[Path, ...]

    @classmethod
    def load(cls, path: Path) -> Host:
        """Read the file.

        Raises:
            HostError: it is missing or wrong.
        """
        data = _read_json(path, "the role backend writes it: run playbooks/configure.yml")
        try:
            return cls(
                app=data["app"],
                user=data["user"],
                root=Path(data["root"]),
                entry=data["entry"],
                unit=data["unit"],
                keep_releases=int(data["keep_releases"]),
                health_path=data["health_path"],
                health_timeout=float(data["health_timeout"]),
                depends_on=tuple(map(Path, data["depends_on"])),
            )
        except (KeyError, TypeError, ValueError) as wrong:
            raise HostError(f"{path}: {wrong!r}: run playbooks/configure.yml, which writes it") from wrong


def _read_json(path: Path, origin: str) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text())
    except FileNotFoundError as missing:
        raise HostError(f"{path} is missing: {origin}") from missing
    except ValueError as wrong:
        raise HostError(f"{path} is not JSON ({wrong}): {origin}") from wrong
    if not isinstance(data, dict):
        raise HostError(f"{path} is not a JSON object: {origin}")
    return data


def check_version(version: str) -> str:
    """Return the release name if it can be one.

    Raises:
        HostError: it cannot be, as it would name another path than a directory among the releases.
    """
    if not VERSION.fullmatch(version):
        raise HostError(f"'{version}' is no release name: letters, digits and . _ + - only, a letter or digit first")
    return version


@contextlib.contextmanager
def only_one(purpose: str, patience: float, path: Path = LOCK_FILE) -> Iterator[None]:
    """Hold the host's lock: no two of the host tools change releases at once.

    Args:
        purpose: what the others are told.
        patience: seconds to wait for the holder.
        path: the lock's file; the system drops the lock when its holder ends, however it ends.

    Raises:
        HostError: someone else holds it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as lock:
        deadline = time.monotonic() + patience
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError as busy:
                if busy.errno not in (errno.EAGAIN, errno.EACCES):
                    raise
                if time.monotonic() >= deadline:
                    lock.seek(0)
                    holder = lock.read().strip() or "another process"
                    raise HostError(f"{holder} is at work on this host: try again when it is done") from busy
                time.sleep(0.2)
        lock.seek(0)
        lock.truncate()
        lock.write(f"{purpose} (process {os.getpid()}, since {time.strftime('%H:%M:%S')})\n")
        lock.flush()
        yield


# --- AWS -----------------------------------------------------------------------------------------------------------


class Aws:
    """The few calls to AWS that a host makes, with errors that name the mend."""

    def __init__(self, region: str) -> None:
        self._session: Any = boto3.Session(region_name=region)
        self._config = Config(connect_timeout=5, read_timeout=30, retries={"mode": "standard", "total_max_attempts": 8})
        self._clients: dict[str, Any] = {}

    def client(self, service: str) -> Any:
        """The service's client, made once."""
        if service not in self._clients:
            self._clients[service] = self._session.client(service, config=self._config)
        return self._clients[service]

    def parameter(self, name: str, missing: str) -> str:
        """The value of an SSM parameter.

        Args:
            name: its name.
            missing: what to say when there is none.
        """
        with _explained(f"parameter {name}", "ssm:GetParameter", missing):
            return str(self.client("ssm").get_parameter(Name=name)["Parameter"]["Value"])

    def secret(self, secret_id: str) -> dict[str, Any]:
        """The JSON object a secret holds."""
        missing = f"secret {secret_id} does not exist: run site.yml, whose layer identity makes it"
        with _explained(f"secret {secret_id}", "secretsmanager:GetSecretValue", missing):
            text = self.client("secretsmanager").get_secret_value(SecretId=secret_id)["SecretString"]
        try:
            value = json.loads(text)
        except ValueError:
            value = None
        if not isinstance(value, dict):
            # Its text is not shown: it is secret.
            raise HostError(f"secret {secret_id} does not hold a JSON object of names and values")
        return value

    def read_object(self, bucket: str, key: str, missing: str) -> bytes:
        """A small object of S3."""
        with _explained(f"s3://{bucket}/{key}", "s3:GetObject", missing):
            body: bytes = self.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
        return body

    def download(self, bucket: str, key: str, path: Path, missing: str) -> str:
        """Write an object of S3 to a file and return the sha256 of what came."""
        digest = hashlib.sha256()
        with _explained(f"s3://{bucket}/{key}", "s3:GetObject", missing):
            body = self.client("s3").get_object(Bucket=bucket, Key=key)["Body"]
            with path.open("wb") as file:
                for chunk in body.iter_chunks(1 << 20):
                    digest.update(chunk)
                    file.write(chunk)
        return digest.hexdigest()

    def complete_launch(self, group: str, hook: str, instance_id: str, *, fit: bool) -> bool:
        """Tell the Auto Scaling group how the launch went.

        Returns:
            False if no launch of this instance waits for an answer (any more).
        """
        try:
            with _explained(f"launch of {instance_id}", "autoscaling:CompleteLifecycleAction", ""):
                self.client("autoscaling").complete_lifecycle_action(
                    AutoScalingGroupName=group,
                    LifecycleHookName=hook,
                    InstanceId=instance_id,
                    LifecycleActionResult="CONTINUE" if fit else "ABANDON",
                )
        except _NoLaunchWaitsError:
            return False
        return True

    def prolong_launch(self, group: str, hook: str, instance_id: str) -> bool:
        """Let the Auto Scaling group wait for another timeout of its hook.

        Returns:
            False if no launch of this instance waits for an answer (any more).
        """
        try:
            with _explained(f"launch of {instance_id}", "autoscaling:RecordLifecycleActionHeartbeat", ""):
                self.client("autoscaling").record_lifecycle_action_heartbeat(
                    AutoScalingGroupName=group, LifecycleHookName=hook, InstanceId=instance_id
                )
        except _NoLaunchWaitsError:
            return False
        return True


class _NoLaunchWaitsError(HostError):
    """The group waits for no answer about this instance."""


_MISSING_CODES = {"NoSuchKey", "NoSuchBucket", "404", "ParameterNotFound", "ResourceNotFoundException"}
_DENIED_CODES = {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "403"}
_SERVER_ERROR = 500


@contextlib.contextmanager
def _explained(subject: str, permission: str, missing: str) -> Iterator[None]:
    """Turn AWS's errors into ours: what, why, and what to do."""
    try:
        yield
    except ClientError as error:
        code = error.response["Error"]["Code"]
        text = error.response["Error"].get("Message", "")
        if code == "ValidationError" and "No active Lifecycle Action" in text:
            raise _NoLaunchWaitsError(text) from error
        if code in _MISSING_CODES:
            raise HostError(missing) from error
        if code in _DENIED_CODES:
            # S3 answers this for an object that is not there, too, unless the caller may list the bucket.
            also = f" (or: {missing})" if permission.startswith("s3:") else ""
            raise HostError(f"not allowed to read {subject}: the instance role needs {permission}{also}") from error
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        passing = "Throttl" in code or code == "RequestLimitExceeded" or status >= _SERVER_ERROR
        raise HostError(f"{subject}: {code}: {text}", passing=passing) from error
    except NoCredentialsError as error:
        raise HostError(
            f"{subject}: this host has no AWS credentials: its instance needs an instance profile", passing=True
        ) from error
    except (AwsConnectionError, HTTPClientError) as error:
        raise HostError(f"{subject}: no answer from AWS ({error})", passing=True) from error
    except BotoCoreError as error:
        raise HostError(f"{subject}: {error}") from error


def instance_id(timeout: float = 2) -> str:
    """This instance's id, from the instance metadata service, version 2.

    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/configuring-instance-metadata-service.html
    The address can be set as for every AWS tool, by AWS_EC2_METADATA_SERVICE_ENDPOINT.
    """
    base = os.environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://169.254.169.254").rstrip("/")
    lifetime = {"X-aws-ec2-metadata-token-ttl-seconds": "60"}
    ask = urllib.request.Request(f"{base}/latest/api/token", headers=lifetime, method="PUT")
    try:
        with urllib.request.urlopen(ask, timeout=timeout) as answer:
            token = answer.read().decode()
        ask = urllib.request.Request(
            f"{base}/latest/meta-data/instance-id", headers={"X-aws-ec2-metadata-token": token}
        )
        with urllib.request.urlopen(ask, timeout=timeout) as answer:
            return str(answer.read().decode().strip())
    except (urllib.error.URLError, OSError) as error:
        raise HostError(f"the instance metadata service does not answer ({error})", passing=True) from error


# --- the application's environment ----------------------------------------------------------------------------------


def compose_environment(boot: Boot, aws: Aws) -> dict[str, str]:
    """The application's variables: what the contract computes, and what the secrets hold."""
    environment = {
        "NODE_ENV": "production",
        "PORT": str(boot.port),
        **_database_urls(boot, aws),
        **_cache_url(boot, aws),
        **{f"QUEUE_URL_{name.upper().replace('-', '_')}": url for name, url in boot.queues.items()},
    }
    if boot.images_bucket:
        environment["IMAGES_BUCKET"] = boot.images_bucket
    if boot.queues or boot.images_bucket:
        # The AWS SDK for JavaScript finds credentials by itself, but no region.
        environment["AWS_REGION"] = boot.region
    for secret_id in boot.secrets:
        for name, value in aws.secret(secret_id).items():
            if not VARIABLE.fullmatch(name):
                raise HostError(f"secret {secret_id}: '{name}' is no name of an environment variable")
            if name in COMPUTED_VARIABLES:
                raise HostError(f"secret {secret_id}: {name} is computed on the host: take it out of the secret")
            if isinstance(value, (dict, list)) or value is None:
                raise HostError(f"secret {secret_id}: the value of {name} must be a text")
            environment[name] = value if isinstance(value, str) else json.dumps(value)
    return environment


def _database_urls(boot: Boot, aws: Aws) -> dict[str, str]:
    """Where the database is and, if there is a read replica, where that is."""
    if boot.database["engine"] == "sqlite":
        return {"DATABASE_URL": f"sqlite:{boot.database['path']}"}
    parameter = boot.database["parameter"]
    missing = f"parameter {parameter} does not exist: run site.yml, whose layer database writes it"
    try:
        place = json.loads(aws.parameter(parameter, missing))
        login = aws.secret(place["secret"])
        hosts = {"DATABASE_URL": place["host"], "DATABASE_READ_URL": place.get("read_host")}
        return {
            name: f"postgres://{quote(login['username'], safe='')}:{quote(login['password'], safe='')}"
            f"@{host}:{place['port']}/{quote(place['name'], safe='')}"
            # RDS takes nothing but TLS (PostgreSQL 15 and newer), with a certificate of Amazon's own authority.
            "?sslmode=no-verify"
            for name, host in hosts.items()
            if host
        }
    except (KeyError, TypeError, ValueError) as wrong:
        raise HostError(
            f"parameter {parameter} or its secret lacks {wrong}: run site.yml --tags database, which writes them"
        ) from wrong


def _cache_url(boot: Boot, aws: Aws) -> dict[str, str]:
    """Where the cache is, if there is one."""
    if not boot.cache:
        return {}
    parameter = boot.cache["parameter"]
    missing = f"parameter {parameter} does not exist: run site.yml, whose layer cache writes it"
    try:
        place = json.loads(aws.parameter(parameter, missing))
        password = quote(aws.secret(place["secret"])["password"], safe="")
        # TLS as with the database: the certificate is of an authority of Amazon's.
        return {"REDIS_URL": f"rediss://:{password}@{place['host']}:{place['port']}?sslmode=no-verify"}
    except (KeyError, TypeError, ValueError) as wrong:
        raise HostError(
            f"parameter {parameter} or its secret lacks {wrong}: run site.yml --tags cache, which writes them"
        ) from wrong


def environment_text(environment: dict[str, str]) -> str:
    """The file the launcher reads: a line NAME=JSON text for each variable."""
    return "".join(f"{name}={json.dumps(environment[name])}\n" for name in sorted(environment))


def write_file(path: Path, text: str, mode: int, group: int | None = None) -> None:
    """Put a file in place as a whole: no reader ever sees half of it, or sees it with other rights."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.unlink(missing_ok=True)
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        if group is not None:
            os.fchown(descriptor, -1, group)
        os.fchmod(descriptor, mode)
        file.write(text)
    partial.replace(path)


def run_tool(main: Callable[[], int]) -> int:
    """Run a tool's body; every expected failure becomes one line and an exit code."""
    os.umask(0o022)
    try:
        return main()
    except HostError as error:
        say(str(error), error=True)
        return EXIT_TRY_AGAIN if error.passing else EXIT_FAILED
    except PermissionError as error:
        say(f"{error.filename}: permission denied: run it as root (sudo)", error=True)
        return EXIT_FAILED
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        say(f"{error.filename or 'the disk'}: no space left: free some, or take a bigger volume", error=True)
        return EXIT_FAILED
