"""Secrets whose password Secrets Manager generates."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import boto3
import pytest

from plugins.module_utils.generated_password import key_change
from plugins.module_utils.planning import KNOWN_AFTER_APPLY
from plugins.modules import secretsmanager_password

NAME = "/vahanhelp/prod/database"
TAGS = {"vahana:app": "vahanhelp", "vahana:env": "prod"}
Run = Callable[..., dict[str, Any]]


@pytest.fixture
def keep(run_module: Run) -> Run:
    def run(**arguments: Any) -> dict[str, Any]:
        return run_module(
            secretsmanager_password, **{"name": NAME, "template": {"username": "vahanhelp"}, "tags": TAGS, **arguments}
        )

    return run


def value() -> dict[str, str]:
    answer: dict[str, str] = json.loads(boto3.client("secretsmanager").get_secret_value(SecretId=NAME)["SecretString"])
    return answer


def test_creates_once_and_never_tells(keep: Run) -> None:
    first = keep()
    made = value()
    assert first["changed"] and set(made) == {"username", "password"} and made["username"] == "vahanhelp"
    assert len(made["password"]) == 32 and not set(made["password"]) & set(" !\"#$%&'()*+,/:;<=>?@[\\]^`{|}~")
    assert made["password"] not in json.dumps(first)
    assert first["secret"]["tags"] == TAGS and first["diff"]["before"] == {}

    second = keep()
    assert not second["changed"] and value() == made and second["secret"] == first["secret"]


def test_takes_the_value_of_another_regions_secret_once(keep: Run) -> None:
    keep()
    abroad = boto3.client("secretsmanager", region_name="eu-west-1")
    arguments: dict[str, Any] = {"region": "eu-west-1", "source": {"name": NAME, "region": "us-east-1"}}

    def there() -> dict[str, str]:
        answer: dict[str, str] = json.loads(abroad.get_secret_value(SecretId=f"{NAME}-copy")["SecretString"])
        return answer

    assert keep(name=f"{NAME}-copy", check=True, **arguments)["changed"]
    made = keep(name=f"{NAME}-copy", **arguments)
    assert made["changed"] and there() == value()
    assert value()["password"] not in json.dumps(made)
    first = value()
    boto3.client("secretsmanager").put_secret_value(SecretId=NAME, SecretString='{"password": "another"}')
    assert not keep(name=f"{NAME}-copy", **arguments)["changed"]
    assert there() == first


def test_leaves_keys_that_people_added(keep: Run) -> None:
    keep()
    mine = {**value(), "SMTP_PASSWORD": "x"}
    boto3.client("secretsmanager").put_secret_value(SecretId=NAME, SecretString=json.dumps(mine))
    assert not keep()["changed"] and value() == mine


def test_updates_description_and_tags_but_not_the_value(keep: Run) -> None:
    keep(tags={**TAGS, "old": "1"})
    before = value()
    result = keep(description="Master user", tags={**TAGS, "vahana:tier": "full"})
    assert result["changed"] and value() == before
    assert result["secret"]["description"] == "Master user"
    assert result["secret"]["tags"] == {**TAGS, "vahana:tier": "full"}
    assert not keep(description="Master user", tags={**TAGS, "vahana:tier": "full"})["changed"]


def test_gives_a_value_to_a_secret_without_one(keep: Run) -> None:
    client = boto3.client("secretsmanager")
    client.create_secret(Name=NAME, Tags=[{"Key": key, "Value": tag} for key, tag in TAGS.items()])
    assert keep()["changed"] and "password" in value()
    assert not keep()["changed"]


@pytest.mark.parametrize("regenerate", [True, False])
def test_restores_a_secret_scheduled_for_deletion(keep: Run, regenerate: bool) -> None:
    keep()
    old = value()
    assert keep(state="absent")["changed"]
    assert not keep(state="absent")["changed"]
    result = keep(regenerate_restored=regenerate)
    assert result["changed"] and result["secret"]["name"] == NAME
    assert (value()["password"] != old["password"]) == regenerate
    assert not keep()["changed"]


def test_deletes_for_good_also_what_was_scheduled(keep: Run) -> None:
    client = boto3.client("secretsmanager")
    keep()
    keep(state="absent", recovery_window_in_days=30)
    assert client.describe_secret(SecretId=NAME)["DeletedDate"]
    assert keep(state="absent", recovery_window_in_days=0)["changed"]
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.describe_secret(SecretId=NAME)
    assert not keep(state="absent", recovery_window_in_days=0)["changed"]
    assert keep()["changed"]


def test_check_mode_says_the_same_and_does_nothing(keep: Run) -> None:
    client = boto3.client("secretsmanager")
    assert keep(check=True)["changed"] and client.list_secrets()["SecretList"] == []
    keep()
    before = value()
    assert not keep(check=True)["changed"]
    result = keep(check=True, description="new", tags={})
    assert result["changed"] and result["diff"]["after"]["description"] == "new"
    assert keep(check=True, state="absent")["changed"]
    assert value() == before and not keep()["changed"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"recovery_window_in_days": 3}, "use 0, or 7 to 30"),
        ({"length": 0}, "use 1 to 4096"),
        ({"template": {"password": "mine"}}, "that key is generated"),
    ],
)
def test_refuses_what_the_service_would_refuse(keep: Run, arguments: dict[str, Any], message: str) -> None:
    result = keep(**arguments)
    assert result["failed"] and message in result["msg"]


def test_its_key_is_kept(keep: Run) -> None:
    def key() -> str:
        return str(boto3.client("secretsmanager").describe_secret(SecretId=NAME).get("KmsKeyId", ""))

    one, two = (boto3.client("kms").create_key()["KeyMetadata"]["Arn"] for _number in range(2))
    keep(kms_key_id="")
    assert not key() and not keep()["changed"]
    planned = keep(kms_key_id=one, check=True)
    assert planned["changed"] and not key() and planned["diff"]["after"]["kms_key_id"] == one
    before = value()
    moved = keep(kms_key_id=one)
    assert moved["changed"] and key() == moved["secret"]["kms_key_id"] == one and value() == before
    assert not keep(kms_key_id=one)["changed"] and not keep()["changed"]
    assert keep(kms_key_id=two)["changed"] and key() == two
    assert keep(kms_key_id="")["changed"] and not key()
    assert keep(name=f"{NAME}-new", kms_key_id=one)["secret"]["kms_key_id"] == one


@pytest.mark.parametrize("told", ["", "alias/aws/secretsmanager", "arn:aws:kms:eu-west-1:1:alias/aws/secretsmanager"])
def test_the_services_own_key_is_none(told: str) -> None:
    described = {"KmsKeyId": told} if told else {}
    assert key_change(described, "") == key_change(described, None) == {}
    assert key_change(described, "arn:aws:kms:eu-west-1:1:key/7") == {"KmsKeyId": "arn:aws:kms:eu-west-1:1:key/7"}


def test_a_key_that_is_only_planned_is_a_change(keep: Run) -> None:
    keep()
    assert keep(kms_key_id=KNOWN_AFTER_APPLY, check=True)["changed"]
