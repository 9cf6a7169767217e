"""Requests at the same time: moto notes what an answer leaves out in one dictionary for all answers of a service.

An answer that is being written while another request notes something ends with an internal error.

And what each request asks for several times moto looks up behind one lock for all: the backend of an account, in a list
of all services, and the service of a host, by the patterns of all of them.
"""

from __future__ import annotations

import functools
from typing import Any

from moto.core.base_backend import BackendDict
from moto.core.responses import BaseResponse
from moto.moto_server.werkzeug_app import DomainDispatcherApplication

HOSTS = 1024
"""How many names of hosts are remembered: each bucket has one."""

_init = BaseResponse.__init__
_getitem = BackendDict.__getitem__
_get_backend_for_host = DomainDispatcherApplication.get_backend_for_host


def init(response: Any, *args: Any, **kwargs: Any) -> None:
    """Give a request's answer notes of its own."""
    _init(response, *args, **kwargs)
    response.RESPONSE_KEY_PATH_TO_TRANSFORMER = dict(response.RESPONSE_KEY_PATH_TO_TRANSFORMER)


def getitem(backends: Any, account_id: str) -> Any:
    """Return an account's backends; what is there needs no lock."""
    try:
        return dict.__getitem__(backends, account_id)
    except KeyError:
        return _getitem(backends, account_id)


def apply() -> None:
    """Put this into moto."""
    BaseResponse.__init__ = init
    BackendDict.__getitem__ = getitem
    DomainDispatcherApplication.get_backend_for_host = functools.lru_cache(HOSTS)(_get_backend_for_host)
