"""What moto lacks for the collections' modules and for hosts that are real, one module a service.

moto is pinned exactly (pyproject.toml), because these modules replace parts of its inside.
"""

from __future__ import annotations

import importlib
import pkgutil


def apply_all() -> None:
    """Call `apply()` of every module in this package, once, before the API starts."""
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}").apply()
