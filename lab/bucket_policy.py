"""Does a bucket's policy let a service or the public read? Evaluated the way S3 does it.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html: an explicit deny wins,
without an allow the answer is no.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

PUBLIC = "*"
"""The principal of an unsigned request."""


def permits(policy: str | bytes | None, principal: str, action: str, resource: str, context: Mapping[str, str]) -> bool:
    """Say whether the policy permits a request.

    Args:
        policy: the policy document, None if the bucket has none.
        principal: a service (cloudfront.amazonaws.com) or PUBLIC.
        action: as in policies (s3:GetObject).
        resource: ARN of the bucket or object.
        context: condition keys of the request, in lower case.
    """
    if not policy:
        return False
    statements = _as_list(json.loads(policy).get("Statement", []))
    effects = {
        statement["Effect"] for statement in statements if _applies(statement, principal, action, resource, context)
    }
    return "Allow" in effects and "Deny" not in effects


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
    if "*" in _as_list(principals.get("AWS", [])):
        return True
    return principal in _as_list(principals.get("Service", []))


def _applies(
    statement: Mapping[str, Any], principal: str, action: str, resource: str, context: Mapping[str, str]
) -> bool:
    if "NotPrincipal" in statement:
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
        raise ValueError(f"bucket policy: the lab does not know the condition operator {operator}")
    return found != (negative is not None)
