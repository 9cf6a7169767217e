"""The VPC resolver at 169.254.169.253: answers what is the lab's, passes the rest to this machine's name servers."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from dnslib import QTYPE, RCODE, RR, DNSError, DNSHeader, DNSRecord
from dnslib.server import BaseResolver, DNSLogger, DNSServer

from lab import names, settings

TIMEOUT = 3.0
"""Seconds to wait for a name server of this machine."""

_log = logging.getLogger("lab.dns")


def name_servers(text: str, own: str) -> list[str]:
    """Name servers of a resolv.conf, without the lab's own address (which would be a loop)."""
    rows = [line.split() for line in text.splitlines()]
    found = [row[1] for row in rows if len(row) > 1 and row[0] == "nameserver"]
    return [server for server in found if server != own]


def reply(request: DNSRecord) -> DNSRecord | None:
    """Answer a question from what the lab knows, None if it is not the lab's to answer."""
    question = request.q
    kind = QTYPE[question.qtype]
    answer = names.lookup(str(question.qname), kind)
    if answer is None:
        return None
    made = request.reply(ra=1, aa=1)
    for record in answer.records:
        made.add_answer(*RR.fromZone(f"{record.name}. {record.ttl} IN {record.kind} {record.value}"))
    if not answer.records and not answer.exists:
        made.header.rcode = RCODE.NXDOMAIN
    return made


class _Resolver(BaseResolver):  # type: ignore[misc]
    """dnslib's hook: one call for each question, in a thread of its own."""

    def __init__(self, own: str) -> None:
        self._own = own

    def resolve(self, request: DNSRecord, handler: Any) -> DNSRecord:
        """Answer a question."""
        try:
            made = reply(request)
        except Exception:
            _log.exception("question %s", request.q)
            return self._failure(request)
        if made is not None:
            return made
        return self._forward(request, tcp=handler.protocol == "tcp")

    def _forward(self, request: DNSRecord, *, tcp: bool) -> DNSRecord:
        # Read anew each time: a laptop changes its network.
        for server in name_servers(Path("/etc/resolv.conf").read_text(), self._own):
            try:
                return DNSRecord.parse(request.send(server, 53, tcp=tcp, timeout=TIMEOUT, ipv6=":" in server))
            except (OSError, DNSError):
                continue
        return self._failure(request)

    @staticmethod
    def _failure(request: DNSRecord) -> DNSRecord:
        header = DNSHeader(id=request.header.id, qr=1, ra=1, rcode=RCODE.SERVFAIL)
        return DNSRecord(header, q=request.q)


class Resolver:
    """The resolver's two sockets, UDP and TCP."""

    def __init__(self, address: str = settings.RESOLVER_ADDRESS, port: int = settings.DNS_PORT) -> None:
        resolver = _Resolver(address)
        quiet = DNSLogger(log="-request,-reply,-truncated,-error")
        self._servers = [
            DNSServer(resolver, address=address, port=port, tcp=tcp, logger=quiet) for tcp in (False, True)
        ]

    def start(self) -> None:
        """Begin to answer."""
        for server in self._servers:
            server.start_thread()

    def close(self) -> None:
        """Stop answering."""
        for server in self._servers:
            server.stop()
            server.server.server_close()
