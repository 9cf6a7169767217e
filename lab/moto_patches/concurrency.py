"""Requests at the same time: moto notes what an answer leaves out in one dictionary for all answers of a service.

An answer that is being written while another request notes something ends with an internal error.
"""

from __future__ import annotations

from typing import Any

from moto.core.responses import BaseResponse

_init = BaseResponse.__init__


def init(response: Any, *args: Any, **kwargs: Any) -> None:
    """Give a request's answer notes of its own."""
    _init(response, *args, **kwargs)
    response.RESPONSE_KEY_PATH_TO_TRANSFORMER = dict(response.RESPONSE_KEY_PATH_TO_TRANSFORMER)


def apply() -> None:
    """Put this into moto."""
    BaseResponse.__init__ = init
