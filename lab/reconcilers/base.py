"""The thread that every reconciler runs in."""

from __future__ import annotations

import abc
import logging
import threading
from collections.abc import Callable
from typing import ClassVar


class Reconciler(abc.ABC):
    """Something that is brought in line with the API's state, again and again.

    `reconcile` is called every `interval` seconds and soon after `wake`, which the daemon calls after each request
    that may have changed something. It reads moto's backends in process, must bear being called at any time, and may
    raise: the error is logged once and the next call tries again.
    """

    name: ClassVar[str]
    interval: ClassVar[float] = 2.0

    def __init__(self) -> None:
        self.log = logging.getLogger(f"lab.{self.name}")
        self.changed: Callable[[], None] = lambda: None
        """To be called after changing the API's state: the daemon saves it and wakes the others."""
        self.written: Callable[[], None] = lambda: None
        """The same for what nobody has to follow: the daemon saves it."""
        self._wanted = threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._work, name=self.name, daemon=True)
        self._last_error = ""

    @abc.abstractmethod
    def reconcile(self) -> None:
        """Bring the machine in line with the API's state, or the state in line with the machine."""

    def attempt(self) -> None:
        """Reconcile now, in the caller's thread; a fault is logged."""
        try:
            self.reconcile()
        except Exception as error:
            # The same fault comes back every interval: one trace of it is enough.
            text = f"{type(error).__name__}: {error}"
            if text != self._last_error:
                self.log.exception("%s failed, trying again every %s s", self.name, self.interval)
            self._last_error = text
        else:
            self._last_error = ""

    def start(self) -> None:
        """Begin to reconcile in a thread of its own."""
        self._thread.start()

    def wake(self) -> None:
        """Reconcile soon, without waiting for the interval to pass."""
        self._wanted.set()

    def close(self) -> None:
        """Stop after the current call; what runs on the machine keeps running."""
        self._closing.set()
        self._wanted.set()
        if self._thread.is_alive():
            self._thread.join(timeout=30)

    @property
    def closing(self) -> bool:
        """True once `close` was called: long work should end."""
        return self._closing.is_set()

    def _work(self) -> None:
        while not self.closing:
            self._wanted.clear()
            self.attempt()
            self._wanted.wait(self.interval)
