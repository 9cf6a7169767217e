"""What moto lacks for the collections' modules and for hosts that are real, one module a service.

moto is pinned exactly (pyproject.toml), because these modules replace parts of its inside.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil


@functools.cache
def apply_all() -> None:
    """Call `apply()` of every module in this package, before the API starts; a second call does nothing."""
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}").apply()
