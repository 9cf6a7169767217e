"""An API without hosts for the verbs that operators use, and an environment of a few parts made in no time."""

from __future__ import annotations

import contextlib
import hashlib
import json
import subprocess
import threading
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.account import BIN, ROOT, LocalAccount

NAME = "vahanhelp-prod"
PARAMETERS = "/vahanhelp/prod"
BUCKET = f"{NAME}-releases-123456789012"
TAGS = [{"Key": "vahana:app", "Value": "vahanhelp"}, {"Key": "vahana:env", "Value": "prod"}]
RUN_SECONDS = 180


@dataclass
class Run:
    """How a run ended, and what it printed."""

    code: int
    output: str


class Account(LocalAccount):
    """An account whose runs are of one environment."""

    def reset(self) -> None:
        """Empty the account."""
        request = urllib.request.Request(f"{self.url}/moto-api/reset", method="POST")
        urllib.request.urlopen(request, timeout=60).close()

    def writes(self) -> list[str]:
        """Return which writes the API got since it was asked last."""
        return [call["action"] for call in self.calls() if call["kind"] == "write"]

    def furnish(self) -> None:
        """Bring an empty account to an environment that is nothing but its bucket of releases."""
        s3 = self.client("s3")
        s3.create_bucket(Bucket=BUCKET)
        s3.put_bucket_tagging(Bucket=BUCKET, Tagging={"TagSet": TAGS})
        s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})

    def command(self, playbook: str, *arguments: str) -> list[str]:
        """Return what runs a playbook by its name, without hosts unless the arguments bring some."""
        key = f"identity_ssh_private_key_file={self._folder / 'key'}"
        return self.command_of(f"playbooks/{playbook}.yml", "-e", key, *arguments)

    def start(self, playbook: str, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        """Start a playbook, without hosts."""
        return self.begin(self.command(playbook, *arguments), **environment)

    def play(self, playbook: str, *arguments: str, **environment: str) -> Run:
        """Run a playbook, without hosts."""
        with self.start(playbook, *arguments, **environment) as process:
            output, _nothing = process.communicate(timeout=RUN_SECONDS)
            return Run(process.returncode, output)

    def objects(self, prefix: str = "") -> list[str]:
        """Return the keys in the bucket of releases."""
        found = self.client("s3").list_objects_v2(Bucket=BUCKET, Prefix=prefix)
        return [item["Key"] for item in found.get("Contents", [])]

    def history(self) -> list[dict[str, Any]]:
        """Return the records of the runs, the oldest first."""
        s3 = self.client("s3")
        return [json.loads(s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()) for key in self.objects("audit/")]


@pytest.fixture(scope="session")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    """Serve an account."""
    with subprocess.Popen(
        [str(BIN / "lab"), "serve", "--api-only", "--port", "0"], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout
        url = server.stdout.readline().strip().removeprefix("ready: ")
        yield Account(url, tmp_path_factory.mktemp("ops"))
        server.terminate()


@pytest.fixture
def account(serving: Account) -> Account:
    """Bring the account to an environment that is nothing but its tier and its bucket of releases."""
    serving.reset()
    serving.furnish()
    serving.writes()
    return serving


@pytest.fixture
def front_door(account: Account) -> Iterator[str]:
    """Answer like the backend, always with the release that is approved."""
    with answering(account) as url:
        yield url


@contextlib.contextmanager
def answers_at(answer: Callable[[str], dict[str, str]]) -> Iterator[str]:
    """Answer requests at the URL that is given.

    :param answer: what is answered to a path, as JSON.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps(answer(self.path)).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@contextlib.contextmanager
def answering(account: Account) -> Iterator[str]:
    """Answer like the backend, always with the release that is approved, at the URL that is given."""

    def health(_path: str) -> dict[str, str]:
        release = approved(account)
        return {"status": "ok", "release": release, "version": release}

    with answers_at(health) as url:
        yield url


class WithDatabase:
    """What an account says of the database of an environment."""

    def __init__(self, account: Account) -> None:
        self.account = account

    def databases(self) -> dict[str, dict[str, str]]:
        """Return the tags of each database by its identifier."""
        found = self.account.client("rds").describe_db_instances()["DBInstances"]
        return {each["DBInstanceIdentifier"]: {tag["Key"]: tag["Value"] for tag in each["TagList"]} for each in found}

    def published(self) -> dict[str, Any]:
        """Return where the application is told that the database is."""
        text = self.account.client("ssm").get_parameter(Name=f"{PARAMETERS}/database")["Parameter"]["Value"]
        place: dict[str, Any] = json.loads(text)
        return place

    def secret(self, name: str) -> dict[str, str]:
        """Return what a secret holds."""
        text = self.account.client("secretsmanager").get_secret_value(SecretId=f"{PARAMETERS}/{name}")["SecretString"]
        value: dict[str, str] = json.loads(text)
        return value


def approved(account: Account) -> str:
    value = account.client("ssm").get_parameter(Name=f"{PARAMETERS}/release")["Parameter"]["Value"]
    return str(value)


def publish(account: Account, version: str) -> None:
    s3, archive = account.client("s3"), version.encode()
    sha256 = hashlib.sha256(archive).hexdigest()
    manifest = {"version": version, "backend": {"sha256": sha256, "size": len(archive)}, "frontend": None}
    s3.put_object(Bucket=BUCKET, Key=f"releases/{version}/backend.tar.gz", Body=archive)
    s3.put_object(Bucket=BUCKET, Key=f"releases/{version}/manifest.json", Body=json.dumps(manifest).encode())
