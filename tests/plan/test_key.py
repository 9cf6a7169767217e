"""A KMS key of the environment's own: it comes, it stays, it waits for its end and is taken back."""

from __future__ import annotations

import pytest

from tests.plan.conftest import Account
from tests.plan.drifts import KEY, NAME, PARAMETERS
from tests.plan.test_plan import plan, prove

pytestmark = pytest.mark.long

WITH = ("-e", "identity_encryption_key=true")
SECRET = f"{PARAMETERS}/backend"


def state(account: Account) -> tuple[str, str]:
    """Return the ARN and the state of the key with our alias."""
    key = account.client("kms").describe_key(KeyId=KEY)["KeyMetadata"]
    return key["Arn"], key["KeyState"]


def encrypts(account: Account) -> str:
    return str(account.client("secretsmanager").describe_secret(SecretId=SECRET).get("KmsKeyId", ""))


def value(account: Account) -> str:
    return str(account.client("secretsmanager").get_secret_value(SecretId=SECRET)["SecretString"])


def test_it_comes_stays_goes_and_is_taken_back(account: Account) -> None:
    account.finish("minimal")
    before = value(account)
    assert encrypts(account) == ""
    # The key, the secret, the topic.
    assert len(prove(account, "minimal", *WITH).changed) == 3
    made, now = state(account)
    assert (encrypts(account), now) == (made, "Enabled") and value(account) == before

    # Who forgets to ask for it has it all the same.
    assert plan(account, "minimal").changed == set()

    gone = account.play("minimal", "-e", f"confirm={NAME}", playbook="playbooks/destroy.yml")
    assert gone.code == 0, gone.output[-4000:]
    assert state(account) == (made, "PendingDeletion")

    # The secrets of before are restored: nobody could read them without it.
    prove(account, "minimal")
    assert state(account) == (made, "Enabled") and encrypts(account) == made
    assert value(account) != before
    topics = account.client("sns").list_topics()["Topics"]
    [topic] = [each["TopicArn"] for each in topics if each["TopicArn"].endswith(f":{NAME}-alarms")]
    assert account.client("sns").get_topic_attributes(TopicArn=topic)["Attributes"]["KmsMasterKeyId"] == made


def test_one_that_somebody_deletes_is_taken_back(account: Account) -> None:
    account.finish("minimal", *WITH, name="minimal-key")
    account.client("kms").schedule_key_deletion(KeyId=state(account)[0])
    # Without being asked for: what it encrypts is there.
    prove(account, "minimal")
    assert state(account)[1] == "Enabled" and value(account)


def test_one_that_is_somebody_elses_is_left_alone(account: Account) -> None:
    account.load("empty")
    kms = account.client("kms")
    theirs = kms.create_key(Tags=[{"TagKey": "team", "TagValue": "boats"}])["KeyMetadata"]["KeyId"]
    kms.create_alias(AliasName=KEY, TargetKeyId=theirs)
    refused = account.play("minimal", *WITH)
    assert refused.code != 0 and f"aws kms tag-resource --key-id {theirs}" in refused.output
    assert {"CreateKey", "CreateAlias", "PutKeyPolicy", "CreateRole"} & set(refused.writes) == set()
