"""CloudWatch Logs: of very many lines in a group the oldest go, as each is in memory and saved again and again."""

from __future__ import annotations

from typing import Any

from moto.logs.models import LogGroup

MOST_LINES = 100_000
"""How many log lines a group keeps: about 70 MB."""
FEWER = 20_000
"""How many go at once."""

_put = LogGroup.put_log_events


def put_log_events(self: Any, log_stream_name: str, log_events: list[dict[str, Any]]) -> str:
    """PutLogEvents."""
    token = str(_put(self, log_stream_name, log_events))
    streams = list(self.streams.values())
    excess = sum(len(stream.events) for stream in streams) - MOST_LINES
    if excess > 0:
        excess += FEWER
        # Of hosts that are gone first: theirs are the oldest.
        for stream in sorted(streams, key=lambda stream: stream.last_ingestion_time or stream.creation_time):
            gone = min(excess, len(stream.events))
            del stream.events[:gone]
            excess -= gone
    return token


def apply() -> None:
    """Put this into moto."""
    LogGroup.put_log_events = put_log_events
