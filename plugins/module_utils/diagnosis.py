"""What is wrong with an environment or will soon be, each with what mends it: playbooks/doctor.yml.

Pure functions of what was asked before (:data:`Facts`); whatever could not be asked is missing and makes no finding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from plugins.module_utils.convergence import SETTLED_DATABASE, unsettled
from plugins.module_utils.project import run_playbook

DISK_PERCENT = 85
CLOCK_SECONDS = 5
"""More than SSH takes to bring an answer here, far less than the 5 minutes that AWS's signatures allow (SigV4)."""

CERTIFICATE_DAYS = 45
"""ACM renews 60 days before the end (AWS Certificate Manager User Guide): one that is still old then has a problem."""

BACKUP_AGE = timedelta(hours=26)
"""A day's backup and the time it takes."""

Facts = Mapping[str, Any]
"""Keys, each optional:

* ``stack``: plugins/module_utils/discovery.py.
* ``hosts``: by instance id, what plugins/remote/host_report.py says, or ``error``.
* ``account``: what plugins/action/examine_account.py found.
* ``identity``: ARN of the caller.
* ``lock``: ``held``, ``alive``, ``who``.
* ``drift``: what is not as the last complete run left it.
* ``max_size``: most instances that there may be.
* ``nat_gateways``: how many there should be, each with an address.
* ``now``: ISO 8601.
"""


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong.

    :param about: what it is about, e.g. ``clock i-0abc``.
    :param what: what is wrong.
    :param mend: what to do.
    """

    about: str
    what: str
    mend: str

    def __str__(self) -> str:
        return f"{self.about}: {self.what}; {self.mend}"


def diagnose(facts: Facts) -> list[Finding]:
    """Return every finding, in the order in which a person should see to them."""
    checks: tuple[Callable[[Facts], Iterable[Finding]], ...] = (
        _credentials,
        _running,
        _database,
        _backup,
        _hosts,
        _keep_alive,
        _certificates,
        _alarms,
        _pipeline,
        _quotas,
        _suspended,
        _lock,
        _maintenance,
        _dead_letters,
        _drift,
    )
    return [finding for check in checks for finding in check(facts)]


def unchecked(facts: Facts) -> list[str]:
    """Return what could not be asked, and why."""
    found = [f"{subject}: {why}" for subject, why in facts.get("account", {}).get("unchecked", {}).items()]
    if facts.get("drift") is None:
        found.append("drift: no complete run of site.yml is recorded")
    return found


def _credentials(facts: Facts) -> Iterable[Finding]:
    identity = str(facts.get("identity", ""))
    if identity.endswith(":root"):
        yield Finding(
            "credentials",
            "they are the account's root user, who may do everything and cannot be limited",
            "use a role or a user: aws configure sso",
        )


def _running(facts: Facts) -> Iterable[Finding]:
    stack = facts["stack"]
    if not stack["resources"]:
        return
    database = stack["database"]
    for reason in unsettled(stack):
        # The database's state has a finding of its own.
        if not reason.startswith(f"the database {database['identifier']} is"):
            yield Finding(
                "environment", reason, "see playbooks/status.yml and playbooks/logs.yml; site.yml waits for it"
            )


def _database(facts: Facts) -> Iterable[Finding]:
    database = facts["stack"]["database"]
    if database["status"] and database["status"] not in SETTLED_DATABASE:
        name = database["identifier"]
        mend = f"aws rds describe-events --source-type db-instance --source-identifier {name} --duration 1440"
        yield Finding(f"database {name}", f"it is {database['status']}", f"why: {mend}")
    for each in (database, database["replica"]):
        # A group that is given to an instance that is there already (API reference, ModifyDBInstance).
        if each["parameters"] == "pending-reboot":
            yield Finding(
                f"database {each['identifier']}",
                "its parameters are not in force before it is rebooted",
                "at a quiet time, for it answers nobody for half a minute to two: "
                f"aws rds reboot-db-instance --db-instance-identifier {each['identifier']}",
            )


def _backup(facts: Facts) -> Iterable[Finding]:
    backup, now = facts.get("account", {}).get("backup"), datetime.fromisoformat(facts["now"])
    if not backup:
        return
    name = f"database {backup['name']}"
    if backup["retention_days"] == 0:
        yield Finding(name, "it makes no backups by itself", "set database_backup_retention_days and run site.yml")
    newest = datetime.fromisoformat(backup["newest"]) if backup["newest"] else None
    born = datetime.fromisoformat(backup["created"]) if backup["created"] else None
    if newest and now - newest > BACKUP_AGE:
        yield Finding(
            name, f"the newest backup is of {backup['newest']}", f"make one: {run_playbook('playbooks/backup.yml')}"
        )
    elif not newest and (born is None or now - born > BACKUP_AGE):
        yield Finding(name, "there is no backup", f"make one: {run_playbook('playbooks/backup.yml')}")


def _hosts(facts: Facts) -> Iterable[Finding]:
    approved = facts["stack"]["release"]
    for name, host in facts.get("hosts", {}).items():
        if "error" in host:
            yield Finding(f"host {name}", f"SSH has no answer: {host['error']}", f"try: ansible {name} -m ping -vvv")
            continue
        yield from _application(name, host, approved)
        yield from _system(name, host)


def _application(name: str, host: Mapping[str, Any], approved: str) -> Iterable[Finding]:
    about = f"host {name}"
    if not host["configured"]:
        yield Finding(about, "it has not the project's configuration", run_playbook("playbooks/configure.yml"))
    elif host["health"]["status"] != 200:
        status = host["health"]["status"]
        said = f"answers {status}" if status else f"does not answer ({host['health'].get('error', 'no answer')})"
        mend = run_playbook(f"playbooks/logs.yml -e host={name} -e since=1h")
        yield Finding(about, f"the backend's health check {said}", mend)
    if approved and host["release"] and host["release"] != approved:
        what = f"it has release {host['release']}, and {approved} is the approved one"
        yield Finding(about, what, run_playbook(f"playbooks/deploy.yml -e release={approved}"))


def _system(name: str, host: Mapping[str, Any]) -> Iterable[Finding]:
    run = run_playbook(f"playbooks/exec.yml -e host={name} -e as_root=true -e command=")
    for disk in host["disks"]:
        if max(disk["percent"], disk["inodes_percent"]) >= DISK_PERCENT:
            what = f"{disk['path']} is {disk['percent']} % full ({disk['inodes_percent']} % of its inodes)"
            yield Finding(f"disk of {name}", what, f"see {run}\"'du -xh {disk['path']} | sort -h | tail -20'\"")
    offset = float(host["clock_offset"])
    if abs(offset) > CLOCK_SECONDS:
        what = f"it is {abs(offset):.0f} s {'ahead of' if offset > 0 else 'behind'} this machine's"
        yield Finding(f"clock of {name}", what, f"compare both with {run}\"'chronyc tracking; chronyc makestep'\"")
    # A container has its machine's clock and nothing to synchronize.
    elif host["time_synchronized"] == "no" and not host["container"]:
        yield Finding(
            f"clock of {name}", "nothing keeps it right", f"see {run}\"'chronyc sources; systemctl status chrony'\""
        )
    updates = host["updates"]
    if not updates["installed"] or updates["timer"] != "active":
        what = "security updates are not installed by themselves"
        yield Finding(
            f"updates of {name}", what, f"{run_playbook('playbooks/configure.yml')}, or a new image by site.yml"
        )
    if updates["reboot"]:
        packages = f" ({', '.join(updates['reboot_for'])})" if updates["reboot_for"] else ""
        mend = "in a group replace it, it is drained first: aws autoscaling terminate-instance-in-auto-scaling-group "
        mend += f"--no-should-decrement-desired-capacity --instance-id {name}; a single one: {run}reboot"
        yield Finding(f"updates of {name}", f"an update waits for a reboot{packages}", mend)


def _keep_alive(facts: Facts) -> Iterable[Finding]:
    """The load balancer must be the one that closes an idle connection, or some requests find it closed (502).

    "HTTP 502: Bad gateway", Elastic Load Balancing, Troubleshoot your Application Load Balancers.
    """
    idle = facts.get("account", {}).get("idle_timeout")
    for name, host in facts.get("hosts", {}).items():
        kept = host.get("health", {}).get("keep_alive")
        if idle and kept is not None and kept <= idle:
            yield Finding(
                f"keep-alive of {name}",
                f"the backend closes idle connections after {kept} s, the load balancer after {idle} s: now and then a "
                "request gets 502",
                f"set server.keepAliveTimeout above {idle} s (docs/backend-contract.md)",
            )


def _certificates(facts: Facts) -> Iterable[Finding]:
    now = datetime.fromisoformat(facts["now"])
    for found in facts.get("account", {}).get("certificates", []):
        about, arn = f"certificate {found['domain']}", found["arn"]
        why = f"why: aws acm describe-certificate --certificate-arn {arn} --region {arn.split(':')[3]}"
        if found["status"] != "ISSUED":
            yield Finding(about, f"it is {found['status']}", why)
        elif found["renewal"] in ("PENDING_VALIDATION", "FAILED"):
            yield Finding(about, f"its renewal is {found['renewal']}", f"its DNS records may be gone: site.yml; {why}")
        elif found["not_after"] and (left := datetime.fromisoformat(found["not_after"]) - now).days < CERTIFICATE_DAYS:
            yield Finding(about, f"it ends in {left.days} days and should have been renewed", why)


def _alarms(facts: Facts) -> Iterable[Finding]:
    monitoring = facts["stack"]["monitoring"]
    for alarm in monitoring["alarms"]:
        yield Finding(f"alarm {alarm['name']}", alarm["reason"], "see playbooks/status.yml and playbooks/logs.yml")
    subscriptions = facts.get("account", {}).get("subscriptions")
    if not monitoring["alarm_names"] or subscriptions is None or subscriptions["confirmed"]:
        return
    if subscriptions["pending"]:
        mend = (
            "confirm it with the link in AWS's mail; for another mail: site.yml -e monitoring_email=… --tags monitoring"
        )
        yield Finding("alarms", "nobody gets them: the subscription is not confirmed", mend)
    else:
        yield Finding("alarms", "nobody gets them", "set monitoring_email and run site.yml --tags monitoring")


def _pipeline(facts: Facts) -> Iterable[Finding]:
    pipeline, region = facts["stack"]["pipeline"], facts["stack"]["region"]
    if pipeline["connection_arn"] and pipeline["connection_status"] != "AVAILABLE":
        console = f"https://{region}.console.aws.amazon.com/codesuite/settings/connections?region={region}"
        what = f"its connection to the repository is {pipeline['connection_status']}: no push arrives"
        yield Finding(f"pipeline {pipeline['name']}", what, f'approve it ("Update pending connection"): {console}')


def _quotas(facts: Facts) -> Iterable[Finding]:
    compute, network = facts["stack"]["compute"], facts["stack"]["network"]
    quotas = facts.get("account", {}).get("quotas", {})
    more = max(0, int(facts["max_size"]) - len(compute["instances"]))
    single = 0 if compute["auto_scaling_group"] or compute["elastic_ip"] else 1
    gateways = max(0, int(facts["nat_gateways"]) - len(network["nat_allocation_ids"]))
    for quota in quotas.values():
        needs = {
            "vcpu": more * quota["each"],
            "eip": single + gateways,
            "vpc": 0 if network["vpc_id"] else 1,
        }[quota["kind"]]
        wanted = quota["used"] + needs
        if needs and wanted > quota["limit"]:
            yield Finding(
                f"quota {quota['name']}",
                f"{quota['used']:g} of {quota['limit']:g} are used, and {needs:g} more may be needed",
                f"aws service-quotas request-service-quota-increase --service-code {quota['service']} "
                f"--quota-code {quota['code']} --desired-value {wanted:g}",
            )


def _suspended(facts: Facts) -> Iterable[Finding]:
    compute = facts["stack"]["compute"]
    if compute["suspended_processes"]:
        names = " ".join(compute["suspended_processes"])
        mend = f"aws autoscaling resume-processes --auto-scaling-group-name {compute['auto_scaling_group']}"
        what = f"its processes {names} are suspended: it does not do all that it should"
        yield Finding(f"group {compute['auto_scaling_group']}", what, f"{mend} --scaling-processes {names}")


def _lock(facts: Facts) -> Iterable[Finding]:
    lock = facts.get("lock") or {}
    if lock.get("held") and not lock["alive"]:
        mend = "run that verb again, which takes it over, or playbooks/unlock.yml"
        yield Finding("lock", f"a run that is dead: {lock['who']}", mend)


def _maintenance(facts: Facts) -> Iterable[Finding]:
    found = facts["stack"]["maintenance"]
    if found["on"]:
        mend = run_playbook("playbooks/maintenance.yml -e maintenance=off")
        yield Finding("maintenance", f"it is on since {found['since'] or 'some time'}", mend)


def _dead_letters(facts: Facts) -> Iterable[Finding]:
    for name, count in facts["stack"]["queue"]["messages"].items():
        if name.endswith("-dlq") and count:
            queue = name.removesuffix("-dlq")
            mend = f"its log says why; then playbooks/redrive.yml -e queue={queue}"
            yield Finding(f"queue {queue}", f"{count} messages that its worker could not take", mend)


def _drift(facts: Facts) -> Iterable[Finding]:
    drift = facts.get("drift")
    if drift:
        what = f"{len(drift)} resources are not as the last complete run left them"
        yield Finding("drift", what, "playbooks/drift.yml names them, site.yml puts them back")
