"""Runs one module without the warm process: a request as JSON on standard input, for when there is no server to ask."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import ansible.module_utils

from plugins.warm_worker.server import be_module
from plugins.warm_worker.wire import Request

if __name__ == "__main__":
    ansible.module_utils.__path__.append(str(Path(__file__).resolve().parents[1] / "module_utils"))
    sys.stdout.flush()
    os._exit(be_module(Request(**json.load(sys.stdin))))
