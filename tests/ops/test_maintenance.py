"""Maintenance on and off: what is written where, and that nothing else takes it for its business."""

from __future__ import annotations

import json

import pytest

from tests.ops.conftest import BUCKET, PARAMETERS, Account
from tests.ops.stage import make_group, make_instance, put_parameter

ON = ("maintenance", "-e", "maintenance=on", "-e", "message='Back at six'")
OFF = ("maintenance", "-e", "maintenance=off")


def answers(account: Account, listener: str) -> list[str]:
    """Return what a listener's own rules do, in their order."""
    found = account.client("elbv2").describe_rules(ListenerArn=listener)["Rules"]
    own = sorted((int(rule["Priority"]), rule["Actions"][0]["Type"]) for rule in found if not rule["IsDefault"])
    return [action for _, action in own]


def test_behind_a_load_balancer(account: Account) -> None:
    listener = make_group(account)["listener"]
    on = account.play(*ON)
    assert on.code == 0, on.output
    assert answers(account, listener) == ["forward", "fixed-response"]
    [entry] = account.history()
    assert (entry["verb"], entry["from"], entry["to"]) == ("maintenance", "maintenance off", "maintenance on")

    shown = account.play("status")
    assert "maintenance on since 20" in shown.output, shown.output
    assert "Back at six" in shown.output

    off = account.play(*OFF)
    assert off.code == 0, off.output
    assert answers(account, listener) == []


@pytest.mark.long
def test_twice_and_a_check_before_it(account: Account) -> None:
    listener = make_group(account)["listener"]
    would = account.play(*ON, "--check")
    assert would.code == 0, would.output
    assert "changed: [localhost] maintenance : Let the load balancer answer" in would.output
    assert answers(account, listener) == []
    assert account.writes() == []
    account.play(*ON)
    again = account.play(*ON)
    assert "changed=0" in again.output, again.output
    assert len(account.history()) == 1
    account.play(*OFF)
    assert "changed=0" in account.play(*OFF).output
    assert "maintenance on" not in account.play("status").output


@pytest.mark.long
def test_in_front_of_services(account: Account) -> None:
    """Each has paths of its own; the listener itself leads nowhere."""
    listener = make_group(account)["listener"]
    account.client("ssm").put_parameter(Name=f"{PARAMETERS}/tier", Value="microservices", Type="String", Overwrite=True)
    elb = account.client("elbv2")
    forward = elb.describe_listeners(ListenerArns=[listener])["Listeners"][0]["DefaultActions"]
    nothing = {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404"}}
    elb.modify_listener(ListenerArn=listener, DefaultActions=[nothing])
    conditions = [{"Field": "path-pattern", "PathPatternConfig": {"Values": ["/api/cars", "/api/cars/*"]}}]
    elb.create_rule(ListenerArn=listener, Priority=102, Conditions=conditions, Actions=forward[:1])
    on = account.play(*ON)
    assert on.code == 0, on.output
    assert answers(account, listener) == ["forward", "fixed-response", "forward"]
    [health] = [rule for rule in elb.describe_rules(ListenerArn=listener)["Rules"] if rule["Priority"] == "1"]
    assert health["Conditions"][0]["PathPatternConfig"]["Values"] == ["/api/cars/health"]
    off = account.play(*OFF)
    assert off.code == 0, off.output
    assert answers(account, listener) == ["forward"]


@pytest.mark.long
def test_where_nothing_could_answer(account: Account) -> None:
    put_parameter(account, "tier", "serverless")
    refused = account.play(*ON)
    assert refused.code != 0
    assert "is of tier serverless, which has no layer load_balancer or compute" in refused.output, refused.output


@pytest.mark.long
def test_no_run_takes_it_for_drift(account: Account) -> None:
    """A complete run's record is of the time before: what is there besides is not named and not put back."""
    make_group(account)
    # Any record of this version will do; the first drift run shows what is not as it says.
    record = {"inputs": "", "time": "2026-11-22T12:00:00+00:00", "documents": {}, "format": 1}
    account.client("s3").put_object(Bucket=BUCKET, Key="converged.json", Body=json.dumps(record).encode())
    before = account.play("drift").output
    assert "+ " in before
    assert account.play(*ON).code == 0
    after = account.play("drift").output
    assert "listener-rule" not in after
    assert after == before


@pytest.mark.long
def test_without_one(account: Account) -> None:
    # --limit localhost keeps the play from the host itself; tests/lab has one.
    make_instance(account)
    assert account.play(*ON).code == 0
    parameter = account.client("ssm").get_parameter(Name=f"{PARAMETERS}/maintenance")["Parameter"]["Value"]
    assert json.loads(parameter)["message"] == "Back at six"
    assert "changed=0" in account.play(*ON).output
    assert "maintenance on since 20" in account.play("status").output
    assert account.play(*OFF).code == 0
    names = account.client("ssm").get_parameters_by_path(Path=PARAMETERS)["Parameters"]
    assert [item["Name"] for item in names] == [f"{PARAMETERS}/tier"]


@pytest.mark.long
def test_says_what_is_missing(account: Account) -> None:
    refused = account.play("maintenance")
    assert refused.code != 0
    assert (
        "maintenance (group_vars/all/verbs.yml): on or off; write -e maintenance=on or -e maintenance=off"
        in refused.output
    )
    wrong = account.play("maintenance", "-e", "maintenance=later")
    assert "maintenance (-e): 'later' is neither on nor off" in wrong.output
