"""The one mail box for all that the account sends by email; nothing leaves this machine."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

from lab import settings


def file() -> Path:
    """Where mail is kept, a line of JSON each."""
    return settings.home() / "mail.jsonl"


def deliver(address: str, subject: str, text: str) -> None:
    """Keep a mail."""
    mail = {"time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "to": address, "subject": subject, "text": text}
    with file().open("a") as box:
        box.write(json.dumps(mail) + "\n")


def read(address: str = "") -> Iterator[dict[str, str]]:
    """Yield the mails to an address, or all, the oldest first."""
    if file().exists():
        for line in file().read_text().splitlines():
            mail: dict[str, str] = json.loads(line)
            if address in ("", mail["to"]):
                yield mail
