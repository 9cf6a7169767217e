"""RDS for PostgreSQL: one container with PostgreSQL 17 for each DB instance, in the VPC, and snapshots that restore.

A read replica begins as a copy of its source and follows it by streaming replication; promoted it goes on by itself.

As on RDS the master user is no superuser, every TCP connection must use TLS, and passwords are stored as SCRAM. Unlike
RDS nothing is forced to disk (fsync is off): a killed container loses nothing, a machine that loses power may.
"""

from __future__ import annotations

import datetime
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from moto.ec2.models import ec2_backends
from moto.rds.models import rds_backends

from lab import interfaces, losses, podman, regions, settings, times
from lab.moto_patches import rds
from lab.reconcilers.base import Reconciler

SERVICE = "database"
INSIDE = "/database"
"""Where the container sees the instance's directory."""
START_SECONDS = 90

CONFIGURATION = """\
# Written by the lab at each start.
listen_addresses = '*'
port = {port}
unix_socket_directories = '/run/postgresql'
hba_file = '{inside}/pg_hba.conf'
ident_file = '{inside}/pg_ident.conf'
ssl = on
ssl_cert_file = '{inside}/server.crt'
ssl_key_file = '{inside}/server.key'
ssl_min_protocol_version = 'TLSv1.2'
password_encryption = 'scram-sha-256'
max_connections = {connections}
# The lab's instances are small and share one machine; RDS takes a quarter of the instance's memory.
shared_buffers = 32MB
max_wal_size = 256MB
min_wal_size = 32MB
# What a read replica may be behind before it cannot go on.
wal_keep_size = 256MB
# The lab can be made again: speed before safety against power loss. A commit waits all the same until the kernel has it
# (synchronous_commit is on): what was acknowledged outlives a killed container, as it does on RDS.
fsync = off
full_page_writes = off
log_timezone = 'UTC'
timezone = 'UTC'
"""

# rds.force_ssl is on by default since PostgreSQL 15: no `host` line, so that a connection without TLS is refused.
# https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/PostgreSQL.Concepts.General.SSL.html
ACCESS = """\
# Written by the lab at each start.
local   all          rdsadmin  peer map=lab
local   replication  rdsadmin  peer map=lab
hostssl replication  rdsrepladmin  all  scram-sha-256
hostssl all          rdsadmin,rdsrepladmin  all  reject
hostssl all          all       all  scram-sha-256
"""

FOLLOWS = "primary_conninfo"

IDENTITIES = "lab root rdsadmin\n"

START = """\
#!/bin/sh
# Makes the data directory when there is none yet (a new one, or from a snapshot), then is PostgreSQL.
set -eu
cd {inside}
# A replica looks for a client's certificate there, and could not even look into root's.
export HOME=/var/lib/postgresql
as_postgres() {{ setpriv --reuid=postgres --regid=postgres --init-groups "$@"; }}
chown postgres:postgres . server.key
install -d -o postgres -g postgres /run/postgresql
if [ ! -e data ]; then
    rm -rf new
    if [ -e base.tar.gz ]; then
        install -d -m 0700 -o postgres -g postgres new
        as_postgres tar -xzf base.tar.gz -C new
    else
        as_postgres /usr/lib/postgresql/17/bin/initdb --pgdata new --username rdsadmin --auth peer --no-sync \\
            --encoding UTF8 --locale-provider builtin --locale C.UTF-8 --no-instructions
    fi
    mv new data
fi
rm -f data/postmaster.pid base.tar.gz
[ ! -e standby ] || as_postgres touch data/standby.signal
exec setpriv --reuid=postgres --regid=postgres --init-groups \\
    /usr/lib/postgresql/17/bin/postgres -D data -c config_file={inside}/postgresql.conf
"""


# One tablespace, so one tar on standard output; fetch puts the write-ahead log into the same.
BACKUP = (
    "pg_basebackup --username rdsadmin --pgdata - --format tar --wal-method fetch --checkpoint fast"
    " --no-manifest --no-sync --compress client-gzip:1"
)


def literal(text: str) -> str:
    """An SQL string literal."""
    return "'" + text.replace("'", "''") + "'"


def identifier(text: str) -> str:
    """A quoted SQL identifier."""
    return '"' + text.replace('"', '""') + '"'


def first_statements(user: str, password: str, database: str | None) -> str:
    """SQL that makes a new cluster look like RDS: the master user, its role, its database.

    The master user may make databases and roles but is no superuser:
    https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/Appendix.PostgreSQL.CommonDBATasks.Roles.rds_superuser.html
    """
    statements = [
        "CREATE ROLE rds_superuser",
        "GRANT pg_monitor, pg_signal_backend, pg_checkpoint, pg_use_reserved_connections, pg_create_subscription "
        "TO rds_superuser WITH ADMIN OPTION",
        f"CREATE ROLE {identifier(user)} LOGIN CREATEDB CREATEROLE PASSWORD {literal(password)}",
        f"GRANT rds_superuser TO {identifier(user)} WITH ADMIN OPTION",
        f"ALTER DATABASE postgres OWNER TO {identifier(user)}",
    ]
    if database and database != "postgres":
        statements.append(f"CREATE DATABASE {identifier(database)} OWNER {identifier(user)}")
    return ";\n".join(statements) + ";\n"


def replication_statements(password: str) -> str:
    """SQL that lets replicas in; a cluster that came from a snapshot has the role with another password."""
    return (
        "DO $$BEGIN CREATE ROLE rdsrepladmin REPLICATION LOGIN; EXCEPTION WHEN duplicate_object THEN END$$;\n"
        f"ALTER ROLE rdsrepladmin PASSWORD {literal(password)};\n"
    )


def follow_line(source_address: str, port: int, password: str, name: str) -> str:
    """The line of a replica's configuration that says whom it follows."""
    where = f"host={source_address} port={port} user=rdsrepladmin password={password} sslmode=require"
    return f"{FOLLOWS} = {literal(f'{where} application_name={name}')}\n"


def container_name(database: Any) -> str:
    """Name of an instance's container."""
    return settings.database_name(database.db_instance_identifier)


def databases() -> Iterator[tuple[Any, Any]]:
    """(backend, instance) of all regions."""
    for backend in list(rds_backends[settings.ACCOUNT_ID].values()):
        for database in list(backend.databases.values()):
            yield backend, database


def directory_of(database: Any) -> Path:
    """Where an instance's files are."""
    return settings.home() / "databases" / str(database.region) / str(database.dbi_resource_id)


def interface_description(database: Any) -> str:
    """Description of an instance's network interface."""
    return f"RDSNetworkInterface {database.dbi_resource_id}"


def address(database: Any) -> str | None:
    """The address an instance listens at, None before it has one."""
    ec2 = ec2_backends[settings.ACCOUNT_ID][database.region]
    found = next(interfaces.find(ec2, interface_description(database)), None)
    return None if found is None else str(found.private_ip_address)


def ensure_interface(database: Any) -> None:
    """Give an instance its network interface, in its zone, unless it has one."""
    if address(database) is not None:
        return
    subnets = database.db_subnet_group._subnets
    zone = database.availability_zone
    subnet = next((candidate for candidate in subnets if candidate.availability_zone == zone), subnets[0])
    database.availability_zone = subnet.availability_zone
    ec2 = ec2_backends[settings.ACCOUNT_ID][database.region]
    description = interface_description(database)
    interfaces.allocate(ec2, subnet, description, database.vpc_security_group_ids, "amazon-rds")


def forget(backend: Any, database: Any) -> None:
    """Drop a deleted instance and its network interface."""
    ec2 = ec2_backends[settings.ACCOUNT_ID][database.region]
    for interface in list(interfaces.find(ec2, interface_description(database))):
        interfaces.release(interface)
    backend.forget_db_instance(database.db_instance_identifier)


def certificate(name: str) -> tuple[bytes, bytes]:
    """A self-signed certificate for an endpoint, and its key, both PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])
    now = datetime.datetime.now(datetime.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=3650))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return signed.public_bytes(serialization.Encoding.PEM), pem


def run_sql(name: str, statements: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Run SQL as the superuser. It comes by standard input: passwords must not be on a command line.

    Args:
        name: of the container.
        options: of psql, besides those that make it end with the first error.
    """
    psql = ("psql", "--no-psqlrc", "--quiet", "--set", "ON_ERROR_STOP=1", "--username", "rdsadmin", "postgres")
    return podman.execute(name, *psql, *options, stdin=statements, check=False)


class Databases(Reconciler):
    """Runs PostgreSQL for each DB instance, takes snapshots, restores them."""

    name: ClassVar[str] = "databases"
    interval: ClassVar[float] = 2.0

    def __init__(self) -> None:
        super().__init__()
        self._swept = False
        """Were containers without an instance (of a lab that was killed) looked for? Once is enough."""
        rds.follow(True)

    @staticmethod
    def _archive(backend: Any, snapshot_id: str) -> Path:
        return settings.home() / "snapshots" / str(backend.region_name) / f"{snapshot_id.replace(':', '_')}.tar.gz"

    def reconcile(self) -> None:
        """Bring every instance and snapshot up to date; a fault in one does not hold the others up."""
        faults = []
        for backend, database in databases():
            try:
                self._converge(backend, database)
            except (podman.PodmanError, OSError, RuntimeError) as error:
                faults.append(f"{database.db_instance_identifier}: {error}")
        for backend in list(rds_backends[settings.ACCOUNT_ID].values()):
            try:
                self._converge_snapshots(backend)
            except (podman.PodmanError, OSError, RuntimeError) as error:
                faults.append(f"snapshots: {error}")
        self._remove_leftovers()
        if faults:
            raise RuntimeError("; ".join(faults))

    def _converge(self, backend: Any, database: Any) -> None:
        name = container_name(database)
        match database.status:
            case "creating" if times.over("database create", database.dbi_resource_id):
                if self._create(backend, database):
                    database.status = "available"
                    self.log.info("database %s answers at %s", database.db_instance_identifier, address(database))
            case "modifying" if times.over("database modify", database.dbi_resource_id):
                if database.password_pending:
                    password = literal(self._password(database))
                    self._sql(name, f"ALTER ROLE {identifier(database.master_username)} PASSWORD {password};\n")
                    database.password_pending = False
                if getattr(database, "promotion_pending", False):
                    self._sql(name, "SELECT pg_promote(true, 60) WHERE pg_is_in_recovery();\n")
                    database.promotion_pending = False
                    self.log.info("database %s follows nobody any more", database.db_instance_identifier)
                database.status = "available"
            case "available" if database.password_pending:
                database.status = "modifying"
                self.wake()
            case "rebooting" | "starting" if times.over("database restart", database.dbi_resource_id):
                self._run(database)
                database.status = "available"
            case "stopping" if times.over("database stop", database.dbi_resource_id):
                podman.stop(name)
                database.status = "stopped"
            case "deleting" if times.over("database delete", database.dbi_resource_id):
                self._delete(backend, database)
            case "available" if database.is_replica and self._listens(database):
                self._follow(database)
            case "available" if not self._listens(database) and not losses.holds(name):
                self.log.warning("database %s does not answer: starting it again", database.db_instance_identifier)
                if database.multi_az:
                    # The standby takes over, which is in another zone.
                    zones = [subnet.availability_zone for subnet in database.db_subnet_group._subnets]
                    left = database.availability_zone
                    database.availability_zone = next((zone for zone in zones if zone != left), left)
                # Shown as RDS shows a recovery; the next round brings it back.
                database.status = "rebooting"
                self.wake()

    @staticmethod
    def _password(database: Any) -> str:
        if database.manage_master_user_password:
            raise RuntimeError("the lab has no passwords managed by RDS itself (ManageMasterUserPassword)")
        return str(database._master_user_password)

    def _create(self, backend: Any, database: Any) -> bool:
        if getattr(database, "db_subnet_group", None) is None:
            # The default VPC has no hosts in the lab.
            database.status = "incompatible-network"
            return False
        ensure_interface(database)
        directory = directory_of(database)
        restored = bool(database.restored_from)
        source = rds.source_of(database)
        if source is not None and not self._reachable(source, database):
            return False
        if source is not None and source.status not in {"available", "modifying", "backing-up"}:
            return False
        if not (directory / "made").exists():
            podman.rm(container_name(database))
            shutil.rmtree(directory, ignore_errors=True)
            directory.mkdir(parents=True)
            directory.chmod(0o700)
            if restored:
                shutil.copyfile(self._archive(backend, database.restored_from), directory / "base.tar.gz")
            if source is not None:
                self._let_follow(source)
                self._back_up(source, directory / "base.tar.gz")
            self._run(database)
            if not restored and source is None:
                statements = first_statements(database.master_username, self._password(database), database.db_name)
                self._sql(container_name(database), statements)
            (directory / "made").touch()
        else:
            self._run(database)
        return True

    @staticmethod
    def _reachable(source: Any, replica: Any) -> bool:
        """Does what a replica follows come to it? Not from or into a region that is cut off."""
        return bool(source.region == replica.region) or not any(regions.is_cut(one.region) for one in (source, replica))

    def _follow(self, replica: Any) -> None:
        """Let a replica follow whom it can reach at the moment."""
        file = directory_of(replica) / "postgresql.conf"
        if (wanted := self._configuration(replica)) != file.read_text():
            file.write_text(wanted)
            self._sql(container_name(replica), "SELECT pg_reload_conf();\n")
            self.log.info(
                "database %s: %s", replica.db_instance_identifier, "follows" if FOLLOWS in wanted else "is cut off"
            )

    def _let_follow(self, source: Any) -> None:
        """Give the replicas of an instance a way in."""
        kept = directory_of(source) / "replication"
        if not kept.exists():
            kept.touch(mode=0o600)
            kept.write_text(secrets.token_hex(24))
        self._sql(container_name(source), replication_statements(kept.read_text()))

    def _run(self, database: Any) -> None:
        """Start the container anew over its directory and wait until PostgreSQL takes commands."""
        name = container_name(database)
        directory = directory_of(database)
        vpc_id = database.db_subnet_group.vpc_id
        where = address(database)
        self._write_configuration(directory, database)
        known = podman.inspect(name)
        if known is not None and known["State"]["Running"]:
            podman.stop(name)
        podman.rm(name)
        podman.run(
            name,
            settings.SERVICE_IMAGE,
            *("sh", f"{INSIDE}/start"),
            network=f"{settings.NAME_PREFIX}{vpc_id}",
            address=where,
            hostname=database.db_instance_identifier,
            labels={"vahana-service": SERVICE, "vahana-vpc": vpc_id},
            # PostgreSQL ends at once on SIGINT and waits for its clients on SIGTERM.
            options=("--volume", f"{directory}:{INSIDE}", "--stop-signal", "SIGINT", "--shm-size", "128m"),
        )
        deadline = time.monotonic() + START_SECONDS
        while True:
            if self._listens(database) and self._sql(name, "SELECT 1;\n", check=False):
                return
            if time.monotonic() > deadline or self.closing:
                last = podman.logs(name).strip().splitlines()[-1:]
                raise RuntimeError(f"PostgreSQL did not start: {' '.join(last)}")
            time.sleep(0.2)

    def _write_configuration(self, directory: Path, database: Any) -> None:
        if not (directory / "server.key").exists():
            public, private = certificate(database.address)
            (directory / "server.crt").write_bytes(public)
            (directory / "server.key").write_bytes(private)
            (directory / "server.key").chmod(0o600)
        if database.is_replica:
            (directory / "standby").touch()
        else:
            (directory / "standby").unlink(missing_ok=True)
        (directory / "postgresql.conf").write_text(self._configuration(database))
        (directory / "pg_hba.conf").write_text(ACCESS)
        (directory / "pg_ident.conf").write_text(IDENTITIES)
        (directory / "start").write_text(START.format(inside=INSIDE))

    def _configuration(self, database: Any) -> str:
        # RDS's default is LEAST(memory / 9531392, 5000): 112 on a micro instance with its 1 GiB.
        text = CONFIGURATION.format(inside=INSIDE, port=database.port, connections=112)
        source = rds.source_of(database)
        if source is None or not self._reachable(source, database):
            return text
        password = (directory_of(source) / "replication").read_text()
        return text + follow_line(str(address(source)), source.port, password, database.db_instance_identifier)

    @staticmethod
    def _listens(database: Any) -> bool:
        where = address(database)
        if where is None:
            return False
        try:
            socket.create_connection((where, database.port), timeout=2).close()
        except OSError:
            return False
        return True

    @staticmethod
    def _sql(name: str, statements: str, *, check: bool = True) -> bool:
        done = run_sql(name, statements)
        if check and done.returncode != 0:
            # psql names the failed line, not its text, which may hold a password.
            raise RuntimeError(
                f"psql: {done.stderr.strip().splitlines()[0] if done.stderr.strip() else done.returncode}"
            )
        return done.returncode == 0

    def _delete(self, backend: Any, database: Any) -> None:
        self._converge_snapshots(backend)
        podman.rm(container_name(database))
        shutil.rmtree(directory_of(database), ignore_errors=True)
        forget(backend, database)
        self.log.info("database %s is gone", database.db_instance_identifier)

    def _converge_snapshots(self, backend: Any) -> None:
        for snapshot_id, snapshot in list(backend.database_snapshots.items()):
            if snapshot.status != "creating":
                continue
            target = self._archive(backend, snapshot_id)
            target.parent.mkdir(parents=True, exist_ok=True)
            database = backend.databases.get(snapshot.db_instance_identifier)
            if snapshot.copied_from:
                source = self._archive(backend, snapshot.copied_from)
                if not source.exists():
                    snapshot.status = "failed"
                    continue
                shutil.copyfile(source, target)
            elif database is None or database.dbi_resource_id != snapshot.dbi_resource_id:
                snapshot.status = "failed"
                continue
            elif database.status not in {"available", "modifying", "deleting", "stopped"}:
                continue
            else:
                self._back_up(database, target)
            snapshot.status = "available"
            self.log.info("snapshot %s is available", snapshot_id)

    def _back_up(self, database: Any, target: Path) -> None:
        """Copy the whole cluster, consistent and while it serves, to a tar file."""
        if not self._listens(database):
            self._run(database)
        podman.execute(
            container_name(database),
            *("sh", "-c"),
            f"{BACKUP} > {INSIDE}/backup.part && mv {INSIDE}/backup.part {INSIDE}/backup",
        )
        (directory_of(database) / "backup").replace(target)

    def _remove_leftovers(self) -> None:
        """Remove data of instances and snapshots that the API does not know any more."""
        instances = {directory_of(database) for _, database in databases()}
        for path in (settings.home() / "databases").glob("*/*"):
            if path not in instances:
                shutil.rmtree(path, ignore_errors=True)
        archives = {
            self._archive(backend, snapshot_id)
            for backend in list(rds_backends[settings.ACCOUNT_ID].values())
            for snapshot_id in list(backend.database_snapshots)
        }
        for path in (settings.home() / "snapshots").glob("*/*"):
            if path not in archives:
                path.unlink(missing_ok=True)
        if not self._swept:
            names = {container_name(database) for _, database in databases()}
            for name in podman.containers({"vahana-service": SERVICE}):
                if name not in names:
                    podman.rm(name)
            self._swept = True

    def close(self) -> None:
        """Stop following; the containers keep running for the lab's next start."""
        super().close()
        rds.follow(False)
