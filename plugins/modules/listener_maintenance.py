#!/usr/bin/python
"""Put maintenance up in front of an application behind a load balancer, and take it away."""

from __future__ import annotations

import datetime
import fnmatch
from collections.abc import Iterable, Mapping
from typing import Any

from ansible.module_utils.listener_rules import paths_of, shares_of
from ansible.module_utils.maintenance import HEALTH, MAINTENANCE_TAG, PAGE, PRIORITIES, SINCE_TAG, body
from ansible.module_utils.ownership import owned_by
from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule
from ansible_collections.amazon.aws.plugins.module_utils.tagging import (
    ansible_dict_to_boto3_tag_list,
    boto3_tag_list_to_ansible_dict,
)
from botocore.exceptions import BotoCoreError, ClientError

DOCUMENTATION = r"""
module: listener_maintenance
short_description: Let a load balancer answer instead of the application
description:
  - On each listener that leads to the application, everything is answered 503 with a message as JSON; only one path,
    the health check's, still reaches the target group that it did before. Listeners that redirect go on redirecting.
  - The module amazon.aws.elb_application_lb manages all rules of a listener or none, and tags none.
  - A fixed response has no headers of its own, so there is no Retry-After (Elastic Load Balancing, CreateRule).
options:
  load_balancer_arn:
    description: The load balancer.
    type: str
    required: true
  state:
    description: Whether maintenance is on.
    type: str
    choices: [present, absent]
    default: present
  message:
    description: What people are told. Needed with O(state=present).
    type: str
  health_path:
    description: Path that still reaches the application. Needed with O(state=present).
    type: str
  tags:
    description: Tags of the rules. C(vahana:app) and C(vahana:env) decide whose a rule is.
    type: dict
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
- name: Put maintenance up
  listener_maintenance:
    load_balancer_arn: "{{ stack.load_balancer.arn }}"
    message: We will be back at six.
    health_path: /api/health
    tags: {"vahana:app": cars, "vahana:env": prod}

- name: Take it away
  listener_maintenance:
    load_balancer_arn: "{{ stack.load_balancer.arn }}"
    state: absent
    tags: {"vahana:app": cars, "vahana:env": prod}
"""

RETURN = r"""
rules:
  description: ARNs of the rules that there are afterwards.
  returned: always
  type: list
  elements: str
"""

Rule = dict[str, Any]


def forwarding(actions: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Cut actions down to the target groups that they lead to, which answers may name twice.

    Of two groups, between which ECS moves the requests, it is the one that has them now.
    """
    return [
        {"Type": "forward", "TargetGroupArn": serving_group(action)}
        for action in actions
        if action["Type"] == "forward"
    ]


def serving_group(action: Mapping[str, Any]) -> str:
    """Return the target group that an action leads to, of several the one that gets the most."""
    shares = shares_of({"Actions": [action]})
    return str(max(shares, key=lambda arn: shares[arn]))


def way_to(path: str, rules: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return where a listener leads a path without maintenance; nothing where no rule of it forwards that path.

    Patterns know ``*`` and ``?`` ("Listener rules for your Application Load Balancer", Elastic Load Balancing).

    :param rules: all of the listener's, its default last.
    """
    for rule in rules:
        if rule["IsDefault"] or any(fnmatch.fnmatchcase(path, pattern) for pattern in paths_of(rule)):
            return forwarding(rule["Actions"])
    return []


def wanted_rules(forward: list[dict[str, Any]], message: str, health_path: str) -> dict[str, Rule]:
    """Return the rules of one listener by their purpose, as CreateRule takes them."""
    answer = {"StatusCode": "503", "ContentType": "application/json", "MessageBody": body(message)}
    return {
        HEALTH: {"path": health_path, "Actions": forward},
        PAGE: {"path": "*", "Actions": [{"Type": "fixed-response", "FixedResponseConfig": answer}]},
    }


def managed_part(rule: Mapping[str, Any]) -> Rule:
    """Cut a rule of DescribeRules down to what we set."""
    keys = ("Type", "TargetGroupArn", "FixedResponseConfig")
    actions = [{key: action[key] for key in keys if action.get(key)} for action in rule["Actions"]]
    return {"path": " ".join(paths_of(rule)), "Actions": actions}


def rules_of(client: Any, listener_arn: str) -> tuple[dict[str, Rule], list[Rule]]:
    """Return the rules of a listener: by ARN those that stand where ours would, and all others, in their order."""
    pages = client.get_paginator("describe_rules").paginate(ListenerArn=listener_arn)
    rules = [rule for page in pages for rule in page["Rules"]]
    others = [rule for rule in rules if rule["Priority"] not in PRIORITIES]
    # The default, which has a word for its priority, is asked last.
    others.sort(key=lambda rule: (rule["IsDefault"], int(rule["Priority"]) if not rule["IsDefault"] else 0))
    return {rule["RuleArn"]: rule for rule in rules if rule["Priority"] in PRIORITIES}, others


def existing_rules(module: AnsibleAWSModule, client: Any, rules: Mapping[str, Rule]) -> dict[str, Rule]:
    """Return ours of these by their purpose; fail when somebody else's stand where ours would."""
    if not rules:
        return {}
    found = {}
    for answer in client.describe_tags(ResourceArns=list(rules))["TagDescriptions"]:
        tags, rule = boto3_tag_list_to_ansible_dict(answer["Tags"]), rules[answer["ResourceArn"]]
        if owned_by(tags, module.params["tags"]) and MAINTENANCE_TAG in tags:
            found[tags[MAINTENANCE_TAG]] = rule
        elif module.params["state"] == "present":
            module.fail_json(
                msg=f"the listener has a rule of somebody else's with priority {rule['Priority']}, where maintenance "
                f"would be; give it another: aws elbv2 set-rule-priorities --rule-priorities "
                f"RuleArn={rule['RuleArn']},Priority=10"
            )
    return found


def put_up(module: AnsibleAWSModule, client: Any, listener: Mapping[str, Any], since: str) -> Iterable[tuple[Any, Any]]:
    """Bring a listener's rules to what is asked, the way in for the health check first; yield what changes."""
    in_place, others = rules_of(client, listener["ListenerArn"])
    found = existing_rules(module, client, in_place)
    health_path = module.params["health_path"]
    forward = way_to(health_path, others)
    if not forward:
        module.fail_json(
            msg=f"no rule of the listener for {listener['Protocol']} leads {health_path} to a target group, so nobody "
            f"could see the application during maintenance; run site.yml first"
        )
    wanted = wanted_rules(forward, module.params["message"], health_path)
    for priority, purpose in PRIORITIES.items():
        rule, old = wanted[purpose], found.get(purpose)
        if old and managed_part(old) == rule:
            continue
        yield (managed_part(old) if old else None), rule
        if module.check_mode:
            continue
        content = {
            "Conditions": [{"Field": "path-pattern", "PathPatternConfig": {"Values": [rule["path"]]}}],
            "Actions": rule["Actions"],
        }
        if old:
            client.modify_rule(RuleArn=old["RuleArn"], **content)
        else:
            tags = {**module.params["tags"], MAINTENANCE_TAG: purpose, SINCE_TAG: since}
            client.create_rule(
                ListenerArn=listener["ListenerArn"],
                Priority=int(priority),
                Tags=ansible_dict_to_boto3_tag_list(tags),
                **content,
            )


def take_away(module: AnsibleAWSModule, client: Any, listener: Mapping[str, Any]) -> Iterable[tuple[Any, Any]]:
    """Delete our rules of a listener, the answer before the way in for the health check; yield what changes."""
    found = existing_rules(module, client, rules_of(client, listener["ListenerArn"])[0])
    for purpose in (PAGE, HEALTH):
        if purpose in found:
            yield managed_part(found[purpose]), None
            if not module.check_mode:
                client.delete_rule(RuleArn=found[purpose]["RuleArn"])


def ensure(module: AnsibleAWSModule, client: Any) -> dict[str, Any]:
    """Bring all listeners to the wanted state."""
    pages = client.get_paginator("describe_listeners").paginate(LoadBalancerArn=module.params["load_balancer_arn"])
    listeners = [
        listener
        for page in pages
        for listener in page["Listeners"]
        if any(action["Type"] != "redirect" for action in listener["DefaultActions"])
    ]
    if not listeners:
        module.fail_json(msg="the load balancer has no listener that leads to the backend; run site.yml first")
    since = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    changes: dict[str, Any] = {"before": {}, "after": {}}
    for listener in listeners:
        present = module.params["state"] == "present"
        done = put_up(module, client, listener, since) if present else take_away(module, client, listener)
        for number, (old, new) in enumerate(done):
            name = f"{listener['Protocol']} {listener['Port']} rule {number + 1}"
            changes["before"].update({name: old} if old else {})
            changes["after"].update({name: new} if new else {})
    left = [
        rule["RuleArn"]
        for listener in listeners
        for rule in existing_rules(module, client, rules_of(client, listener["ListenerArn"])[0]).values()
    ]
    return {"changed": changes != {"before": {}, "after": {}}, "rules": left, "diff": changes}


def main() -> None:
    """Run the module."""
    module = AnsibleAWSModule(
        argument_spec={
            "load_balancer_arn": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "message": {"type": "str"},
            "health_path": {"type": "str"},
            "tags": {"type": "dict", "required": True},
        },
        required_if=[("state", "present", ("message", "health_path"))],
        supports_check_mode=True,
    )
    try:
        result = ensure(module, module.client("elbv2"))
    except (BotoCoreError, ClientError) as error:
        module.fail_json_aws(error, msg="The load balancer's maintenance cannot be changed")
    except ValueError as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
