#!/usr/bin/python3
"""Install releases of the backend on this host and switch between them.

Prints one JSON object to standard output; what goes wrong is one line on standard error, and an exit code.
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

# The role installs the modules there, under no name of Python's own: it holds for every version of Debian's Python.
sys.path.insert(0, "/usr/local/lib/vahana")

from backend_host import BOOT_FILE, CONFIG_FILE, EXIT_FAILED, Aws, Boot, Host, only_one, run_tool, say
from backend_releases import Activation, ActivationError, Releases, Service, describe, indent


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="backend-release", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)

    def verb(name: str, summary: str) -> argparse.ArgumentParser:
        return verbs.add_parser(name, help=summary, description=summary)

    verb("current", "Show the release in use, the one before and those installed.")
    install = verb("install", "Download a release with the instance's role, verify and unpack it.")
    activate = verb(
        "activate", "Fetch the secrets, switch to an installed release, prove its health; go back if it has none."
    )
    activate.add_argument("--migrate", action="store_true", help="run the release's `npm run migrate` first")
    activate.add_argument(
        "--drained",
        action="store_true",
        help="do not try it out beside the release in use: no requests come meanwhile, or that one is to be left",
    )
    migrate = verb(
        "migrate", "Run the migrations of an installed release, with its secrets and as its user; nothing else."
    )
    watch = verb("watch", "Look on whether the release in use lasts: its processes go on, and it answers.")
    watch.add_argument("--seconds", type=float, default=30, help="how long (%(default)s)")
    watch.add_argument("version", help="the release's name")
    for parser_of_verb in (install, migrate, activate):
        parser_of_verb.add_argument("version", help="the release's name")
        parser_of_verb.add_argument("--check", action="store_true", help="change nothing, tell what would change")
        parser_of_verb.add_argument(
            "--wait", type=float, default=30, metavar="SECONDS", help="patience with another one at work (%(default)s)"
        )
    return parser.parse_args(arguments)


def main() -> int:
    """Do what the command line says; return the exit code."""
    options = parse()
    host = Host.load(CONFIG_FILE)
    releases = Releases(host.root)
    if options.verb == "current":
        print(json.dumps(describe(releases)))
        return 0
    if options.verb == "watch":
        # It changes nothing, so it holds nobody up.
        return _answer(watch(options, Service(host)), releases, options.version)
    with only_one(f"backend-release {options.verb} {options.version}", options.wait):
        boot = Boot.load(BOOT_FILE)
        return _answer(change(options, host, boot, releases), releases, options.version)


def change(options: argparse.Namespace, host: Host, boot: Boot, releases: Releases) -> dict[str, Any]:
    """Install, migrate or activate."""
    aws = Aws(boot.region)
    if options.verb == "install":
        if options.check:
            return {"changed": not releases.is_complete(options.version)}
        return {"changed": releases.install(options.version, boot, aws)}
    activation = Activation(host, boot, aws, releases, Service(host))
    try:
        if options.verb == "migrate":
            return {"changed": activation.migrate(options.version, check=options.check)}
        changed = activation.activate(
            options.version, migrate=options.migrate, drained=options.drained, check=options.check
        )
        return {"changed": changed, "seconds": activation.seconds}
    except ActivationError as failure:
        return {"changed": True, "error": str(failure), "log": failure.log}


def watch(options: argparse.Namespace, service: Service) -> dict[str, Any]:
    """Look on whether the release lasts."""
    try:
        service.watch(options.version, Boot.load(BOOT_FILE).port, options.seconds)
    except ActivationError as failure:
        return {"changed": False, "error": str(failure), "log": failure.log}
    return {"changed": False, "seconds": {"watch": options.seconds}}


def _answer(result: dict[str, Any], releases: Releases, version: str) -> int:
    print(json.dumps({"release": version, **result, **describe(releases)}))
    if "error" not in result:
        return 0
    for line in indent(result["log"]):
        say(line)
    say(result["error"], error=True)
    return EXIT_FAILED


if __name__ == "__main__":
    sys.exit(run_tool(main))
