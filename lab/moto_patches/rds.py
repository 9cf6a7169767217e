"""RDS: instances that take their time, deletions and snapshots that are real, defaults the modules compare.

Gaps closed:

- An instance is available the moment it is created and gone the moment it is deleted; so are snapshots.
- Engine versions are taken as given: any, and a major one stays a major one.
- gp3 lacks Iops and StorageThroughput, endpoints are there before the instance is, names differ in case.
- A subnet group loses itself when it is modified, covers one zone, and can be deleted while in use.
- A restored instance takes its source's deletion protection and standby, also when it is told not to.
- DeleteDBInstance needs no final snapshot name and takes a used one.
- Subnet groups and parameter groups are missing in the tagging API.
- An unknown parameter group is no error, one in use can be deleted, and none has a parameter that nobody has set.
- A maintenance window that begins when the backup window ends is taken for an overlap.
- A new password is in force at once, and nothing says that it is not yet. So is another parameter group, which waits
  for a reboot.
- Nobody answers for the authorities that sign the instances' certificates.
- A read replica is its source under a second name: the same resource id, tags, protection and standby. One in another
  region has no source.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from moto.core.resource_tagging import TaggedResource
from moto.core.responses import ActionResult
from moto.rds import models, utils
from moto.rds.exceptions import (
    DBInstanceAlreadyExists,
    DBInstanceNotFoundError,
    DBParameterGroupNotFoundError,
    DBSnapshotAlreadyExistsError,
    DBSnapshotNotFoundFault,
    DBSubnetGroupNotFoundError,
    RDSClientError,
)
from moto.rds.responses import RDSResponse

ENGINE_VERSIONS = ("17.6", "17.7")
"""PostgreSQL versions the lab offers, oldest first: those of its own major (Debian 13's) that RDS takes today.

https://docs.aws.amazon.com/AmazonRDS/latest/PostgreSQLReleaseNotes/postgresql-release-calendar.html
"""

# Below 400 GiB (PostgreSQL) gp3 has the baseline: https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/CHAP_Storage.html
GP3_IOPS = 3000
GP3_THROUGHPUT = 125

PARAMETERS = (
    {
        "ParameterName": "rds.force_ssl",
        "ParameterValue": "1",
        "Description": "Force SSL connections.",
        "Source": "system",
        "ApplyType": "dynamic",
        "DataType": "boolean",
        "AllowedValues": "0,1",
        "IsModifiable": True,
        "ApplyMethod": "pending-reboot",
    },
)
"""The parameters the lab knows, as a new group has them: since PostgreSQL 15 TLS is the default.

https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/PostgreSQL.Concepts.General.SSL.html
"""

AUTHORITY = "rds-ca-rsa2048-g1"
"""What the certificates of instances are signed with unless they ask for another; moto calls it rds-ca-default.

https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.SSL.html#UsingWithRDS.SSL.RegionCertificateAuthorities
"""
AUTHORITY_SINCE = datetime(2021, 5, 21, tzinfo=UTC)
AUTHORITY_UNTIL = datetime(2061, 5, 21, tzinfo=UTC)
"""Forty years. The day differs from region to region."""

_real = False


def follow(real: bool) -> None:
    """Let instances and snapshots wait for the database reconciler.

    Args:
        real: there is one. Without it (unit tests, no daemon) everything is finished at once, as in moto.
    """
    global _real  # noqa: PLW0603 - one lab a process, like moto's own backends
    _real = real


def resolve_engine_version(engine: str, version: str | None) -> str:
    """The version RDS makes of what was asked for: the newest of a major one.

    Raises:
        RDSClientError: RDS or the lab has no such version.
    """
    found = [
        known for known in ENGINE_VERSIONS if version is None or known == version or known.split(".")[0] == version
    ]
    if engine != "postgres" or not found:
        # The first half is AWS's wording.
        raise RDSClientError(
            "InvalidParameterCombination",
            f"Cannot find version {version} for {engine} (the lab has postgres {', '.join(ENGINE_VERSIONS)})",
        )
    return found[-1]


def _find(backend: Any, name: str) -> Any | None:
    """An instance by its identifier in the backend's region, or by its ARN in any; None when there is none."""
    region = name.split(":")[3] if name.startswith("arn:") else backend.region_name
    return models.rds_backends[backend.account_id][region].databases.get(name.rsplit(":", 1)[-1].lower())


def source_of(database: Any) -> Any | None:
    """The instance that a read replica follows; None when there is none (any more), and for any other instance."""
    return _find(database.backend, str(database.source_db_instance_identifier or ""))


def _unfollow(replica: Any) -> None:
    source = source_of(replica)
    if source is not None:
        known = (replica.db_instance_identifier, replica.db_instance_arn)
        source.replicas = [one for one in source.replicas if one not in known]
    replica.is_replica = False
    replica.source_db_instance_identifier = None


def _wrong_state(identifier: str, status: str) -> RDSClientError:
    return RDSClientError("InvalidDBInstanceState", f"Instance {identifier} is not in available state but {status}.")


def _complete_storage(database: Any) -> None:
    if database.storage_type == "gp3":
        database.iops = database.iops or GP3_IOPS
        database.storage_throughput = database.storage_throughput or GP3_THROUGHPUT
    elif database.storage_type == "gp2":
        database.iops = None
        database.storage_throughput = None


def _patch_instances() -> None:
    init = models.DBInstance.__init__
    create = models.RDSBackend.create_db_instance
    delete = models.RDSBackend.delete_db_instance
    modify = models.RDSBackend.modify_db_instance
    restore = models.RDSBackend.restore_db_instance_from_db_snapshot
    backup = models.DBInstance.save_automated_backup
    groups = models.DBInstance.default_db_parameter_group_details

    def init_instance(self: Any, *args: Any, **kwargs: Any) -> None:
        # The reconciler may look at any moment: all it goes by is set before the backend knows the instance.
        init(self, *args, **kwargs)
        self.restored_from = kwargs.get("restored_from")
        self.password_pending = False
        self.promotion_pending = False
        self.parameters_pending = False
        self.delete_automated_backups = True
        # moto gives every instance the same one.
        self.dbi_resource_id = f"db-{models.random.get_random_string(26).upper()}"
        _complete_storage(self)
        if _real:
            self.status = "creating"

    def create_db_instance(self: Any, db_kwargs: dict[str, Any]) -> Any:
        db_kwargs["db_instance_identifier"] = db_kwargs["db_instance_identifier"].lower()
        if db_kwargs["db_instance_identifier"] in self.databases:
            raise DBInstanceAlreadyExists
        if _real or db_kwargs["engine"] == "postgres":
            db_kwargs["engine_version"] = resolve_engine_version(db_kwargs["engine"], db_kwargs.get("engine_version"))
            db_kwargs.setdefault("license_model", "postgresql-license")
            db_kwargs.setdefault("publicly_accessible", False)
        return create(self, db_kwargs)

    def modify_db_instance(self: Any, db_instance_identifier: str, db_kwargs: dict[str, Any]) -> Any:
        db_instance_identifier = db_instance_identifier.lower()
        database = self.databases.get(db_instance_identifier)
        if database is None:
            raise DBInstanceNotFoundError(db_instance_identifier)
        if _real and database.status not in {"available", "modifying", "storage-optimization"}:
            raise _wrong_state(db_instance_identifier, database.status)
        if db_kwargs.get("engine_version"):
            db_kwargs["engine_version"] = resolve_engine_version(database.engine, db_kwargs["engine_version"])
        if (db_kwargs.get("allocated_storage") or database.allocated_storage) < database.allocated_storage:
            raise RDSClientError(
                "InvalidParameterCombination",
                f"Invalid storage size for engine name {database.engine} and storage type {database.storage_type}: "
                f"{db_kwargs['allocated_storage']}. Storage size can't be reduced.",
            )
        # moto checks `max_allocated_storage` against the size before the change when it comes first.
        if "allocated_storage" in db_kwargs:
            db_kwargs = {"allocated_storage": db_kwargs.pop("allocated_storage"), **db_kwargs}
        password, group = db_kwargs.get("master_user_password"), database.db_parameter_groups()[0].name
        modify(self, db_instance_identifier, db_kwargs)
        _complete_storage(database)
        # https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_ModifyDBInstance.html (DBParameterGroupName)
        if database.db_parameter_groups()[0].name != group:
            database.parameters_pending = True
        if password and _real:
            # The reconciler changes the status: RDS goes on saying the one of before for a while.
            database.password_pending = True
        return database

    def delete_db_instance(
        self: Any,
        db_instance_identifier: str,
        final_db_snapshot_identifier: str | None = None,
        skip_final_snapshot: bool | None = False,
        delete_automated_backups: bool | None = True,
        **_: Any,
    ) -> Any:
        db_instance_identifier = db_instance_identifier.lower()
        database = self.databases.get(db_instance_identifier)
        if database is None:
            raise DBInstanceNotFoundError(db_instance_identifier)
        if database.status == "deleting":
            raise _wrong_state(db_instance_identifier, database.status)
        if skip_final_snapshot and final_db_snapshot_identifier:
            raise RDSClientError(
                "InvalidParameterCombination",
                "FinalDBSnapshotIdentifier can't be specified when SkipFinalSnapshot is true.",
            )
        if not skip_final_snapshot and not final_db_snapshot_identifier and not database.is_replica:
            raise RDSClientError(
                "InvalidParameterCombination",
                "FinalDBSnapshotIdentifier is required unless SkipFinalSnapshot is specified.",
            )
        if final_db_snapshot_identifier and database.is_replica:
            raise RDSClientError(
                "InvalidParameterCombination",
                "FinalDBSnapshotIdentifier can not be specified when deleting a replica instance.",
            )
        if final_db_snapshot_identifier and final_db_snapshot_identifier in self.database_snapshots:
            raise DBSnapshotAlreadyExistsError(final_db_snapshot_identifier)
        if not database.deletion_protection:
            # https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_DeleteInstance.html
            # Those of other regions stay what they are, without anybody to follow.
            for replica in [one for one in database.replicas if one in self.databases]:
                if self.databases[replica].status != "deleting":
                    self.promote_read_replica({"db_instance_identifier": replica})
        if not _real or database.deletion_protection:
            if not database.deletion_protection:
                _unfollow(database)
            return delete(
                self,
                db_instance_identifier,
                final_db_snapshot_identifier,
                skip_final_snapshot,
                delete_automated_backups,
            )
        if final_db_snapshot_identifier:
            self.create_db_snapshot(db_instance_identifier, final_db_snapshot_identifier, snapshot_type="manual")
        database.delete_automated_backups = delete_automated_backups is not False
        database.status = "deleting"
        return database

    def forget_db_instance(self: Any, db_instance_identifier: str) -> None:
        """Drop an instance whose container and data are gone (the lab's own; the API's delete only starts it)."""
        database = self.databases[db_instance_identifier]
        database.deletion_protection = False
        _unfollow(database)
        delete(self, db_instance_identifier, None, True, database.delete_automated_backups)

    def create_db_instance_read_replica(self: Any, db_kwargs: dict[str, Any]) -> Any:
        given_source = db_kwargs["source_db_instance_identifier"]
        source_id = given_source.rsplit(":", 1)[-1].lower()
        source = _find(self, given_source)
        if source is None:
            raise DBInstanceNotFoundError(source_id)
        abroad = source.region != self.region_name
        # A key is of one region.
        # https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/Overview.Encryption.html#Overview.Encryption.Limitations
        if abroad and source.storage_encrypted and not db_kwargs.get("kms_key_id"):
            raise RDSClientError(
                "InvalidParameterCombination",
                "Cannot create a cross region unencrypted read replica from encrypted source",
            )
        if _real and source.status not in {"available", "backing-up", "modifying", "storage-optimization"}:
            raise _wrong_state(source_id, source.status)
        if int(source.backup_retention_period or 0) == 0:
            raise RDSClientError(
                "InvalidDBInstanceState",
                "Automated backups are not enabled for this database instance. To enable automated backups, use "
                "ModifyDBInstance to set the backup retention period to a non-zero value.",
            )
        # What a replica has of its source when nobody says otherwise; all else has the defaults of a new instance.
        # https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_CreateDBInstanceReadReplica.html
        taken = {
            name: getattr(source, name)
            for name in (
                *("engine", "engine_version", "license_model", "db_name", "port", "db_instance_class"),
                *("allocated_storage", "storage_encrypted", "master_username", "db_parameter_group_name"),
                *("preferred_backup_window", "preferred_maintenance_window", "vpc_security_group_ids"),
            )
            # What is in its source's region it cannot have.
            if not abroad or name not in {"db_parameter_group_name", "vpc_security_group_ids"}
        }
        if not abroad:
            taken["db_subnet_group_name"] = source._db_subnet_group_name
        given = {key: value for key, value in db_kwargs.items() if key not in {"backend", "pre_signed_url"}}
        replica = self.create_db_instance(
            {
                **taken,
                "master_user_password": getattr(source, "_master_user_password", None),
                "backup_retention_period": 0,
                "publicly_accessible": False,
                **given,
                "source_db_instance_identifier": source.db_instance_arn if abroad else source_id,
            }
        )
        replica.set_as_replica()
        source.add_replica(replica)
        return replica

    def promote_read_replica(self: Any, db_kwargs: dict[str, Any]) -> Any:
        database = self.databases.get(db_kwargs["db_instance_identifier"].lower())
        if database is None:
            raise DBInstanceNotFoundError(db_kwargs["db_instance_identifier"])
        if not database.is_replica:
            raise RDSClientError("InvalidDBInstanceState", "DB Instance is not a read replica.")
        _unfollow(database)
        database.backup_retention_period = int(db_kwargs.get("backup_retention_period") or 1)
        database.promotion_pending = _real
        if _real and database.status == "available":
            database.status = "modifying"
        return database

    def status_infos(self: Any) -> list[dict[str, Any]]:
        if not self.is_replica:
            return []
        source = source_of(self)
        if source is None:
            # https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_ReadRepl.Monitoring.html
            return [{"StatusType": "read replication", "Normal": False, "Status": "terminated"}]
        normal = self.status == "available" and source.status == "available"
        return [
            {"StatusType": "read replication", "Normal": normal, "Status": "replicating" if normal else "connecting"}
        ]

    def restore_db_instance_from_db_snapshot(self: Any, from_snapshot_id: str, overrides: dict[str, Any]) -> Any:
        snapshot_id = from_snapshot_id.rsplit(":", 1)[-1] if from_snapshot_id.startswith("arn:") else from_snapshot_id
        snapshot = self.database_snapshots.get(snapshot_id)
        if snapshot is None:
            raise DBSnapshotNotFoundFault(snapshot_id)
        if snapshot.status != "available":
            raise RDSClientError("InvalidDBSnapshotState", f"Snapshot {snapshot_id} is not available.")
        database = restore(self, from_snapshot_id, {**overrides, "restored_from": snapshot_id})
        # Not the source's: without a word there is no protection and no standby.
        # https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_RestoreDBInstanceFromDBSnapshot.html
        database.deletion_protection = bool(overrides.get("deletion_protection"))
        database.multi_az = bool(overrides.get("multi_az"))
        return database

    def save_automated_backup(self: Any) -> None:
        # A retention of 0 days turns automated backups off.
        if int(self.backup_retention_period or 0) > 0:
            backup(self)

    def db_parameter_group_status_list(self: Any) -> list[Any]:
        # Copies: others have the same group.
        found = [copy.copy(group) for group in self.db_parameter_groups()]
        for group in found:
            group.ParameterApplyStatus = "pending-reboot" if self.parameters_pending else "in-sync"
        return found

    def pending_modified_values(self: Any) -> dict[str, Any]:
        return {"MasterUserPassword": "****"} if self.password_pending else {}

    def endpoint(self: Any) -> dict[str, Any] | None:
        # AWS tells the endpoint only when there is one.
        return None if self.status == "creating" else {"Address": self.address, "Port": self.port}

    def reboot_db_instance(self: Any, db_instance_identifier: str) -> Any:
        database = self.describe_db_instances(db_instance_identifier)[0]
        if database.status not in {"available", "storage-optimization"}:
            raise _wrong_state(db_instance_identifier, database.status)
        database.parameters_pending = False
        if _real:
            database.status = "rebooting"
        return database

    def stop_db_instance(self: Any, db_instance_identifier: str, db_snapshot_identifier: str | None = None) -> Any:
        database = self.describe_db_instances(db_instance_identifier)[0]
        if database.status != "available":
            raise _wrong_state(db_instance_identifier, database.status)
        if db_snapshot_identifier:
            self.create_db_snapshot(db_instance_identifier, db_snapshot_identifier)
        database.status = "stopping" if _real else "stopped"
        return database

    def start_db_instance(self: Any, db_instance_identifier: str) -> Any:
        database = self.describe_db_instances(db_instance_identifier)[0]
        if database.status != "stopped":
            raise _wrong_state(db_instance_identifier, database.status)
        database.status = "starting" if _real else "available"
        return database

    def default_db_parameter_group_details(self: Any) -> tuple[str, str]:
        family, name = groups(self)
        if self.engine == "postgres":
            family = f"postgres{self.engine_version.split('.')[0]}"
            name = f"default.{family}"
        return family, name

    models.DBInstance.__init__ = init_instance
    models.RDSBackend.create_db_instance = create_db_instance
    models.RDSBackend.modify_db_instance = modify_db_instance
    models.RDSBackend.delete_db_instance = delete_db_instance
    models.RDSBackend.forget_db_instance = forget_db_instance
    models.RDSBackend.restore_db_instance_from_db_snapshot = restore_db_instance_from_db_snapshot
    models.RDSBackend.reboot_db_instance = reboot_db_instance
    models.RDSBackend.stop_db_instance = stop_db_instance
    models.RDSBackend.start_db_instance = start_db_instance
    models.RDSBackend.create_db_instance_read_replica = create_db_instance_read_replica
    models.RDSBackend.promote_read_replica = promote_read_replica
    models.DBInstance.status_infos = property(status_infos)
    models.DBInstance.db_parameter_group_status_list = property(db_parameter_group_status_list)
    models.DBInstance.pending_modified_values = property(pending_modified_values)
    models.DBInstance.save_automated_backup = save_automated_backup
    models.DBInstance.endpoint = property(endpoint)
    models.DBInstance.default_db_parameter_group_details = default_db_parameter_group_details


def _patch_windows() -> None:
    seconds = utils.get_overlap_between_two_date_ranges

    def overlap(*times: Any) -> int:
        # moto refuses from 0 seconds on.
        return seconds(*times) or -1

    utils.get_overlap_between_two_date_ranges = overlap


def _patch_snapshots() -> None:
    create = models.RDSBackend.create_db_snapshot
    copy = models.RDSBackend.copy_db_snapshot
    remove = models.RDSBackend.delete_db_snapshot
    init = models.DBSnapshot.__init__

    def init_snapshot(self: Any, *args: Any, **kwargs: Any) -> None:
        init(self, *args, **kwargs)
        # moto shares the instance's tag list with the snapshot: what is tagged later would be tagged twice.
        self.tags = [dict(tag) for tag in self.tags]

    def create_db_snapshot(self: Any, db_instance_identifier: str, *args: Any, **kwargs: Any) -> Any:
        database = self.databases.get(db_instance_identifier.lower())
        if database is None:
            raise DBInstanceNotFoundError(db_instance_identifier)
        kind = kwargs.get("snapshot_type", "manual")
        if _real and kind == "manual" and database.status not in {"available", "modifying", "storage-optimization"}:
            raise _wrong_state(db_instance_identifier, database.status)
        snapshot = create(self, db_instance_identifier.lower(), *args, **kwargs)
        snapshot.copied_from = None
        if _real:
            snapshot.status = "creating"
        return snapshot

    def copy_db_snapshot(self: Any, source_db_snapshot_identifier: str, *args: Any, **kwargs: Any) -> Any:
        source = source_db_snapshot_identifier.rsplit(":", 1)[-1]
        snapshot = copy(self, source, *args, **kwargs)
        snapshot.copied_from = source
        if _real:
            snapshot.status = "creating"
        return snapshot

    def delete_db_snapshot(self: Any, db_snapshot_identifier: str) -> Any:
        snapshot = remove(self, db_snapshot_identifier)
        snapshot.status = "deleted"
        return snapshot

    models.DBSnapshot.__init__ = init_snapshot
    models.RDSBackend.create_db_snapshot = create_db_snapshot
    models.RDSBackend.copy_db_snapshot = copy_db_snapshot
    models.RDSBackend.delete_db_snapshot = delete_db_snapshot


def _check_zones(subnets: list[Any]) -> None:
    zones = sorted({subnet.availability_zone for subnet in subnets})
    if len(zones) < 2:
        raise RDSClientError(
            "DBSubnetGroupDoesNotCoverEnoughAZs",
            "The DB subnet group doesn't meet Availability Zone (AZ) coverage requirement. Current AZ coverage: "
            f"{', '.join(zones)}. Add subnets to cover at least 2 AZs.",
        )


def _patch_subnet_groups() -> None:
    remove = models.RDSBackend.delete_subnet_group

    def create_subnet_group(
        self: Any, subnet_name: str, description: str, subnets: list[Any], tags: list[dict[str, str]]
    ) -> Any:
        name = subnet_name.lower()
        if name in self.subnet_groups:
            raise RDSClientError("DBSubnetGroupAlreadyExists", f"The DB subnet group '{name}' already exists.")
        _check_zones(subnets)
        group = models.DBSubnetGroup(self, name, description, subnets, tags)
        self.subnet_groups[name] = group
        return group

    def describe_db_subnet_groups(self: Any, subnet_group_name: str | None) -> list[Any]:
        if not subnet_group_name:
            return list(self.subnet_groups.values())
        if subnet_group_name.lower() not in self.subnet_groups:
            raise DBSubnetGroupNotFoundError(subnet_group_name)
        return [self.subnet_groups[subnet_group_name.lower()]]

    def modify_db_subnet_group(self: Any, subnet_name: str, description: str | None, subnets: list[Any]) -> Any:
        group = self.subnet_groups.get(subnet_name.lower())
        if group is None:
            raise DBSubnetGroupNotFoundError(subnet_name)
        _check_zones(subnets)
        group.subnets = subnets
        if description is not None:
            group.description = description
        return group

    def delete_subnet_group(self: Any, subnet_name: str) -> Any:
        name = subnet_name.lower()
        for database in self.databases.values():
            if getattr(database, "_db_subnet_group_name", None) == name:
                raise RDSClientError(
                    "InvalidDBSubnetGroupStateFault",
                    f"Cannot delete the subnet group '{name}' because at least one database instance: "
                    f"{database.db_instance_identifier} is still using it.",
                )
        return remove(self, name)

    models.RDSBackend.create_subnet_group = create_subnet_group
    models.RDSBackend.describe_db_subnet_groups = describe_db_subnet_groups
    models.RDSBackend.modify_db_subnet_group = modify_db_subnet_group
    models.RDSBackend.delete_subnet_group = delete_subnet_group


def _patch_parameter_groups() -> None:
    remove = models.RDSBackend.delete_db_parameter_group
    modify = models.RDSBackend.modify_db_parameter_group
    listed = models.RDSBackend.describe_db_parameter_groups

    def describe_db_parameter_groups(self: Any, db_parameter_group_kwargs: dict[str, Any]) -> list[Any]:
        name = db_parameter_group_kwargs.get("db_parameter_group_name")
        found = listed(self, {"db_parameter_group_name": name.lower()} if name else {})
        if name and not found:
            raise DBParameterGroupNotFoundError(name)
        return list(found)

    def modify_db_parameter_group(self: Any, db_parameter_group_name: str, parameters: Any) -> Any:
        parameters = list(parameters)
        known = {str(parameter["ParameterName"]) for parameter in PARAMETERS}
        for parameter in parameters:
            if parameter["ParameterName"] not in known:
                raise RDSClientError(
                    "InvalidParameterValue",
                    f"Could not find parameter with name: {parameter['ParameterName']} "
                    f"(the lab has {', '.join(known)})",
                )
        return modify(self, db_parameter_group_name, parameters)

    def delete_db_parameter_group(self: Any, db_parameter_group_name: str) -> Any:
        if any(database.db_parameter_group_name == db_parameter_group_name for database in self.databases.values()):
            raise RDSClientError(
                "InvalidDBParameterGroupState",
                "One or more database instances are still members of this parameter group "
                f"{db_parameter_group_name}, so the group cannot be deleted",
            )
        return remove(self, db_parameter_group_name)

    def describe_db_parameters(self: Any) -> ActionResult:
        group = self.backend.describe_db_parameter_groups(
            {"db_parameter_group_name": self.params.get("DBParameterGroupName")}
        )[0]
        found = [
            {**parameter, **({"Source": "user", **group.parameters[name]} if name in group.parameters else {})}
            for parameter in PARAMETERS
            for name in [parameter["ParameterName"]]
        ]
        source = self.params.get("Source")
        return ActionResult({"Parameters": [one for one in found if source in {None, one["Source"]}]})

    models.RDSBackend.describe_db_parameter_groups = describe_db_parameter_groups
    models.RDSBackend.modify_db_parameter_group = modify_db_parameter_group
    models.RDSBackend.delete_db_parameter_group = delete_db_parameter_group
    RDSResponse.describe_db_parameters = describe_db_parameters


def _patch_tagging() -> None:
    listed = models.RDSBackend.iter_tagged_resources

    def iter_tagged_resources(self: Any) -> Iterator[TaggedResource]:
        yield from listed(self)
        for group in list(self.subnet_groups.values()):
            yield TaggedResource(
                arn=group.arn,
                tags={tag["Key"]: tag["Value"] for tag in group.get_tags()},
                resource_type="rds:subgrp",
            )
        for group in list(self.db_parameter_groups.values()):
            if not group.name.startswith("default."):
                tags = {tag["Key"]: tag["Value"] for tag in group.get_tags()}
                yield TaggedResource(arn=group.arn, tags=tags, resource_type="rds:pg")

    models.RDSBackend.iter_tagged_resources = iter_tagged_resources


def _patch_engine_versions() -> None:
    def describe_db_engine_versions(self: Any) -> ActionResult:
        engine = self.params.get("Engine")
        wanted = self.params.get("EngineVersion")
        found = [] if engine not in {None, "postgres"} else list(ENGINE_VERSIONS)
        if wanted:
            found = [version for version in found if wanted in {version, version.split(".")[0]}]
        if self.params.get("DefaultOnly"):
            found = found[-1:]
        return ActionResult(
            {
                "DBEngineVersions": [
                    {
                        "Engine": "postgres",
                        "EngineVersion": version,
                        "MajorEngineVersion": version.split(".")[0],
                        "DBParameterGroupFamily": f"postgres{version.split('.')[0]}",
                        "DBEngineDescription": "PostgreSQL",
                        "DBEngineVersionDescription": f"PostgreSQL {version}-R1",
                        "Status": "available",
                        "ValidUpgradeTarget": [],
                    }
                    for version in found
                ]
            }
        )

    RDSResponse.describe_db_engine_versions = describe_db_engine_versions


def _patch_certificates() -> None:
    def describe_certificates(self: Any) -> ActionResult:
        name = self.params.get("CertificateIdentifier", AUTHORITY)
        return ActionResult(
            {
                "Certificates": [
                    {
                        "CertificateIdentifier": name,
                        "CertificateType": "CA",
                        "CertificateArn": f"arn:aws:rds:{self.region}::cert:{name}",
                        "ValidFrom": AUTHORITY_SINCE,
                        "ValidTill": AUTHORITY_UNTIL,
                        "CustomerOverride": False,
                    }
                ]
            }
        )

    RDSResponse.describe_certificates = describe_certificates


@functools.cache
def apply() -> None:
    """Patch moto.rds."""
    _patch_certificates()
    _patch_instances()
    _patch_windows()
    _patch_snapshots()
    _patch_subnet_groups()
    _patch_parameter_groups()
    _patch_tagging()
    _patch_engine_versions()
