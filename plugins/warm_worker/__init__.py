"""Runs the AWS modules of the controller in children of one process that holds boto3 and the collections ready.

Ansible starts a Python for every task on localhost, and an AWS module then spends about a second on imports. Here a
server is started once a run (plugins/callback/warm_worker.py); each task gets a forked child of it, which runs the
unmodified module and ends (plugins/action/normal.py). Whatever the server cannot do goes the ordinary way.
"""

#: Environment variable that tells a task's process where the server listens.
SOCKET_VARIABLE = "VAHANA_WARM_WORKER_SOCKET"
