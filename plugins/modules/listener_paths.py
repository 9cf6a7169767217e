#!/usr/bin/python
"""Keep the rules that lead paths to pairs of target groups, but never who of a pair has the requests."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ansible.module_utils.listener_rules import paths_of, shares_of
from ansible.module_utils.maintenance import PRIORITIES
from ansible.module_utils.planning import is_planned
from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule
from botocore.exceptions import BotoCoreError, ClientError

DOCUMENTATION = r"""
module: listener_paths
short_description: Keep the rules of a listener whose weights ECS changes
description:
  - With blue/green deployments ECS moves the requests of a service between two target groups by the weights of a rule.
    The module amazon.aws.elb_application_lb would put them back to what it is told, which may be a group without tasks.
  - This one keeps the weights of a rule that leads to both groups, whatever they are. A rule that leads to one of them
    gets the other with no requests. A rule is known by its groups, so that it stays the same one when its paths or its
    priority change.
  - The rules of maintenance are left alone.
options:
  load_balancer_arn:
    description: ARN of the load balancer.
    type: str
    required: true
  port:
    description: Port of its listener.
    type: int
    required: true
  rules:
    description: The rules. Others that the listener has are deleted.
    type: list
    elements: dict
    required: true
    suboptions:
      name: {description: What the result calls it., type: str, required: true}
      priority: {description: Its priority., type: int, required: true}
      paths: {description: The patterns of the paths., type: list, elements: str, required: true}
      target_group_arns:
        description: Both groups, first the one that has the requests of a new rule.
        type: list
        elements: str
        required: true
author: Vahana
extends_documentation_fragment:
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - amazon.aws.boto3
attributes:
  check_mode: {support: full}
  diff_mode: {support: full}
"""

EXAMPLES = r"""
- name: Lead the cars to either group of theirs
  listener_paths:
    load_balancer_arn: "{{ load_balancer_out.arn }}"
    port: 443
    rules:
      - name: cars
        priority: 101
        paths: [/api/cars, /api/cars/*]
        target_group_arns: ["{{ first_arn }}", "{{ second_arn }}"]
"""

RETURN = r"""
rule_arns:
  description: ARNs of the rules by their names, without those that check mode would make.
  returned: always
  type: dict
"""

ALL = 100
Rule = dict[str, Any]


def actions_for(pair: list[str], serving: str) -> list[dict[str, Any]]:
    """Return the action that leads all requests to one of a pair."""
    groups = [{"TargetGroupArn": arn, "Weight": ALL if arn == serving else 0} for arn in pair]
    return [{"Type": "forward", "ForwardConfig": {"TargetGroups": groups}}]


def conditions_for(paths: list[str]) -> list[dict[str, Any]]:
    """Return the condition of a rule."""
    return [{"Field": "path-pattern", "PathPatternConfig": {"Values": paths}}]


def serving_group(pair: list[str], rules: Iterable[Mapping[str, Any]]) -> str:
    """Return which of a pair has the requests by the rules there are: the first one where none says it."""
    weights = [shares_of(rule) for rule in rules]
    total = {arn: sum(each.get(arn, 0) for each in weights) for arn in pair}
    return max(pair, key=lambda arn: total[arn])


def read(client: Any, balancer: str) -> dict[int, tuple[str, list[Rule]]]:
    """Return the listeners of a load balancer by port, each with its ARN and those of its rules that lead paths."""
    if is_planned(balancer):
        return {}
    found = {}
    for page in client.get_paginator("describe_listeners").paginate(LoadBalancerArn=balancer):
        for listener in page["Listeners"]:
            pages = client.get_paginator("describe_rules").paginate(ListenerArn=listener["ListenerArn"])
            rules = [rule for each in pages for rule in each["Rules"]]
            kept = [rule for rule in rules if not rule["IsDefault"] and rule["Priority"] not in PRIORITIES]
            found[int(listener["Port"])] = (str(listener["ListenerArn"]), kept)
    return found


class Paths:
    """Changes the rules of a listener, or only says what would change."""

    def __init__(self, module: AnsibleAWSModule, client: Any) -> None:
        """Take the module's parameters."""
        self.module, self.client = module, client
        self.before: dict[str, Any] = {}
        self.after: dict[str, Any] = {}
        self.arns: dict[str, str] = {}

    @property
    def writing(self) -> bool:
        """Is this more than a look at what would change?"""
        return not self.module.check_mode

    def ensure(self) -> None:
        """Bring the rules to the list."""
        port = self.module.params["port"]
        listeners = read(self.client, self.module.params["load_balancer_arn"])
        listener, existing = listeners.get(port, ("", []))
        if not listener and self.writing:
            raise ValueError(f"the load balancer has no listener on port {port}")
        everywhere = [rule for _arn, rules in listeners.values() for rule in rules]
        wanted = {
            each["name"]: (
                each,
                next((rule for rule in existing if set(shares_of(rule)) & set(each["target_group_arns"])), None),
            )
            for each in self.module.params["rules"]
        }
        kept = [rule["RuleArn"] for _each, rule in wanted.values() if rule]
        for rule in existing:
            if rule["RuleArn"] not in kept:
                self.before[f"rule {rule['Priority']}"] = {
                    "paths": sorted(paths_of(rule)),
                    "groups": sorted(shares_of(rule)),
                }
                if self.writing:
                    self.client.delete_rule(RuleArn=rule["RuleArn"])
        self.bring_priorities([(each, rule) for each, rule in wanted.values() if rule])
        for name, (each, known) in wanted.items():
            if known:
                self.arns[name] = known["RuleArn"]
                self.modify(each, known, everywhere)
            else:
                self.create(each, listener, everywhere)

    def bring_priorities(self, found: list[tuple[Rule, Rule]]) -> None:
        """Change all priorities at once, for no two rules may have the same."""
        moved = [(each, rule) for each, rule in found if int(rule["Priority"]) != each["priority"]]
        for each, rule in moved:
            self.before.setdefault(each["name"], {})["priority"] = int(rule["Priority"])
            self.after.setdefault(each["name"], {})["priority"] = each["priority"]
        if moved and self.writing:
            wanted = [{"RuleArn": rule["RuleArn"], "Priority": each["priority"]} for each, rule in moved]
            self.client.set_rule_priorities(RulePriorities=wanted)

    def modify(self, wanted: Rule, rule: Rule, everywhere: list[Rule]) -> None:
        """Bring paths and groups of a rule."""
        changes: dict[str, Any] = {}
        before, after = self.before.setdefault(wanted["name"], {}), self.after.setdefault(wanted["name"], {})
        pair = wanted["target_group_arns"]
        if sorted(paths_of(rule)) != sorted(wanted["paths"]):
            before["paths"], after["paths"] = sorted(paths_of(rule)), sorted(wanted["paths"])
            changes["Conditions"] = conditions_for(wanted["paths"])
        if set(shares_of(rule)) != set(pair):
            serving = serving_group(pair, [rule, *everywhere])
            before["groups"] = shares_of(rule)
            after["groups"] = {arn: ALL if arn == serving else 0 for arn in pair}
            changes["Actions"] = actions_for(pair, serving)
        if changes and self.writing:
            self.client.modify_rule(RuleArn=rule["RuleArn"], **changes)
        for kept in (self.before, self.after):
            if not kept[wanted["name"]]:
                del kept[wanted["name"]]

    def create(self, wanted: Rule, listener: str, everywhere: list[Rule]) -> None:
        """Make a rule."""
        pair = wanted["target_group_arns"]
        serving = serving_group(pair, everywhere)
        self.after[wanted["name"]] = {
            "priority": wanted["priority"],
            "paths": sorted(wanted["paths"]),
            "groups": {arn: ALL if arn == serving else 0 for arn in pair},
        }
        if self.writing:
            made = self.client.create_rule(
                ListenerArn=listener,
                Priority=wanted["priority"],
                Conditions=conditions_for(wanted["paths"]),
                Actions=actions_for(pair, serving),
            )
            self.arns[wanted["name"]] = made["Rules"][0]["RuleArn"]


def main() -> None:
    """Run the module."""
    rule = {
        "name": {"type": "str", "required": True},
        "priority": {"type": "int", "required": True},
        "paths": {"type": "list", "elements": "str", "required": True},
        "target_group_arns": {"type": "list", "elements": "str", "required": True},
    }
    module = AnsibleAWSModule(
        argument_spec={
            "load_balancer_arn": {"type": "str", "required": True},
            "port": {"type": "int", "required": True},
            "rules": {"type": "list", "elements": "dict", "required": True, "options": rule},
        },
        supports_check_mode=True,
    )
    paths = Paths(module, module.client("elbv2"))
    try:
        paths.ensure()
    except (BotoCoreError, ClientError) as error:
        module.fail_json_aws(error, msg=f"rules of {module.params['load_balancer_arn']}")
    except ValueError as error:
        module.fail_json(msg=str(error))
    module.exit_json(
        changed=bool(paths.before or paths.after),
        rule_arns=paths.arns,
        diff={"before": paths.before, "after": paths.after},
    )


if __name__ == "__main__":
    main()
