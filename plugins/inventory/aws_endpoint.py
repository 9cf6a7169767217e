"""The inventory's guard: which AWS this run talks to, decided once and before anything is asked of it."""

from __future__ import annotations

import http.client
import ipaddress
import os
import shlex
import sys
from collections.abc import Mapping, MutableMapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import urlsplit

from ansible import context
from ansible.errors import AnsibleError
from ansible.plugins.inventory import BaseInventoryPlugin
from ansible.template import Templar
from ansible.utils.display import Display
from ansible.utils.vars import load_extra_vars

# Ansible finds a controller plugin by its path and gives it no way to import its neighbours.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from plugins.module_utils.all_inputs import ALL_INPUTS, HOOKS, check_all
from plugins.module_utils.project import COMMAND, ROOT, knowledge, read_variables

if TYPE_CHECKING:
    from ansible.inventory.data import InventoryData
    from ansible.parsing.dataloader import DataLoader

DOCUMENTATION = r"""
name: aws_endpoint
short_description: Points a run at AWS or at the lab, and refuses the mixture
description:
  - Read before the inventory that asks AWS for instances. Sets the region, the endpoint and the lab's credentials in
    the environment of this run, so that no task, module or plugin has to name them.
  - Checks every variable it can see first, so that a misspelt one costs no API call.
  - Adds no hosts.
options:
  plugin:
    description: Always C(aws_endpoint).
    type: str
    required: true
    choices: [aws_endpoint]
  target:
    description:
      - C(lab) takes the loopback endpoint in O(endpoint_url) and drops every AWS setting of the caller.
      - C(aws) refuses to run when the caller's environment points somewhere else.
    type: str
    required: true
    choices: [aws, lab]
  endpoint_url:
    description:
      - Where the lab answers. Its host must be a loopback address.
      - Leave it out of the inventory file when E(VAHANA_LAB_ENDPOINT) shall have a say.
    type: str
    default: http://127.0.0.1:4566
    env:
      - name: VAHANA_LAB_ENDPOINT
"""

EXAMPLES = r"""
plugin: aws_endpoint
target: lab
"""

WORDS = {"strategy": "deploy_strategy", "version": "release"}
"""What a person writes with ``-e``, and the variable that it sets."""
#: Of every client that does not choose for itself: AWS's throttling must not end a run in the middle of something.
PATIENCE = {"AWS_RETRY_MODE": "adaptive", "AWS_MAX_ATTEMPTS": "6"}
LAB_HOME = "/var/lib/vahana-lab"
PODMAN_FILES = {"CONTAINERS_CONF": "containers.conf", "CONTAINERS_STORAGE_CONF": "storage.conf"}
"""What makes podman use the lab's storage: variable → file in its home."""
LAB_IS_DOWN = "the lab is not running: start it with `make demo` or `.venv/bin/lab up`"
_LAB_TIMEOUT = 5.0


def lab_endpoint_problem(url: str) -> str:
    """Say why ``url`` cannot be the lab's endpoint; empty when it can. Only loopback is the lab."""
    host = urlsplit(url).hostname or ""
    try:
        loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = False
    if loopback:
        return ""
    return (
        f"the lab inventory talks to this machine only, not to '{url}': "
        "unset VAHANA_LAB_ENDPOINT or set it to http://127.0.0.1:<port> (AWS: -i inventories/aws)"
    )


def aws_environment_problem(environment: Mapping[str, str]) -> str:
    """Say which variable would send AWS calls somewhere else; empty when none does."""
    names = [name for name in environment if name.startswith("AWS_ENDPOINT_URL") or name == "AWS_URL"]
    redirecting = sorted(name for name in names if environment[name])
    if not redirecting:
        return ""
    found = ", ".join(f"{name}={environment[name]}" for name in redirecting)
    return f"inventories/aws talks to AWS alone, but {found} is set: unset it, or use -i inventories/lab"


def enter_lab(environment: MutableMapping[str, str], url: str) -> None:
    """Leave nothing of the caller's AWS settings and point every SDK at the lab.

    Who else than the account's administrator is to ask has VAHANA_LAB_CREDENTIALS: access key, secret and session
    token, with a blank in between.
    """
    # Modules blank their secret out of all they return, so it must be no word that occurs there ("available").
    key, secret, *token = environment.get("VAHANA_LAB_CREDENTIALS", "lab 0-no-secret-0").split()
    for name in [name for name in environment if name.startswith(("AWS_", "EC2_", "BOTO_"))]:
        del environment[name]
    environment.update(
        AWS_ENDPOINT_URL=url,
        AWS_ACCESS_KEY_ID=key,
        AWS_SECRET_ACCESS_KEY=secret,
        # A profile or an endpoint in the caller's own files must not reach this run either.
        AWS_CONFIG_FILE=os.devnull,
        AWS_SHARED_CREDENTIALS_FILE=os.devnull,
        AWS_EC2_METADATA_DISABLED="true",
    )
    if token:
        environment["AWS_SESSION_TOKEN"] = token[0]
    # Images are pushed to a registry on loopback, which has no TLS; where the lab runs they are made in its storage.
    environment["CONTAINERS_REGISTRIES_CONF"] = str(ROOT / "lab" / "registries.conf")
    storage = Path(environment.get("VAHANA_LAB_HOME") or LAB_HOME) / "podman"
    for name, file in PODMAN_FILES.items():
        if (storage / file).exists():
            environment[name] = str(storage / file)
    exceptions = [part for part in environment.get("NO_PROXY", "").split(",") if part]
    environment["NO_PROXY"] = ",".join(dict.fromkeys([*exceptions, urlsplit(url).hostname or ""]))


def lab_answers(url: str) -> bool:
    """Tell whether an API server answers at ``url``."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port or 80, timeout=_LAB_TIMEOUT)
    try:
        connection.request("GET", "/moto-api/")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def rename_words(given: dict[str, Any]) -> None:
    """Give what a person wrote with ``-e`` the name that playbooks know it by, in place."""
    for word, name in WORDS.items():
        # Of both names, one is refused later.
        if word in given and name not in given:
            given[name] = given.pop(word)


def command_line(arguments: Mapping[str, Any], given: Mapping[str, Any]) -> str:
    """Return how a command about the same environment begins: with the same inventory, names and region.

    :param arguments: Ansible's command line (``ansible.context.CLIARGS``).
    :param given: the variables that were given with ``-e``, and the region also when the caller's environment names it.
    """
    words = ["ansible-playbook"]
    for source in arguments.get("inventory") or ():
        if Path(source) != ROOT / "inventories/aws":
            path = os.path.relpath(source)
            words += ["-i", source if "," in source or path.startswith("..") else path]
    for name in ("app_name", "deploy_env", "aws_region"):
        if name in given:
            words += ["-e", f"{name}={given[name]}"]
    return shlex.join(words)


class InventoryModule(BaseInventoryPlugin):  # type: ignore[misc]
    """Guard of an inventory directory."""

    NAME = "aws_endpoint"

    def verify_file(self, path: str) -> bool:
        """Take YAML files; the ``auto`` plugin has already matched the name inside."""
        return bool(super().verify_file(path)) and path.endswith((".yml", ".yaml"))

    def parse(self, inventory: InventoryData, loader: DataLoader, path: str, cache: bool = True) -> None:
        """Check, then set the environment that everything after this file sees."""
        super().parse(inventory, loader, path, cache)
        self._read_config_data(path)
        # Ansible reads them once, and its variables from the same dictionary after the inventory.
        rename_words(load_extra_vars(loader))
        target, url = self.get_option("target"), self.get_option("endpoint_url")
        if target == "lab":
            if problem := lab_endpoint_problem(url):
                self._refuse(problem)
            enter_lab(os.environ, url)
        elif os.environ.get("VAHANA_LAB_ENDPOINT"):
            self._refuse("VAHANA_LAB_ENDPOINT is set: unset it, or use -i inventories/lab")
        elif problem := aws_environment_problem(os.environ):
            self._refuse(problem)
        else:
            # An endpoint in ~/.aws/config is not a wish to be redirected either.
            os.environ["AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"] = "true"
        values = self._check_inputs(loader)
        region = str(values["aws_region"])
        given = dict(load_extra_vars(loader))
        if os.environ.get("AWS_REGION"):
            given.setdefault("aws_region", region)
        os.environ[COMMAND] = command_line(context.CLIARGS, given)
        os.environ.update(AWS_REGION=region, AWS_DEFAULT_REGION=region)
        for name, value in PATIENCE.items():
            os.environ.setdefault(name, value)
        os.environ.update(VAHANA_APP=str(values["app_name"]), VAHANA_ENV=str(values["deploy_env"]))
        if target == "lab":
            if not lab_answers(url):
                self._refuse(LAB_IS_DOWN)
        else:
            self._check_access(region)

    def _check_inputs(self, loader: DataLoader) -> dict[str, Any]:
        """Return the checked variables as far as they are known before any host is."""
        if not os.environ.get("AWS_REGION") and os.environ.get("AWS_DEFAULT_REGION"):
            os.environ["AWS_REGION"] = os.environ["AWS_DEFAULT_REGION"]
        extra = load_extra_vars(loader)
        if not os.environ.get("AWS_REGION") and extra.get("regions"):
            # Who names all of them has named the first.
            os.environ["AWS_REGION"] = str(extra["regions"]).partition(",")[0]

        def load(path: str) -> Any:
            return loader.load_from_file(path, trusted_as_template=True)

        tiers = read_variables(ROOT, "", load)[0]["tier_names"]
        tier = str(extra.get("tier", ""))
        values, sources = read_variables(ROOT, tier if tier in tiers else "", load)
        templar = Templar(loader=loader, variables={**values, **extra})
        known: dict[str, Any] = {}
        for name in ALL_INPUTS:
            if name in extra or name in values:
                try:
                    known[name] = templar.template(extra.get(name, values.get(name)))
                except AnsibleError:
                    # Depends on what only the run will know (the deployed tier): preflight checks it then.
                    continue
        about = knowledge(ROOT, sources, tiers, extra, context.CLIARGS, str(known.get(HOOKS) or ""))
        problems = list(check_all(known, {**values, **extra}, about, load))
        if problems:
            self._refuse(*map(str, problems))
        return known

    def _check_access(self, region: str) -> None:
        # boto3 takes 0.2 s to import, and the lab needs no answer to this question.
        from plugins.module_utils.access import AccessError, identify

        try:
            identify(region)
        except AccessError as error:
            self._refuse(str(error))

    def _refuse(self, *problems: str) -> NoReturn:
        """End the run with one line a problem.

        An inventory plugin that raises is reported as a warning with its origin, then the directory as unreadable, and
        the next file is read all the same; leaving here is what makes a refusal plain and certain.
        """
        for problem in problems:
            Display().error(problem, wrap_text=False)
        raise SystemExit(1)
