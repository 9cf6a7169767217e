"""Runs the command that comes on standard input as the backend's user (or root) with the backend's environment.

What the environment holds stands in no argument: it is read here, by root, and handed on as an environment.
"""

import json
import os
import pwd
import sys
from pathlib import Path

ENVIRONMENT = Path("/run/backend/env")

command = sys.stdin.read()
backend = json.loads(Path("/etc/vahana/backend.json").read_text())
user = pwd.getpwnam("root" if sys.argv[1:] == ["--root"] else backend["user"])
environment = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}
if ENVIRONMENT.exists():
    for line in ENVIRONMENT.read_text().splitlines():
        name, _sign, value = line.partition("=")
        if value:
            environment[name] = json.loads(value)
environment.update(HOME=user.pw_dir, USER=user.pw_name, LOGNAME=user.pw_name)
current = Path(backend["root"], "current")
os.chdir(current if current.is_dir() else "/")
# The command has no input: one that waits for it would wait for ever.
os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
os.initgroups(user.pw_name, user.pw_gid)
os.setgid(user.pw_gid)
os.setuid(user.pw_uid)
os.execve("/bin/sh", ["sh", "-c", command], environment)
