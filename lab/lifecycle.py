"""Which images of a repository expire by its lifecycle policy.

AWS looks within 24 hours; the lab whenever an image is pushed. Rules are taken in the order of their priority, and an
image that one of them has matched is none of the later ones':
https://docs.aws.amazon.com/AmazonECR/latest/userguide/LifecyclePolicies.html
"""

from __future__ import annotations

import fnmatch
import json
from typing import Any

DAY = 86_400


def expired(policy: str, images: list[Any], now: float) -> list[Any]:
    """Return the images that expire.

    Args:
        policy: the policy's text.
        images: of moto's, with tags and the time they were pushed at.
        now: seconds since 1970.
    """
    gone: list[Any] = []
    left = sorted(images, key=lambda image: image.image_pushed_at, reverse=True)
    for rule in sorted(json.loads(policy)["rules"], key=lambda rule: rule["rulePriority"]):
        selection = rule["selection"]
        matched = [image for image in left if _matches(selection, image.image_tags)]
        if selection["countType"] == "imageCountMoreThan":
            chosen = matched[int(selection["countNumber"]) :]
        else:
            oldest = now - int(selection["countNumber"]) * DAY
            chosen = [image for image in matched if image.image_pushed_at <= oldest]
        gone += chosen
        if selection["tagStatus"] != "any":
            left = [image for image in left if image not in matched]
    return gone


def _matches(selection: dict[str, Any], tags: list[str]) -> bool:
    """Does a rule look at an image with these tags? Of several prefixes or patterns it must have each."""
    match selection["tagStatus"]:
        case "untagged":
            return not tags
        case "tagged":
            patterns = selection.get("tagPatternList") or [f"{each}*" for each in selection["tagPrefixList"]]
            return all(any(fnmatch.fnmatchcase(tag, pattern) for tag in tags) for pattern in patterns)
    return True
