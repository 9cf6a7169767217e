"""Services that deploy blue/green: what the plan says from nothing and of a change of strategy, and that all goes."""

from __future__ import annotations

from typing import Any

import pytest

from plugins.module_utils.convergence import differences
from tests.plan.conftest import Account, documents
from tests.plan.drifts import NAME
from tests.plan.test_plan import plan, prove

pytestmark = pytest.mark.long
BLUE_GREEN = ("-e", "containers_strategy=blue_green", "-e", "containers_bake_minutes=0")
CREATED = {
    ("load_balancer", "Present | Create the second target groups of paths"),
    ("load_balancer", "Present | Lead the paths to either of their target groups"),
    ("containers", "Present | Keep the role that leads requests to new tasks"),
    ("containers", "Present | Keep the one policy of that"),
    ("containers", "Alarms | Let alarms take deployments back"),
}
"""What a rolling environment has nothing of: role and task."""


def tasks(changed: set[tuple[str, str, str]]) -> set[tuple[str, str]]:
    return {(role, task) for role, task, _item in changed}


def services(account: Account) -> dict[str, dict[str, Any]]:
    """Return the services by name."""
    ecs = account.client("ecs")
    arns = ecs.list_services(cluster=NAME)["serviceArns"]
    return {each["serviceName"]: each for each in ecs.describe_services(cluster=NAME, services=arns)["services"]}


def groups(account: Account) -> set[str]:
    """Return the names of the target groups."""
    found = account.client("elbv2").describe_target_groups()["TargetGroups"]
    return {each["TargetGroupName"] for each in found}


def serving(account: Account, service: str) -> str:
    """Return the name of the target group that has the requests of a service."""
    elb = account.client("elbv2")
    names = {each["TargetGroupArn"]: each["TargetGroupName"] for each in elb.describe_target_groups()["TargetGroups"]}
    [balancer] = elb.describe_load_balancers(Names=[NAME])["LoadBalancers"]
    for listener in elb.describe_listeners(LoadBalancerArn=balancer["LoadBalancerArn"])["Listeners"]:
        for rule in elb.describe_rules(ListenerArn=listener["ListenerArn"])["Rules"]:
            shares = rule["Actions"][0].get("ForwardConfig", {}).get("TargetGroups", [])
            found = {names[each["TargetGroupArn"]]: each["Weight"] for each in shares}
            if f"{NAME}-{service}" in found:
                return str(max(found, key=lambda name: found[name]))
    raise AssertionError(f"nothing leads to {service}")


def deploy(account: Account, service: str) -> None:
    """Renew the tasks of a service, as a deployment does."""
    account.client("ecs").update_service(cluster=NAME, service=service, forceNewDeployment=True)
    # Each request moves on what can move.
    for _ in range(20):
        found = services(account)[service]
        if len(found["deployments"]) == 1 and found["runningCount"] == found["desiredCount"]:
            return
    raise AssertionError(f"still deploying: {found}")


@pytest.fixture
def blue_green(account: Account) -> Account:
    """Make the tier with blue/green deployments, once."""
    account.finish("microservices", *BLUE_GREEN, name="blue-green")
    return account


def test_an_empty_account(account: Account) -> None:
    """The plan names every task of the first run; later the strategy need not be named, and nothing is left to do."""
    account.load("empty")
    planned = prove(account, "microservices", *BLUE_GREEN)
    account.save("blue-green")
    assert tasks(planned.changed) > CREATED
    assert {f"{NAME}-cars", f"{NAME}-cars-2"} < groups(account)
    found = services(account)
    for service in found.values():
        configuration = service["deploymentConfiguration"]
        assert (configuration["strategy"], configuration["bakeTimeInMinutes"]) == ("BLUE_GREEN", 0)
        assert configuration["alarms"] == {
            "alarmNames": [f"{NAME}-load-balancer-errors", f"{NAME}-services-errors"],
            "enable": True,
            "rollback": True,
        }
    assert plan(account, "microservices").changed == set(), "it is remembered"


@pytest.mark.usefixtures("asked")
def test_what_ecs_has_moved_stays(blue_green: Account) -> None:
    """After a deployment the requests go to the second group: no plan wants that back, no run takes it back."""
    before = documents()
    deploy(blue_green, "cars")
    assert differences(before, documents()) == [], "it is no drift"
    assert (serving(blue_green, "cars"), serving(blue_green, "auth")) == (f"{NAME}-cars-2", f"{NAME}-auth")
    assert plan(blue_green, "microservices").changed == set()
    for arguments in (("-e", "full=true"), ("--tags", "load_balancer"), ("--tags", "containers")):
        ran = blue_green.play("microservices", *arguments)
        assert (ran.code, ran.changed) == (0, set()), ran.output[-4000:]
    assert serving(blue_green, "cars") == f"{NAME}-cars-2"


def test_drift(blue_green: Account) -> None:
    """What is lost comes back, and the requests stay where they are."""
    deploy(blue_green, "cars")
    elb, iam, ecs = (blue_green.client(name) for name in ("elbv2", "iam", "ecs"))
    [group] = elb.describe_target_groups(Names=[f"{NAME}-cars-2"])["TargetGroups"]
    elb.modify_target_group(TargetGroupArn=group["TargetGroupArn"], HealthCheckPath="/")
    iam.delete_role_policy(RoleName=f"{NAME}-load-balancing", PolicyName="load-balancer")
    ecs.update_service(
        cluster=NAME,
        service="auth",
        deploymentConfiguration={"alarms": {"alarmNames": [], "enable": False, "rollback": False}},
    )
    planned = prove(blue_green, "microservices")
    assert tasks(planned.changed) == {
        ("load_balancer", "Present | Create the second target groups of paths"),
        ("containers", "Present | Keep the one policy of that"),
        ("containers", "Alarms | Let alarms take deployments back"),
    }
    assert serving(blue_green, "cars") == f"{NAME}-cars-2"


def test_from_one_strategy_to_the_other_and_back(account: Account) -> None:
    """The plan says what a change of strategy does, both ways; on the way back nothing but the strategy changes."""
    account.finish("microservices")
    assert not {name for name in groups(account) if name.endswith("-2")}
    assert {each["deploymentConfiguration"]["strategy"] for each in services(account).values()} == {"ROLLING"}
    planned = prove(account, "microservices", *BLUE_GREEN)
    assert tasks(planned.changed) == CREATED | {("containers", "Present | Keep the services")}
    deploy(account, "cars")
    assert serving(account, "cars") == f"{NAME}-cars-2"
    back = prove(account, "microservices", "-e", "containers_strategy=rolling")
    assert tasks(back.changed) == {("containers", "Present | Keep the services")}
    assert serving(account, "cars") == f"{NAME}-cars-2", "where its tasks are"
    assert plan(account, "microservices").changed == set()
    deploy(account, "cars")
    assert plan(account, "microservices").changed == set()
    again = prove(account, "microservices", *BLUE_GREEN)
    assert tasks(again.changed) == {
        ("containers", "Present | Keep the services"),
        ("containers", "Alarms | Let alarms take deployments back"),
    }


def test_nothing_is_left(blue_green: Account) -> None:
    """Second target groups and the role of ECS go too."""
    deploy(blue_green, "cars")
    gone = blue_green.play("microservices", "-e", f"confirm={NAME}", playbook="playbooks/destroy.yml")
    assert gone.code == 0, gone.output[-4000:]
    assert groups(blue_green) == set()
    roles = blue_green.client("iam").list_roles()["Roles"]
    assert not [role["RoleName"] for role in roles if role["RoleName"].startswith(NAME)]
