"""Application Auto Scaling: what can be scaled has tags. moto takes none and knows no call that asks for them."""

from __future__ import annotations

import json
from typing import Any

from moto.applicationautoscaling.responses import ApplicationAutoScalingResponse
from moto.core.exceptions import JsonRESTError

_register = ApplicationAutoScalingResponse.register_scalable_target


def _targets(self: Any) -> dict[str, Any]:
    kept = self.applicationautoscaling_backend.targets.values()
    return {each.arn: each for targets in kept for each in targets.values()}


def _tags(self: Any) -> dict[str, str]:
    """Tags of the target that a request is about."""
    arn = self._get_param("ResourceARN")
    target = _targets(self).get(arn)
    if target is None:
        raise JsonRESTError("ResourceNotFoundException", f"No scalable target found for ARN: {arn}")
    tags: dict[str, str] = target.__dict__.setdefault("tags", {})
    return tags


def register_scalable_target(self: Any) -> str:
    """RegisterScalableTarget: tags are given to a new one only."""
    before = _targets(self)
    answer: str = _register(self)
    arn = json.loads(answer)["ScalableTargetARN"]
    if arn not in before:
        _targets(self)[arn].tags = dict(self._get_param("Tags") or {})
    return answer


def list_tags_for_resource(self: Any) -> str:
    """ListTagsForResource."""
    return json.dumps({"Tags": _tags(self)})


def tag_resource(self: Any) -> str:
    """TagResource."""
    _tags(self).update(self._get_param("Tags"))
    return "{}"


def untag_resource(self: Any) -> str:
    """UntagResource."""
    for key in self._get_param("TagKeys"):
        _tags(self).pop(key, None)
    return "{}"


def apply() -> None:
    """Put this into moto."""
    for call in (register_scalable_target, list_tags_for_resource, tag_resource, untag_resource):
        setattr(ApplicationAutoScalingResponse, call.__name__, call)
