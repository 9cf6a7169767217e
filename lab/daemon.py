"""The lab's one process: the API, what hosts ask (metadata, names), the front door, and the reconcilers."""

from __future__ import annotations

import logging
import signal
import sys
import tempfile
import threading
from pathlib import Path
from typing import Protocol

from lab import api, imds, machine, moto_patches, process, registry, settings, state, task_metadata, times
from lab.dns import Resolver
from lab.frontdoor import FrontDoor
from lab.reconcilers.alarms import Alarms
from lab.reconcilers.autoscaling import AutoScaling
from lab.reconcilers.base import Reconciler
from lab.reconcilers.caches import Caches
from lab.reconcilers.databases import Databases
from lab.reconcilers.functions import PollingFunctions
from lab.reconcilers.health_checks import HealthChecks
from lab.reconcilers.images import Images
from lab.reconcilers.instances import Instances
from lab.reconcilers.load_balancers import LoadBalancers
from lab.reconcilers.measurements import Measurements
from lab.reconcilers.networks import Networks
from lab.reconcilers.pipelines import Pipelines
from lab.reconcilers.schedules import Schedules
from lab.reconcilers.service_scaling import ServiceScaling
from lab.reconcilers.services import Services
from lab.reconcilers.stand_ins import StandIns
from lab.reconcilers.tables import Tables
from lab.reconcilers.target_tracking import TargetTracking
from lab.reconcilers.tasks import Tasks
from lab.reconcilers.waits import Waits
from lab.state import StateError as StateError

_log = logging.getLogger("lab")

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Service(Protocol):
    """Something that listens."""

    def start(self) -> None:
        """Begin to answer."""

    def close(self) -> None:
        """Stop answering."""


def serve(scale: float) -> None:
    """Be the lab until a signal says stop.

    Args:
        scale: how much of AWS's waiting times it takes; 0 none.
    """
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    held = process.lock()
    stop = threading.Event()
    for number in STOP_SIGNALS:
        signal.signal(number, lambda *_: stop.set())

    machine.add_addresses()
    moto_patches.apply_all()
    _log.info("state loaded" if state.load(settings.home()) else "an empty account")
    saver = state.Saver(settings.home())
    times.follow(scale)
    reconcilers = [*make_reconcilers(), *([Waits()] if scale else [])]

    def changed() -> None:
        saver.changed()
        for reconciler in reconcilers:
            reconciler.wake()

    for reconciler in reconcilers:
        reconciler.changed, reconciler.written = changed, saver.changed
    services = make_services(changed, saver.changed)
    saver.start()
    for part in (*services, *reconcilers):
        part.start()
    _log.info("ready")
    stop.wait()

    _log.info("stopping")
    for part in (*reversed(reconcilers), *reversed(services)):
        part.close()
    saver.close()
    held.close()


def serve_api_only(port: int, scale: float) -> None:
    """Be an API without a machine behind it until a signal says stop: nothing is kept, nothing else is touched.

    Args:
        port: where it answers on loopback; 0 for a free one, which is printed.
        scale: how much of AWS's waiting times it takes; 0 none.
    """
    stop = threading.Event()
    for number in STOP_SIGNALS:
        signal.signal(number, lambda *_: stop.set())
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    moto_patches.apply_all()
    times.follow(scale)
    stand_ins = StandIns()
    # Before a change is answered: whoever looks next sees it done, unless it takes time.
    service = api.Api(stand_ins.attempt, addresses=(settings.LOOPBACK,), port=port)
    with tempfile.TemporaryDirectory(prefix="vahana-registry-") as blobs:
        registry.follow(f"{settings.LOOPBACK}:{service.port}", Path(blobs))
        service.start()
        stand_ins.start()
        print(f"ready: http://{settings.LOOPBACK}:{service.port}", flush=True)
        stop.wait()
        stand_ins.close()
        service.close()


def make_reconcilers() -> list[Reconciler]:
    """The reconcilers, in the order in which what they make is needed."""
    return [
        Networks(),
        Instances(),
        Images(),
        AutoScaling(),
        TargetTracking(),
        HealthChecks(),
        Measurements(),
        Alarms(),
        LoadBalancers(),
        Databases(),
        Caches(),
        Services(),
        Tasks(),
        ServiceScaling(),
        PollingFunctions(),
        Tables(),
        Schedules(),
        Pipelines(),
    ]


def make_services(changed: api.Changed, written: api.Changed) -> list[Service]:
    """Everything that listens."""
    return [
        api.Api(changed, written=written),
        imds.MetadataService(),
        task_metadata.TaskMetadataService(),
        Resolver(),
        FrontDoor(),
    ]
