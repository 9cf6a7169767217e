"""Runs the AWS modules of the controller in children of one process that holds boto3 and the collections ready.

Ansible starts a Python for every task on localhost, and an AWS module then spends about a second on imports. Here a
server is started once a run (plugins/callback/warm_worker.py); each task gets a forked child of it, which runs the
unmodified module and ends (plugins/action/normal.py). Whatever the server cannot do goes the ordinary way.
"""

import os
from collections.abc import Iterable

#: Environment variable that tells a task's process where the server listens.
SOCKET_VARIABLE = "VAHANA_WARM_WORKER_SOCKET"

COLLECTIONS = ("amazon.aws.", "community.aws.")
"""The collections whose modules it runs, beside the project's own."""


def environment(collections: Iterable[str]) -> dict[str, str]:
    """Return the environment of a process that imports modules of collections.

    :param collections: folders that hold ``ansible_collections``; those from Galaxy are not in Python's own paths.
    """
    paths = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    return {**os.environ, "PYTHONPATH": os.pathsep.join([*paths, *collections])}
