"""Requests at the same time: moto notes what an answer leaves out in one dictionary for all answers of a service.

An answer that is being written while another request notes something ends with an internal error.

And the service of a host, which each request asks for, is looked for behind one lock, by the patterns of all services.
"""

from __future__ import annotations

import functools
from typing import Any

from moto.core.responses import BaseResponse
from moto.moto_server.werkzeug_app import DomainDispatcherApplication

HOSTS = 1024
"""How many names of hosts are remembered: each bucket has one."""

_init = BaseResponse.__init__
_get_backend_for_host = DomainDispatcherApplication.get_backend_for_host


def init(response: Any, *args: Any, **kwargs: Any) -> None:
    """Give a request's answer notes of its own."""
    _init(response, *args, **kwargs)
    response.RESPONSE_KEY_PATH_TO_TRANSFORMER = dict(response.RESPONSE_KEY_PATH_TO_TRANSFORMER)


def apply() -> None:
    """Put this into moto."""
    BaseResponse.__init__ = init
    DomainDispatcherApplication.get_backend_for_host = functools.lru_cache(HOSTS)(_get_backend_for_host)
