"""The command `lab`: a local AWS whose instances, load balancers, databases and caches are real."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from pathlib import Path
from typing import Any

from lab import (
    api,
    api_faults,
    base_image,
    image,
    losses,
    machine,
    mailbox,
    podman,
    process,
    regions,
    repositories,
    settings,
)

START_SECONDS = 60
STOP_SECONDS = 60
LOG_LINES = 200

#: What `lab fault` can do to a host, and what it is like.
HOST_FAULTS = {
    "kill": "the host's power fails",
    "pause": "the host hangs",
    "resume": "the host goes on after a pause",
    "cut": "the host is cut off the network, metadata and names too; what runs in it runs on",
    "heal": "the host is in the network again, at its address",
}


class LabError(RuntimeError):
    """What went wrong and how to mend it, in one line."""


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return the exit code."""
    options = _parser().parse_args(arguments)
    # The lab has no profiles, and one that the shell names stops every client at once.
    os.environ.pop("AWS_PROFILE", None)
    try:
        options.command(options)
        sys.stdout.flush()
    except BrokenPipeError:
        # Who reads has enough (`lab status | head`). Nothing is left that Python could fail to write at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (LabError, image.ImageError, podman.PodmanError, machine.MachineError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="lab", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="command")
    for name, function, text in (
        ("down", _down, "stop the lab and discard the account: no host, network or process stays"),
        ("status", _status, "show whether the lab runs, where it answers and what is in it"),
    ):
        commands.add_parser(name, help=text, description=text).set_defaults(command=function)
    for name, function, text in (
        ("up", _up, "start the lab and wait until it answers; a second time does nothing"),
        ("restart", _restart, "restart the lab's process; the account and its hosts stay"),
    ):
        command = commands.add_parser(name, help=text, description=text)
        command.set_defaults(command=function)
        _add_times(command)
    text = "show what the lab's process wrote"
    logs = commands.add_parser("logs", help=text, description=text)
    logs.add_argument("-f", "--follow", action="store_true", help="go on showing what is added")
    logs.set_defaults(command=_logs)
    _add_faults(commands)
    text = "how metrics of hosts are made; without options as on AWS"
    pace = commands.add_parser("metrics", help=text, description=text)
    pace.add_argument(
        "--period", type=_factor, default=60.0, metavar="SECONDS", help="between datapoints (default: %(default)s)"
    )
    pace.add_argument(
        "--cpus",
        type=_factor,
        default=0.0,
        metavar="CORES",
        help="what is 100 %% of a host's CPU (default: the cores of its instance type)",
    )
    pace.set_defaults(command=_metrics)
    text = "have the base image of services in the lab's podman storage, so that no registry is needed to build them"
    base = commands.add_parser("base-image", help=text, description=text)
    base.set_defaults(command=_base_image)
    text = "show the mail that the account has sent, as by alarms"
    mail = commands.add_parser("mail", help=text, description=text)
    mail.add_argument("--to", default="", metavar="ADDRESS", help="of one address alone")
    mail.set_defaults(command=_mail)
    text = "push what a repository has checked out, as if to GitHub: the pipelines whose source that is begin"
    push = commands.add_parser("push", help=text, description=text)
    push.add_argument("folder", type=Path, help="the repository")
    push.add_argument("--repository", metavar="OWNER/NAME", help="what it is at GitHub (default: that of the pipeline)")
    push.add_argument("--branch", help="branch to push to (default: that of the pipeline)")
    push.add_argument("--region", default=settings.DEFAULT_REGION, help="of the pipeline (default: %(default)s)")
    push.set_defaults(command=_push)
    text = "run SQL in a database's own host, as its superuser, and print the rows"
    psql = commands.add_parser("psql", help=text, description=text)
    psql.add_argument("database", help="database instance identifier")
    psql.add_argument("-c", dest="sql", metavar="SQL", required=True, help="the statement")
    psql.add_argument("-d", dest="schema", metavar="NAME", help="database in it (default: the one it was made with)")
    psql.set_defaults(command=_psql)
    text = "be the lab's process, in the foreground (`lab up` runs it in the background)"
    serve = commands.add_parser("serve", help=text, description=text)
    serve.add_argument(
        "--api-only",
        action="store_true",
        help="the API alone, without hosts: everything is there at once; needs no root and keeps nothing",
    )
    serve.add_argument(
        "--port",
        type=int,
        default=settings.API_PORT,
        help="with --api-only: where it answers on loopback, 0 for a free port (default: %(default)s)",
    )
    serve.set_defaults(command=_serve)
    _add_times(serve)
    return parser


def _add_faults(commands: Any) -> None:
    text = "break a host, a database, a cache, a region or the API as the world does"
    faults = commands.add_parser("fault", help=text, description=text).add_subparsers(required=True, metavar="kind")
    for kind, text in HOST_FAULTS.items():
        fault = faults.add_parser(kind, help=text, description=text)
        fault.add_argument("instance", help="instance id, as i-0123456789abcdef0")
        fault.set_defaults(command=_fault, kind=kind)
    text = "the database crashes: connections break, and it is back by itself after a few seconds"
    fault = faults.add_parser("database", help=text, description=text)
    fault.add_argument("database", help="identifier of a database instance or a read replica")
    _add_loss(fault)
    fault.set_defaults(command=_fault_database)
    text = "a zone fails: all its hosts and cache nodes; databases whose primary is there go over to their standby"
    fault = faults.add_parser("zone", help=text, description=text)
    fault.add_argument("zone", help="Availability Zone, as us-east-1a")
    fault.set_defaults(command=_fault_zone)
    text = "a node of a cache is lost with all that is in it; a replica takes over, or it is back after a few seconds"
    fault = faults.add_parser("cache", help=text, description=text)
    fault.add_argument("node", help="cache cluster identifier, as vahanhelp-prod-001")
    _add_loss(fault)
    fault.set_defaults(command=_fault_cache)
    text = "a task of ECS is lost: its container is killed, and its service replaces it"
    fault = faults.add_parser("task", help=text, description=text)
    fault.add_argument("task", help="id or ARN of a task, as `aws ecs list-tasks` has it")
    fault.set_defaults(command=_fault_task)
    text = "a region is cut off: nothing in it answers or asks, and its tables are on their own, until it is healed"
    fault = faults.add_parser("region", help=text, description=text)
    fault.add_argument("region", help="as us-east-1")
    fault.add_argument("--heal", action="store_true", help="it is back, and gets what was written elsewhere")
    fault.add_argument(
        "--port", type=int, default=settings.API_PORT, help="of `lab serve --api-only` (default: %(default)s)"
    )
    fault.set_defaults(command=_fault_region)
    text = "the API refuses a share of the signed requests, of hosts too; without options none any more"
    fault = faults.add_parser("api", help=text, description=text)
    fault.add_argument(
        "--errors", type=float, default=0, metavar="PERCENT", help="fail with an internal error (default: %(default)s)"
    )
    fault.add_argument(
        "--throttles", type=float, default=0, metavar="PERCENT", help="are one too many (default: %(default)s)"
    )
    fault.add_argument(
        "--seed", type=int, help="refuse the same calls as the last time with this seed (default: any, and shown)"
    )
    fault.add_argument(
        "--port", type=int, default=settings.API_PORT, help="of `lab serve --api-only` (default: %(default)s)"
    )
    fault.set_defaults(command=_fault_api)


def _add_loss(fault: argparse.ArgumentParser) -> None:
    fault.add_argument(
        "--for",
        dest="seconds",
        type=float,
        default=0,
        metavar="SECONDS",
        help="stay lost for so long (default: until it is noticed)",
    )


def _add_times(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--realistic",
        action="store_true",
        help="take as long as AWS for what takes long there (lab/times.py has each time and its source)",
    )
    command.add_argument(
        "--scale",
        type=_factor,
        default=1.0,
        help="with --realistic: times this factor, as 0.1 for ten times faster (default: %(default)s)",
    )


def _factor(text: str) -> float:
    value = float(text)
    if not 0 < value <= 100:
        raise argparse.ArgumentTypeError("a factor is above 0 and at most 100")
    return value


def _up(options: argparse.Namespace) -> None:
    _require_root()
    if (pid := process.running()) is None:
        _require_machine()
        image.ensure(say=print)
        _clean_leftovers()
        pid = _start(options)
    _wait_ready(pid)
    print(_addresses())


def _down(options: argparse.Namespace) -> None:
    _require_root()
    _stop()
    _remove_all()
    for folder in ("objects", "repositories", "builds", "registry", "tasks"):
        shutil.rmtree(settings.home() / folder, ignore_errors=True)
    settings.state_file().unlink(missing_ok=True)
    mailbox.file().unlink(missing_ok=True)
    print("the lab is down: nothing of it runs")


def _restart(options: argparse.Namespace) -> None:
    _require_root()
    # Before the old process ends: a build may take a minute.
    image.ensure(say=print)
    _stop()
    _up(options)


def _status(options: argparse.Namespace) -> None:
    pid = process.running()
    if pid is None:
        raise LabError("the lab does not run; start it: lab up")
    print(f"the lab runs (pid {pid}, {_resident(pid):.0f} MiB)")
    print(_addresses())
    if os.geteuid() == 0:
        every = [each.labels for each in podman.containers().values()]
        kinds = Counter(each.get("vahana.kind") or each.get("vahana-service", "other") for each in every)
        found = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items())) or "none"
        print(f"containers  {found}")


def _logs(options: argparse.Namespace) -> None:
    if not settings.log_file().exists():
        raise LabError("there is no log: the lab never ran; start it: lab up")
    follow = ["--follow"] if options.follow else []
    subprocess.run(["tail", f"--lines={LOG_LINES}", *follow, str(settings.log_file())], check=False)


def _base_image(options: argparse.Namespace) -> None:
    _require_root()
    image.ensure(say=print)
    base_image.ensure()
    print(settings.NODE_IMAGE)


def _mail(options: argparse.Namespace) -> None:
    mails = list(mailbox.read(options.to))
    for mail in mails:
        print(f"Date: {mail['time']}\nTo: {mail['to']}\nSubject: {mail['subject']}\n\n{mail['text'].rstrip()}\n")
    if not mails:
        print("no mail")


def _fault(options: argparse.Namespace) -> None:
    _require_root()
    name = settings.host_name(options.instance)
    if name not in podman.containers({"vahana.kind": "host"}):
        raise LabError(f"{options.instance} is no host of the lab: `lab status` and the API say which there are")
    match options.kind:
        case "cut" | "heal":
            process_id = _process_of(name)
            machine.set_cable(machine.cable_of(process_id), plugged=options.kind == "heal")
        case "resume":
            podman.podman("unpause", name)
        case verb:
            podman.podman(verb, name)


def _process_of(name: str) -> int:
    """The first process of a container."""
    found = podman.inspect(name)
    if found is None or not found["State"]["Pid"]:
        raise LabError(f"{name.removeprefix(settings.NAME_PREFIX)} does not run: it has no network to be cut off")
    return int(found["State"]["Pid"])


def _fault_database(options: argparse.Namespace) -> None:
    _require_root()
    _lose(_database_host(options.database), options.seconds)


def _fault_cache(options: argparse.Namespace) -> None:
    _require_root()
    name = settings.cache_name(options.node)
    if name not in podman.containers():
        raise LabError(f"there is no cache node {options.node} in the lab")
    _lose(name, options.seconds)


def _lose(container: str, seconds: float) -> None:
    losses.hold(container, seconds)
    # All its processes at once, and nobody is told: the lab finds out by itself and brings it back.
    podman.podman("kill", container)


def _session(region: str) -> Any:
    """Somebody who asks the lab's API, whatever this shell has for AWS."""
    # It takes half a second to import, and few commands need it.
    import boto3

    return boto3.Session("lab", "lab", region_name=region)


def _fault_task(options: argparse.Namespace) -> None:
    _require_root()
    name = settings.task_name(options.task.rpartition("/")[2])
    if name not in podman.containers({"vahana.kind": "task"}):
        raise LabError(f"{options.task} is no task that runs in the lab: `aws ecs list-tasks` says which do")
    podman.podman("kill", name)


def _fault_zone(options: argparse.Namespace) -> None:
    _require_root()
    session = _session(options.zone[:-1])
    services = ("ec2", "rds", "elasticache")
    ec2, rds, cache = (session.client(service, endpoint_url=settings.API_URL) for service in services)
    filters = [{"Name": "availability-zone", "Values": [options.zone]}]
    reservations = ec2.describe_instances(Filters=filters)["Reservations"]
    names = [settings.host_name(item["InstanceId"]) for each in reservations for item in each["Instances"]]
    names += [
        settings.database_name(item["DBInstanceIdentifier"])
        for item in rds.describe_db_instances()["DBInstances"]
        if item.get("AvailabilityZone") == options.zone
    ]
    names += [
        settings.cache_name(item["CacheClusterId"])
        for item in cache.describe_cache_clusters()["CacheClusters"]
        if item.get("PreferredAvailabilityZone") == options.zone
    ]
    found = podman.containers()
    names += [name for name, container in found.items() if container.labels.get("vahana.zone") == options.zone]
    lost = [name for name in names if name in found and found[name].state == "running"]
    if not lost:
        raise LabError(f"nothing of the lab runs in {options.zone}: `aws ec2 describe-instances` says what is where")
    podman.podman("kill", *lost)
    print(f"lost with {options.zone}: {', '.join(name.removeprefix(settings.NAME_PREFIX) for name in lost)}")


def _metrics(options: argparse.Namespace) -> None:
    from lab import metrics

    settings.home().mkdir(parents=True, exist_ok=True)
    metrics.set_pace(metrics.Pace(options.period, options.cpus))
    print(f"a datapoint every {options.period:g} s, {options.cpus or 'the cores of its type'} as 100 % of a host's CPU")


def _put(port: int, path: str, wanted: dict[str, Any]) -> Any:
    """Tell the lab's process which fault there is to be, and return what it says of that."""
    url = f"http://{settings.LOOPBACK}:{port}{path}"
    request = urllib.request.Request(url, method="PUT", data=json.dumps(wanted).encode())
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        with contextlib.suppress(ValueError):
            raise LabError(json.load(error)["error"]) from error
        raise LabError(f"{url} is no API of the lab that knows faults: {error}") from error
    except ValueError as error:
        raise LabError(f"{url} is no API of the lab that knows faults") from error
    except OSError as error:
        raise LabError(f"no API of the lab answers at {url}: start it: lab up") from error


def _fault_region(options: argparse.Namespace) -> None:
    found = _put(options.port, regions.REGIONS_PATH, {"region": options.region, "cut": not options.heal})
    print(f"cut off: {', '.join(found['cut']) or 'no region'}")


def _fault_api(options: argparse.Namespace) -> None:
    wanted = {"errors": options.errors, "throttles": options.throttles, "seed": options.seed}
    found = _put(options.port, api_faults.FAULTS_PATH, wanted)
    if options.errors or options.throttles:
        print(f"the API refuses {found['errors']:g} % and throttles {found['throttles']:g} % (--seed {found['seed']})")
    else:
        refused = found["refused"]
        print(
            f"the API refuses nothing; of {found['requests']} requests {refused['errors']} had failed and "
            f"{refused['throttles']} were throttled (--seed {found['seed']})"
        )


def _database_host(identifier: str) -> str:
    """The name of the container that is a database."""
    name = settings.database_name(identifier)
    if name not in podman.containers():
        raise LabError(f"there is no database {identifier} in the lab")
    return name


def _psql(options: argparse.Namespace) -> None:
    _require_root()
    name = _database_host(options.database)
    command = ["psql", "--no-psqlrc", "--csv", "--set", "ON_ERROR_STOP=1", "--username", "rdsadmin"]
    schema = (
        options.schema
        or podman.execute(
            name,
            *command,
            "--tuples-only",
            "postgres",
            stdin="SELECT datname FROM pg_database ORDER BY oid DESC LIMIT 1",
        ).stdout.strip()
    )
    print(podman.execute(name, *command, schema, stdin=options.sql).stdout, end="")


def _push(options: argparse.Namespace) -> None:
    _require_root()
    repository, branch = options.repository, options.branch
    if not repository or not branch:
        found = _sources(options.region)
        if len(found) != 1:
            listed = (
                ", ".join(f"{name} {of}" for name, of in sorted(found)) or "there is none: -e pipeline_repository=…"
            )
            raise LabError(f"say --repository and --branch, or have one pipeline in {options.region} ({listed})")
        [(its_repository, its_branch)] = found
        repository, branch = repository or its_repository, branch or its_branch
    try:
        commit = repositories.push(options.folder, repository, branch)
    except repositories.GitError as error:
        raise LabError(str(error)) from error
    print(f"pushed {commit[:12]} to {repository}, branch {branch}; what becomes of it: lab logs -f")


def _sources(region: str) -> set[tuple[str, str]]:
    """Repository and branch of each pipeline's source."""
    from botocore.exceptions import BotoCoreError

    api = _session(region).client("codepipeline", endpoint_url=settings.API_URL)
    found = set()
    try:
        for each in api.list_pipelines()["pipelines"]:
            for stage in api.get_pipeline(name=each["name"])["pipeline"]["stages"]:
                for action in stage["actions"]:
                    if "FullRepositoryId" in (action.get("configuration") or {}):
                        source = action["configuration"]
                        found.add((source["FullRepositoryId"], source["BranchName"]))
    except BotoCoreError as error:
        raise LabError(f"the lab does not answer at {settings.API_URL}; start it: lab up") from error
    return found


def _serve(options: argparse.Namespace) -> None:
    if options.api_only:
        if options.port and (holder := machine.holder_of_port(settings.LOOPBACK, options.port)):
            raise LabError(f"port {options.port} of {settings.LOOPBACK} is held by {holder}: name another with --port")
    else:
        _require_root()
    # moto reads its environment when it is imported, which takes a second: here alone.
    api.configure()
    from lab import daemon

    scale = options.scale if options.realistic else 0
    if options.api_only:
        daemon.serve_api_only(options.port, scale)
        return
    try:
        daemon.serve(scale)
    except (process.AlreadyRunningError, daemon.StateError) as error:
        raise LabError(str(error)) from error


def _require_root() -> None:
    if os.geteuid() != 0:
        raise LabError("the lab needs root, for it makes networks and containers: run it with sudo")


def _require_machine() -> None:
    """Refuse early and in one line what would fail later: a missing tool, a port that somebody else holds."""
    if missing := machine.missing_tools():
        raise LabError(f"not installed: {' '.join(missing)}; run: apt install {' '.join(missing)}")
    for address, port, what in (
        (settings.LOOPBACK, settings.API_PORT, "the API"),
        (settings.METADATA_ADDRESS, settings.API_PORT, "the API"),
        (settings.METADATA_ADDRESS, settings.METADATA_PORT, "instance metadata"),
        (settings.TASK_METADATA_ADDRESS, settings.METADATA_PORT, "task metadata"),
        (settings.RESOLVER_ADDRESS, settings.DNS_PORT, "DNS"),
        (settings.LOOPBACK, settings.FRONT_DOOR_PORT, "the front door"),
    ):
        if holder := machine.holder_of_port(address, port):
            raise LabError(f"port {port} of {address} ({what}) is held by {holder}: stop that process")


def _clean_leftovers() -> None:
    """A lab that died without its state left containers that nobody knows any more."""
    if not settings.state_file().exists() and (podman.containers() or podman.networks() or machine.blackholes()):
        print("cleaning up after a lab that died")
        _remove_all()


def _remove_all() -> None:
    """Remove every host, network, route and address of the lab, hosts first: nothing may send to a missing bridge."""
    for name in podman.containers():
        podman.rm(name)
    for ami in podman.images(settings.AMI_REPOSITORY):
        podman.image_rm(ami)
    for pulled in podman.images_below(f"{settings.LOOPBACK}:{settings.API_PORT}/"):
        podman.image_rm(pulled)
    for name in podman.networks():
        podman.network_rm(name)
    for network in machine.blackholes():
        machine.remove_blackhole(network)
    machine.remove_addresses()


def _start(options: argparse.Namespace) -> int:
    settings.home().mkdir(parents=True, exist_ok=True)
    log = settings.log_file()
    if log.exists():
        log.replace(log.with_suffix(".1.log"))
    realistic = ["--realistic", "--scale", str(options.scale)] if options.realistic else []
    with log.open("w") as output:
        started = subprocess.Popen(
            [sys.executable, "-m", "lab.cli", "serve", *realistic],
            cwd=Path(__file__).parent.parent,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            # Memory that one thread frees serves the others: the lab has dozens, which mostly wait.
            env={**os.environ, "MALLOC_ARENA_MAX": "2"},
        )
    return started.pid


def _wait_ready(pid: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if not _alive(pid):
            raise LabError(f"the lab ended while starting: {_last_error()} (whole log: lab logs)")
        if "lab: ready" in settings.log_file().read_text(errors="replace") and _answers():
            return
        time.sleep(0.1)
    raise LabError(f"the lab did not answer within {START_SECONDS} s; look at its log: lab logs")


def _answers() -> bool:
    try:
        with urllib.request.urlopen(settings.API_URL, timeout=5):
            return True
    except urllib.error.HTTPError:
        # Without a signature it may refuse, which is an answer too.
        return True
    except OSError:
        return False


def _stop() -> None:
    pid = process.running()
    if pid is None:
        return
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_SECONDS
    while process.running() == pid:
        if time.monotonic() > deadline:
            os.kill(pid, signal.SIGKILL)
            print(f"the lab did not stop within {STOP_SECONDS} s and was killed", file=sys.stderr)
        time.sleep(0.05)


def _alive(pid: int) -> bool:
    with contextlib.suppress(ChildProcessError):
        # A child that ended stays a zombie, which still has a process id, until it is waited for.
        os.waitpid(pid, os.WNOHANG)
    return Path(f"/proc/{pid}").exists()


def _last_error() -> str:
    lines = [line for line in settings.log_file().read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1].removeprefix("error: ") if lines else "it said nothing"


def _resident(pid: int) -> float:
    """MiB of memory that a process holds."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0


def _addresses() -> str:
    return "\n".join(
        (
            f"front door  {settings.FRONT_DOOR_URL}",
            f"API         {settings.API_URL}  (AWS_ENDPOINT_URL; any access key)",
            f"hosts see   metadata {settings.METADATA_ADDRESS}, DNS {settings.RESOLVER_ADDRESS}",
            f"log         {settings.log_file()}",
        )
    )


if __name__ == "__main__":
    sys.exit(main())
