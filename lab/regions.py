"""Regions that are cut off: what is in one neither answers nor asks, neither outside nor within, until it is healed.

Who calls its API finds the connection closed without an answer, which is what SDKs and modules take for an endpoint
that is not there. The parts of the lab that stand for something in a region ask here whether it is cut off.
"""

from __future__ import annotations

import functools
import json
import socket
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import parse_qs

from lab import settings, signature

REGIONS_PATH = "/vahana-lab/regions"
"""Where this machine reads which regions are cut off (GET), and cuts one off or heals it (PUT)."""

_cut: set[str] = set()


class UnknownRegionError(ValueError):
    """There is no such region; the text is one line."""


@functools.cache
def _known() -> frozenset[str]:
    # The command `lab` has no need of it.
    import botocore.session

    return frozenset(botocore.session.get_session().get_available_regions("dynamodb"))


def cut(region: str) -> None:
    """Cut a region off.

    Raises:
        UnknownRegionError: AWS has none of that name.
    """
    if region not in _known():
        raise UnknownRegionError(f"there is no region {region!r}; for example: {settings.DEFAULT_REGION}")
    _cut.add(region)


def heal(region: str) -> None:
    """Let a region be reached again; one that was not cut off stays as it is."""
    _cut.discard(region)


def is_cut(region: str) -> bool:
    """Is a region cut off? What is in no region ("") never is."""
    return region in _cut


def of_request(environ: dict[str, Any]) -> str:
    """The region whose API a request is for: that which it is signed for, in its header or (presigned) its query.

    Services without regions, as IAM, Route 53 and CloudFront, are signed for us-east-1, where their control planes are:
    https://docs.aws.amazon.com/whitepapers/latest/aws-fault-isolation-boundaries/global-services.html.
    """
    if str(environ.get("HTTP_AUTHORIZATION", "")).startswith("AWS4-"):
        return signature.of(environ).region
    if str(environ["PATH_INFO"]).startswith("/v2/"):
        # ECR's registry, which names the region first.
        return str(environ["PATH_INFO"]).split("/")[2]
    scope = parse_qs(environ.get("QUERY_STRING", "")).get("X-Amz-Credential", [""])[0].split("/")
    return scope[-3] if len(scope) >= 5 else ""


def drop(environ: dict[str, Any]) -> None:
    """Close the connection of a request without an answer.

    Raises:
        ConnectionAbortedError: always; the server takes it for a client that went away.
    """
    connection = environ.get("werkzeug.socket")
    if connection is not None:
        connection.shutdown(socket.SHUT_RDWR)
    raise ConnectionAbortedError(f"{of_request(environ)} is cut off")


def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Answer GET with the regions that are cut off; PUT sets one (`{"region": "us-east-1", "cut": true}`)."""
    status, found = "200 OK", dict[str, Any]()
    match environ["REQUEST_METHOD"]:
        case "PUT":
            try:
                given = json.loads(environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)))
                (cut if given["cut"] else heal)(str(given["region"]))
            except UnknownRegionError as error:
                status, found = "400 Bad Request", {"error": str(error)}
            except (ValueError, KeyError, TypeError):
                example = f'{{"region": "{settings.DEFAULT_REGION}", "cut": true}}'
                status, found = "400 Bad Request", {"error": f"not understood; for example: {example}"}
        case "GET":
            pass
        case _:
            start_response("405 Method Not Allowed", [("Allow", "GET, PUT")])
            return [b""]
    body = json.dumps(found or {"cut": sorted(_cut)}).encode()
    start_response(status, [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]
