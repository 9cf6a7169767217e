#!/usr/bin/python3
"""Work with the environment's database from this host: prove it, save it, bring it back, change who logs in.

Prints one JSON object to standard output; what goes wrong is one line on standard error, and an exit code.
Passwords are read from Secrets Manager with the instance's role and appear nowhere else.
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

# The role installs the modules there, under no name of Python's own: it holds for every version of Debian's Python.
sys.path.insert(0, "/usr/local/lib/vahana")

from backend_host import BOOT_FILE, CONFIG_FILE, Aws, Boot, Host, HostError, only_one, run_tool
from backend_releases import Service
from backend_sqlite import Backups


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="backend-data", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)

    def verb(name: str, summary: str) -> argparse.ArgumentParser:
        return verbs.add_parser(name, help=summary, description=summary)

    measure = verb("measure", "Count and check the rows of every table of the PostgreSQL database, at one moment.")
    measure.add_argument("--host", help="address of a copy of the database")
    measure.add_argument("--since", metavar="SNAPSHOT", help="`snapshot` of an earlier measure: count its rows, too")
    verb("logins", "Show which login the application uses, and who is logged in.")
    admit = verb("admit", "Let the login of a secret in, with the password there.")
    admit.add_argument("secret", help="the secret's name; `current` is the one the application uses")
    admit.add_argument("--stage", default="AWSCURRENT", help="version of the secret (%(default)s)")
    admit.add_argument("--host", help="address of a copy of the database")
    dismiss = verb("dismiss", "Shut a login out that nobody uses any more.")
    dismiss.add_argument("user", help="name of the login")
    dismiss.add_argument("--wait", type=float, default=90, metavar="SECONDS", help="for its users to go (%(default)s)")
    for name, summary in (
        ("save", "Upload a copy of the SQLite database; print its manifest."),
        ("verify", "Bring a copy back into a file of its own and check every row."),
        ("restore", "Exchange the SQLite database for a copy; the former stays beside it."),
    ):
        verb(name, summary).add_argument("name", help="name of the backup")
    return parser.parse_args(arguments)


def main() -> int:
    """Do what the command line says; return the exit code."""
    options = parse()
    host, boot = Host.load(CONFIG_FILE), Boot.load(BOOT_FILE)
    aws = Aws(boot.region)
    if options.verb in ("save", "verify", "restore"):
        backups = Backups(host, boot, aws, Service(host))
        with only_one(f"backend-data {options.verb} {options.name}", 30):
            result: dict[str, Any] = getattr(backups, options.verb)(options.name)
    else:
        result = with_server(options, boot, aws)
    print(json.dumps(result))
    return 0


def with_server(options: argparse.Namespace, boot: Boot, aws: Aws) -> dict[str, Any]:
    """Do what concerns PostgreSQL."""
    try:
        from backend_postgres import Database
    except ImportError as missing:
        raise HostError(f"{missing}: run site.yml (playbooks/configure.yml), which installs it") from missing
    database = Database(boot, aws, getattr(options, "host", None))
    if options.verb == "measure":
        return database.measure(options.since)
    if options.verb == "logins":
        return database.logins()
    if options.verb == "dismiss":
        return database.dismiss(options.user, options.wait)
    if options.secret == "current" and database.serves_master:
        # RDS itself keeps the master user's password.
        return {"admitted": ""}
    return database.admit(database.secret if options.secret == "current" else options.secret, options.stage)


if __name__ == "__main__":
    sys.exit(run_tool(main))
