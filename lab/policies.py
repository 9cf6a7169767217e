"""Do policies permit a request? Evaluated the way AWS does it.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html: an explicit deny wins,
without an allow the answer is no.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from lab import settings

PUBLIC = "*"
"""The principal of an unsigned request."""


ALLOW, DENY = "Allow", "Deny"


def permits(policy: str | bytes | None, principal: str, action: str, resource: str, context: Mapping[str, str]) -> bool:
    """Say whether a bucket's policy alone permits a request: what counts for a service or the public.

    Args:
        policy: the policy document, None if the bucket has none.
        principal: a service (cloudfront.amazonaws.com), a role's ARN or PUBLIC.
        action: as in policies (s3:GetObject).
        resource: ARN of the bucket or object.
        context: condition keys of the request, in lower case.
    """
    found = effects(policy, action, resource, context, principal)
    return ALLOW in found and DENY not in found


def effects(
    policy: str | bytes | None, action: str, resource: str, context: Mapping[str, str], principal: str | None = None
) -> set[str]:
    """Return the effects of the statements that apply to a request: none, ALLOW, DENY or both.

    Args:
        policy: the policy document, None where there is none.
        action: as in policies (s3:GetObject).
        resource: ARN of what the request is for; "*" where its action knows no resources.
        context: condition keys of the request, in lower case.
        principal: who asks, for a resource's policy; None for a policy of the one who asks.

    Raises:
        ValueError: a condition's operator is one that the lab does not know.
    """
    if not policy:
        return set()
    statements = _as_list(json.loads(policy).get("Statement", []))
    return {
        statement["Effect"] for statement in statements if _applies(statement, action, resource, context, principal)
    }


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _matches(pattern: str, text: str) -> bool:
    """Wildcards of policies: * is any text, ? any character."""
    expression = "".join(".*" if each == "*" else "." if each == "?" else re.escape(each) for each in pattern)
    return re.fullmatch(expression, text, re.DOTALL) is not None


def _names(principals: Any, principal: str) -> bool:
    """Does a Principal element include a principal?"""
    if principals == "*":
        return True
    if not isinstance(principals, dict):
        return False
    people = _as_list(principals.get("AWS", []))
    return "*" in people or principal in people or principal in _as_list(principals.get("Service", []))


def _applies(
    statement: Mapping[str, Any], action: str, resource: str, context: Mapping[str, str], principal: str | None
) -> bool:
    if principal is None:
        included = True
    elif "NotPrincipal" in statement:
        included = not _names(statement["NotPrincipal"], principal)
    else:
        included = _names(statement.get("Principal"), principal)
    if not included:
        return False
    for element, text in (("Action", action), ("Resource", resource)):
        fold = str.lower if element == "Action" else str
        if f"Not{element}" in statement:
            if any(_matches(fold(each), fold(text)) for each in _as_list(statement[f"Not{element}"])):
                return False
        elif not any(_matches(fold(each), fold(text)) for each in _as_list(statement.get(element, []))):
            return False
    return all(
        _holds(operator, key.lower(), [str(value) for value in _as_list(values)], context)
        for operator, keys in statement.get("Condition", {}).items()
        for key, values in keys.items()
    )


def _holds(operator: str, key: str, values: Iterable[str], context: Mapping[str, str]) -> bool:
    """Does one condition hold? A key that the request has not makes it false, save for the Not… and …IfExists forms.

    Raises:
        ValueError: the operator is one that the lab does not know: better loud than wrongly open.
    """
    base = operator.removesuffix("IfExists")
    present = context.get(key)
    if base == "Null":
        return any((value.lower() == "true") == (present is None) for value in values)
    negative = base.replace("Not", "", 1) if "Not" in base else None
    if present is None:
        return operator.endswith("IfExists") or negative is not None
    name = negative or base
    if name in {"StringEquals", "ArnEquals"}:
        # ArnEquals and ArnLike are the same to AWS.
        found = any(_matches(value, present) if name == "ArnEquals" else value == present for value in values)
    elif name in {"StringLike", "ArnLike"}:
        found = any(_matches(value, present) for value in values)
    elif name == "StringEqualsIgnoreCase" or base == "Bool":
        found = any(value.lower() == present.lower() for value in values)
    else:
        raise ValueError(f"the lab does not know the condition operator {operator} of policies")
    return found != (negative is not None)


def permits_service(function: Any, principal: str, arn: str, source_arn: str) -> bool:
    """Say whether a function's own policy lets a service invoke it.

    :param function: moto's function.
    :param principal: the service, as ``events.amazonaws.com``.
    :param arn: ARN by which the function is invoked, with its alias.
    :param source_arn: what of the service does.
    """
    statements = json.dumps({"Statement": function.policy.statements}) if function.policy else None
    context = {"aws:sourcearn": source_arn, "aws:sourceaccount": settings.ACCOUNT_ID}
    return permits(statements, principal, "lambda:InvokeFunction", arn, context)
