"""What goes over the warm worker's socket: one JSON object, after its length in eight bytes."""

from __future__ import annotations

import json
import socket
from dataclasses import asdict, dataclass
from typing import Any


@dataclass
class Request:
    """One module run."""

    #: Full name of the module, as ``ansible_collections.amazon.aws.plugins.modules.ec2_vpc_net``.
    module: str
    #: File of the module where it belongs to no package, otherwise empty.
    path: str
    #: The arguments as AnsiballZ hands them to a module: JSON, encoded for ``profile``.
    arguments: str
    profile: str
    environment: dict[str, str]
    directory: str
    umask: int
    #: Whether to run it under a plan's watch (plugins/module_utils/planning.py): nothing is written.
    plan: bool = False


@dataclass
class Answer:
    """How the module's process ended and what it wrote."""

    code: int
    out: str
    err: str


def send(connection: socket.socket, message: Request | Answer) -> None:
    """Send one message.

    Raises:
        OSError: the other side is gone.
    """
    data = json.dumps(asdict(message)).encode()
    connection.sendall(len(data).to_bytes(8) + data)


def receive(connection: socket.socket) -> dict[str, Any]:
    """Return the fields of the next message.

    Raises:
        EOFError: the other side ended before its message did.
    """
    size = int.from_bytes(_read(connection, 8))
    message: dict[str, Any] = json.loads(_read(connection, size))
    return message


def _read(connection: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        piece = connection.recv(min(size - len(data), 1 << 20))
        if not piece:
            raise EOFError("the connection closed in the middle of a message")
        data += piece
    return bytes(data)
