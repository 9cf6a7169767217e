"""Which tests may run at the same time.

`make test` runs three processes, one more than a small machine has cores, because many tests wait for something.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadFileScheduling

HERE = Path(__file__).parent
#: Folders whose tests share a fixture of the session.
SHARING = ("tests/lab/", "tests/plan/", "tests/ops/")
#: What takes longest begins first.
ORDER = ("lab", "molecule", "lint", "plan", "ops", "security", "unit")

#: Of the processes whose tests are not the lab's (nice(2)).
GIVING_WAY = 10


class Shares(LoadFileScheduling):  # type: ignore[misc]
    """Keeps together what shares something that is made once: the lab, of which a machine has one, or an account."""

    def _split_scope(self, nodeid: str) -> str:
        file = str(super()._split_scope(nodeid))
        return next((folder for folder in SHARING if file.startswith(folder)), file)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Shares:
    """Tell pytest-xdist how to share the tests out."""
    return Shares(config, log)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let one process begin with the lab and the other with molecule."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        items.sort(key=lambda item: ORDER.index(item.path.relative_to(HERE).parts[0]))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Let the others give way to the lab, whose tests run one after the other and take the longest of all."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        of_lab = item.path.relative_to(HERE).parts[0] == ORDER[0]
        # Taking priority back is root's, as are the lab's tests.
        with contextlib.suppress(PermissionError):
            os.setpriority(os.PRIO_PROCESS, 0, 0 if of_lab else GIVING_WAY)
