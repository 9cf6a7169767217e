"""What a plan says would change is exactly what the next run changes, whatever the state it starts from.

Each scenario: bring the account into a state, plan, run, compare task by task, plan again. The plan writes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from plugins.module_utils.convergence import differences
from plugins.module_utils.replacement import description, pinned_user_data
from tests.plan.conftest import Account, Run, documents
from tests.plan.drifts import DRIFTS, EDITED, NAME, Drift, few, lose_nat_gateway


def plan(account: Account, tier: str, *arguments: str) -> Run:
    """Plan, and see that nothing was written."""
    planned = account.play(tier, "--check", "--diff", *arguments)
    assert planned.code == 0, planned.output[-4000:]
    assert planned.writes == []
    return planned


def compare(account: Account, tier: str, *arguments: str) -> Run:
    """Plan, run and compare; return the plan."""
    planned = plan(account, tier, *arguments)
    ran = account.play(tier, *arguments)
    assert ran.code == 0, ran.output[-4000:]
    assert {"missing": ran.changed - planned.changed, "invented": planned.changed - ran.changed} == {
        "missing": set(),
        "invented": set(),
    }
    return planned


def prove(account: Account, tier: str, *arguments: str) -> Run:
    """Plan, run, compare, and plan again; return the plan."""
    planned = compare(account, tier, *arguments)
    after = plan(account, tier, *arguments)
    assert after.changed == set()
    return planned


@pytest.fixture
def finished(account: Account) -> Callable[[str], None]:
    """Bring the account to a whole tier."""
    return account.finish


def _edit(names: dict[str, Any]) -> tuple[str, ...]:
    return "-e", json.dumps(names)


@pytest.mark.parametrize(
    "tier",
    [
        "basic",
        *(pytest.param(tier, marks=pytest.mark.long) for tier in ("minimal", "full", "serverless", "microservices")),
    ],
)
def test_an_empty_account(account: Account, tier: str) -> None:
    """Nothing is there yet: the plan names every task of the first run."""
    account.load("empty")
    planned = prove(account, tier)
    account.save(tier)
    assert len(planned.changed) > {"minimal": 20, "basic": 30, "full": 40, "serverless": 40, "microservices": 60}[tier]


@pytest.mark.parametrize(
    "tier",
    [
        "basic",
        *(pytest.param(tier, marks=pytest.mark.long) for tier in ("minimal", "full", "serverless", "microservices")),
    ],
)
def test_everything_drifted(account: Account, finished: Callable[[str], None], tier: str) -> None:
    """Somebody has changed something in each way at once."""
    finished(tier)
    for drift in DRIFTS[tier]:
        drift(account)
    # Some are put right by the same task.
    assert len(prove(account, tier).changed) >= len(DRIFTS[tier]) * 2 / 3


@pytest.mark.long
@pytest.mark.parametrize("tier", EDITED)
def test_edited_variables(account: Account, finished: Callable[[str], None], tier: str) -> None:
    """The operator wants something else."""
    finished(tier)
    assert len(prove(account, tier, *_edit(EDITED[tier])).changed) >= len(EDITED[tier]) - 1


@pytest.mark.long
def test_a_replacement_that_was_interrupted(account: Account, finished: Callable[[str], None]) -> None:
    """A run that was killed has left a pinned version: it goes, and nothing else changes."""
    finished("basic")
    ec2 = account.client("ec2")
    template = {"LaunchTemplateName": f"{NAME}-backend"}
    [last] = ec2.describe_launch_template_versions(**template, Versions=["$Latest"])["LaunchTemplateVersions"]
    number = str(last["VersionNumber"])
    ec2.create_launch_template_version(
        **template,
        SourceVersion=number,
        VersionDescription=description("9.9.9", number),
        LaunchTemplateData={"UserData": pinned_user_data(last["LaunchTemplateData"]["UserData"], "9.9.9")},
    )
    assert {task for _, task, _ in prove(account, "basic").changed} == {
        "Finish | Give the group back the version that it had"
    }
    [left] = ec2.describe_launch_template_versions(**template, Versions=["$Latest"])["LaunchTemplateVersions"]
    assert left == last


@pytest.mark.long
def test_what_a_killed_deployment_took_out_of_service_is_put_back(
    account: Account, finished: Callable[[str], None]
) -> None:
    """A group never registers an instance a second time, so a run that waits for all targets would wait in vain."""
    finished("basic")
    elbv2 = account.client("elbv2")
    arn = elbv2.describe_target_groups(Names=[f"{NAME}-backend"])["TargetGroups"][0]["TargetGroupArn"]
    before = elbv2.describe_target_health(TargetGroupArn=arn)["TargetHealthDescriptions"]
    elbv2.deregister_targets(TargetGroupArn=arn, Targets=[before[0]["Target"]])
    prove(account, "basic", *_edit({"compute_max_size": 6}))
    after = elbv2.describe_target_health(TargetGroupArn=arn)["TargetHealthDescriptions"]
    assert {item["Target"]["Id"] for item in after} == {item["Target"]["Id"] for item in before}
    assert {item["TargetHealth"]["State"] for item in after} == {"healthy"}


def _names(few: Any) -> str:
    """Name a scenario by all that is done in it."""
    return few if isinstance(few, str) else "+".join(getattr(each, "__name__", each) for each in few)


@pytest.mark.long
@pytest.mark.usefixtures("asked")
@pytest.mark.parametrize(("tier", "drifts"), few(DRIFTS, 4), ids=_names)
def test_a_few_drifts(account: Account, finished: Callable[[str], None], tier: str, drifts: list[Drift]) -> None:
    """Each drift is found, and nothing beside it: a NAT gateway has the route tables that lead to it."""
    finished(tier)
    before = documents()
    for drift in drifts:
        drift(account)
    assert len(drifts) <= len(compare(account, tier).changed) <= 2 * len(drifts) + (lose_nat_gateway in drifts)
    # Of what is as it was before the plan is known. What was made anew has another id.
    if differences(before, documents()):
        assert plan(account, tier).changed == set()


@pytest.mark.long
def test_a_domain(account: Account, finished: Callable[[str], None]) -> None:
    """A domain is added, its health check is lost and comes back, and everything goes with the environment."""
    finished("full")
    given = _edit({"domain": "cars.example.com", "dns_zone_create": True})
    added = {(entry["role"], entry["task"]) for entry in prove(account, "full", *given).entries}
    assert ("dns", "Health check | Ask the domain") in added
    # It need not be named again.
    assert plan(account, "full").changed == set()
    route53 = account.client("route53")
    [check] = route53.list_health_checks()["HealthChecks"]
    [alarm] = account.client("cloudwatch").describe_alarms(AlarmNames=[f"{NAME}-domain-unreachable"])["MetricAlarms"]
    assert alarm["Dimensions"] == [{"Name": "HealthCheckId", "Value": check["Id"]}]
    route53.delete_health_check(HealthCheckId=check["Id"])
    assert {role for role, _task, _item in prove(account, "full", *given).changed} == {"dns", "monitoring"}
    gone = account.play("full", "-e", f"confirm={NAME}", playbook="playbooks/destroy.yml")
    assert gone.code == 0, gone.output[-4000:]
    assert (route53.list_health_checks()["HealthChecks"], route53.list_hosted_zones()["HostedZones"]) == ([], [])


@pytest.mark.long
@pytest.mark.parametrize(("tier", "names"), few({tier: list(names) for tier, names in EDITED.items()}, 3), ids=_names)
def test_a_few_edited_variables(account: Account, finished: Callable[[str], None], tier: str, names: list[str]) -> None:
    """Edited variables change what reads them."""
    finished(tier)
    assert len(prove(account, tier, *_edit({name: EDITED[tier][name] for name in names})).changed) >= len(names)


@pytest.mark.long
@pytest.mark.parametrize(
    ("tier", "changes"),
    [("minimal", n) for n in range(2, 22, 4)]
    + [("basic", n) for n in range(2, 50, 4)]
    # Every fourteenth, the key's among them, and the last but one.
    + [("full", n) for n in (*range(4, 86, 14), 86)]
    # Storage, network, cache, functions, API, edge, monitoring.
    + [("serverless", n) for n in range(4, 66, 14)]
    # Storage, network, load balancer, containers twice, monitoring.
    + [("microservices", n) for n in range(4, 84, 18)],
)
def test_a_run_that_was_killed(account: Account, tier: str, changes: int) -> None:
    """A run ended in the middle: the plan names what is left of it."""
    account.load("empty")
    killed = account.play(tier, stop_after=changes)
    assert len(killed.entries) == changes
    prove(account, tier)
