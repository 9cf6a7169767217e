#!/usr/bin/python
"""Manage all metric alarms of an environment as one list."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ansible.module_utils.listed_resources import run
from ansible.module_utils.ownership import foreign, owned_by
from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule
from ansible_collections.amazon.aws.plugins.module_utils.tagging import (
    ansible_dict_to_boto3_tag_list,
    boto3_tag_list_to_ansible_dict,
    compare_aws_tags,
)

DOCUMENTATION = r"""
module: cloudwatch_alarms
short_description: Manage a set of CloudWatch metric alarms
description:
  - The module amazon.aws.cloudwatch_metric_alarm cannot tag an alarm, so nobody could tell whose it is, and needs a
    run of its own for each. This one takes them all, tags them, and deletes those of ours that the list no longer has.
options:
  prefix:
    description: Names of all alarms of the set begin with it. Those of ours that do and are not listed are deleted.
    type: str
    required: true
  alarms:
    description: The alarms that should exist. An empty list deletes all of ours.
    type: list
    elements: dict
    required: true
    suboptions:
      name: {description: Name after the prefix., type: str, required: true}
      description: {description: What it means and what to do., type: str, required: true}
      namespace: {description: "Namespace of the metric, as C(AWS/EC2).", type: str, required: true}
      metric: {description: Name of the metric., type: str, required: true}
      dimensions: {description: Dimensions of the metric., type: dict, required: true}
      statistic:
        description: How the values of a period become one.
        type: str
        choices: [Average, Maximum, Minimum, Sum, SampleCount]
        default: Average
      percentile: {description: "Percentile instead of the statistic, as C(p95).", type: str, default: ""}
      each:
        description: Makes an alarm for each value of one more dimension, which ends its name (without the prefix).
        type: dict
        suboptions:
          dimension: {description: Name of the dimension., type: str, required: true}
          values: {description: Its values. None makes no alarm., type: list, elements: str, required: true}
      comparison:
        description: How the value is compared with the threshold.
        type: str
        choices:
          - GreaterThanOrEqualToThreshold
          - GreaterThanThreshold
          - LessThanThreshold
          - LessThanOrEqualToThreshold
        default: GreaterThanOrEqualToThreshold
      threshold: {description: Value that is compared with., type: float, required: true}
      period: {description: Seconds a value covers., type: int, default: 60}
      evaluation_periods: {description: Periods in a row that must breach., type: int, default: 5}
      treat_missing_data:
        description: What a period without values counts as.
        type: str
        choices: [breaching, notBreaching, ignore, missing]
        default: missing
      actions: {description: ARNs told when the alarm goes off., type: list, elements: str, default: []}
      ok_actions: {description: ARNs told when it is over., type: list, elements: str, default: []}
  tags:
    description: Tags. C(vahana:app) and C(vahana:env) decide whose an alarm is.
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
- name: Watch the group
  cloudwatch_alarms:
    prefix: cars-prod-
    alarms:
      - name: cpu-high
        description: The group works at its limit
        namespace: AWS/EC2
        metric: CPUUtilization
        dimensions: {AutoScalingGroupName: cars-prod-backend}
        threshold: 80
    tags: {"vahana:app": cars, "vahana:env": prod}
"""

RETURN = r"""
names:
  description: Names of the alarms that exist afterwards.
  returned: always
  type: list
  elements: str
"""

DELETE_AT_ONCE = 100
"""DeleteAlarms takes at most 100 names (CloudWatch API reference)."""


def expanded(prefix: str, option: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the alarm of an option, or one for each value of its dimension."""
    each = option["each"]
    if each is None:
        yield dict(option)
        return
    for value in each["values"]:
        name = f"{option['name']}-{value.removeprefix(prefix)}"
        yield {**option, "name": name, "dimensions": {**option["dimensions"], each["dimension"]: value}}


def wanted_alarm(prefix: str, option: Mapping[str, Any]) -> dict[str, Any]:
    """Translate one of the option alarms to what PutMetricAlarm takes and DescribeAlarms shows."""
    return {
        "AlarmName": prefix + option["name"],
        "AlarmDescription": option["description"],
        "ActionsEnabled": True,
        "Namespace": option["namespace"],
        "MetricName": option["metric"],
        "Dimensions": [{"Name": name, "Value": str(value)} for name, value in sorted(option["dimensions"].items())],
        **({"ExtendedStatistic": option["percentile"]} if option["percentile"] else {"Statistic": option["statistic"]}),
        "ComparisonOperator": option["comparison"],
        "Threshold": option["threshold"],
        "Period": option["period"],
        "EvaluationPeriods": option["evaluation_periods"],
        "TreatMissingData": option["treat_missing_data"],
        "AlarmActions": option["actions"],
        "OKActions": option["ok_actions"],
    }


def managed_part(alarm: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Cut an alarm down to the fields we set. Dimensions have no order."""
    part = {key: alarm.get(key) for key in wanted}
    part["Dimensions"] = sorted(part["Dimensions"] or [], key=lambda dimension: str(dimension["Name"]))
    return part


def existing_alarms(client: Any, prefix: str) -> dict[str, dict[str, Any]]:
    """Return the metric alarms whose names begin with the prefix, each with its tags, by name."""
    alarms = {}
    pages = client.get_paginator("describe_alarms").paginate(AlarmNamePrefix=prefix, AlarmTypes=["MetricAlarm"])
    for page in pages:
        for alarm in page["MetricAlarms"]:
            answer = client.list_tags_for_resource(ResourceARN=alarm["AlarmArn"])["Tags"]
            alarms[alarm["AlarmName"]] = {**alarm, "Tags": boto3_tag_list_to_ansible_dict(answer)}
    return alarms


def ensure(module: AnsibleAWSModule, client: Any) -> dict[str, Any]:
    """Bring the set of alarms to the list."""
    prefix, tags = module.params["prefix"], module.params["tags"]
    options = (option for each in module.params["alarms"] for option in expanded(prefix, each))
    wanted = {alarm["AlarmName"]: alarm for alarm in (wanted_alarm(prefix, option) for option in options)}
    existing = existing_alarms(client, prefix)
    for name in wanted.keys() & existing.keys():
        if not owned_by(existing[name]["Tags"], tags):
            module.fail_json(msg=foreign("CloudWatch alarm", name, tags))
    superfluous = sorted(
        name for name, alarm in existing.items() if name not in wanted and owned_by(alarm["Tags"], tags)
    )

    before: dict[str, Any] = {name: {"AlarmName": name} for name in superfluous}
    after: dict[str, Any] = {}
    for name, alarm in wanted.items():
        found = existing.get(name)
        if found is None:
            after[name] = {**alarm, "Tags": tags}
            if not module.check_mode:
                client.put_metric_alarm(**alarm, Tags=ansible_dict_to_boto3_tag_list(tags))
            continue
        current = managed_part(found, alarm)
        to_set, to_unset = compare_aws_tags(found["Tags"], tags, True)
        if current == alarm and not to_set and not to_unset:
            continue
        before[name] = {**current, "Tags": found["Tags"]}
        after[name] = {**alarm, "Tags": tags}
        if module.check_mode:
            continue
        if current != alarm:
            client.put_metric_alarm(**alarm)
        if to_unset:
            client.untag_resource(ResourceARN=found["AlarmArn"], TagKeys=to_unset)
        if to_set:
            client.tag_resource(ResourceARN=found["AlarmArn"], Tags=ansible_dict_to_boto3_tag_list(to_set))
    if not module.check_mode:
        for start in range(0, len(superfluous), DELETE_AT_ONCE):
            client.delete_alarms(AlarmNames=superfluous[start : start + DELETE_AT_ONCE])
    return {
        "changed": bool(before or after),
        "names": sorted(wanted),
        "diff": {"before": before, "after": after},
    }


def main() -> None:
    """Run the module."""
    alarm: dict[str, Any] = {
        "name": {"type": "str", "required": True},
        "description": {"type": "str", "required": True},
        "namespace": {"type": "str", "required": True},
        "metric": {"type": "str", "required": True},
        "dimensions": {"type": "dict", "required": True},
        "statistic": {
            "type": "str",
            "choices": ["Average", "Maximum", "Minimum", "Sum", "SampleCount"],
            "default": "Average",
        },
        "percentile": {"type": "str", "default": ""},
        "each": {
            "type": "dict",
            "options": {
                "dimension": {"type": "str", "required": True},
                "values": {"type": "list", "elements": "str", "required": True},
            },
        },
        "comparison": {
            "type": "str",
            "choices": [
                "GreaterThanOrEqualToThreshold",
                "GreaterThanThreshold",
                "LessThanThreshold",
                "LessThanOrEqualToThreshold",
            ],
            "default": "GreaterThanOrEqualToThreshold",
        },
        "threshold": {"type": "float", "required": True},
        "period": {"type": "int", "default": 60},
        "evaluation_periods": {"type": "int", "default": 5},
        "treat_missing_data": {
            "type": "str",
            "choices": ["breaching", "notBreaching", "ignore", "missing"],
            "default": "missing",
        },
        "actions": {"type": "list", "elements": "str", "default": []},
        "ok_actions": {"type": "list", "elements": "str", "default": []},
    }
    arguments = {
        "alarms": {"type": "list", "elements": "dict", "required": True, "options": alarm},
    }
    run("cloudwatch", "CloudWatch alarms", arguments, ensure)


if __name__ == "__main__":
    main()
