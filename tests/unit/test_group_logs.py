"""The log groups of functions as one, in the order of time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from plugins.action.group_logs import Groups

STREAMS = {"/cars/prod/api/api": "2026/11/28/[3]0123", "/cars/prod/functions/email": "2026/11/28/[$LATEST]4567"}


@pytest.fixture
def logs(credentials: None) -> Iterator[Any]:
    with mock_aws():
        client = boto3.client("logs")
        for group, stream in STREAMS.items():
            client.create_log_group(logGroupName=group)
            client.create_log_stream(logGroupName=group, logStreamName=stream)
        yield client


def write(logs: Any, group: str, at: int, message: str) -> None:
    events = [{"timestamp": at, "message": message}]
    logs.put_log_events(logGroupName=group, logStreamName=STREAMS[group], logEvents=events)


def now() -> int:
    from moto.core.utils import unix_time_millis

    return int(unix_time_millis())


def test_they_are_merged_and_each_line_comes_once(logs: Any) -> None:
    start = now() - 10_000
    api, email = STREAMS
    write(logs, api, start, "one")
    write(logs, email, start + 1, "two\nthree")
    write(logs, api, start + 2, "four")
    groups = Groups(logs, list(STREAMS), "")
    assert [(line.host, line.source, line.text) for line in groups.read(start)] == [
        ("api", "3", "one"),
        ("email", "$LATEST", "two"),
        ("email", "$LATEST", "three"),
        ("api", "3", "four"),
    ]
    assert groups.read(start) == []
    write(logs, email, start + 3, "five")
    assert [line.text for line in groups.read(start)] == ["five"]


def test_what_does_not_match_and_what_is_older_is_left_out(logs: Any) -> None:
    start = now() - 10_000
    [api, _email] = STREAMS
    for at, text in ((0, "an Error"), (1000, "an Error"), (1001, "all is well")):
        write(logs, api, start + at, text)
    assert [line.text for line in Groups(logs, [api], "error").read(start + 500)] == ["an Error"]
    assert Groups(logs, [api], "ERROR").read(start) == []
