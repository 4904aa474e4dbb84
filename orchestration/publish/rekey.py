"""A new key for what was encrypted with an older one: each kept publication is written anew.

What belongs here: the databases of this domain. What does not: keys (`protection`), and the keyed lists, which keep
the key that they were hashed with.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from orchestration import protection, rewriting, warehouse
from orchestration.contracts.company import Access, Role
from orchestration.publish.erase import copy_comments, drop_builds, mend_manifest, open_up, seal_again
from orchestration.publish.publications import Publication, current, list_publications
from orchestration.publish.views import folder_of_role, role_key, write_views
from orchestration.settings import Workspace
from orchestration.warehouse import quote


@dataclass(frozen=True)
class Rekeyed:
    """What is now under the newest key: publications, role databases, key files of roles; builds that went."""

    publications: int = 0
    role_databases: int = 0
    role_keys: int = 0
    builds: int = 0


def rekey(workspace: Workspace, access: Access) -> Rekeyed:
    """Bring everything encrypted or made of tokens under the newest key. Call under the run lock; can be repeated."""
    publications = [one for one in list_publications(workspace) if warehouse.is_encrypted(one.database)]
    for publication in publications:
        _write_anew(publication)
    builds = drop_builds(workspace) if warehouse.is_encrypted(workspace.build_file) else 0
    now = current(workspace)
    written = write_views(workspace, now, access) if now is not None else []
    keys = [role for role in _roles_with_a_key_file(workspace) if write_role_key(workspace, role)]
    return Rekeyed(len(publications), len(written), len(keys), builds)


def role_key_file(workspace: Workspace, role: Role) -> Path:
    """Where the key of a role's database is put for its readers: beside the key file, never with the data."""
    return workspace.key_file.parent / "roles" / f"{role}.key"


def write_role_key(workspace: Workspace, role: Role) -> Path:
    """Write the key of a role's database to its file (mode 0600), to be handed out."""
    path = role_key_file(workspace, role)
    protection.write_key_file(path, role_key(workspace, role))
    return path


def opens_role(workspace: Workspace, role: Role) -> bool | None:
    """Whether the key of today opens a role's database; None where it is not there or not encrypted."""
    path = folder_of_role(workspace, role) / "rcu.duckdb"
    return warehouse.opens(path, role_key(workspace, role)) if warehouse.is_encrypted(path) else None


def _roles_with_a_key_file(workspace: Workspace) -> list[Role]:
    roles: tuple[Role, ...] = ("pseudonymised", "aggregate")
    return [role for role in roles if role_key_file(workspace, role).exists()]


def _write_anew(publication: Publication) -> None:
    folder = publication.path
    open_up(folder)
    old, new = publication.database, folder / ".rcu.duckdb.rekeying.tmp"
    new.unlink(missing_ok=True)
    connection = warehouse.connect()
    try:
        warehouse.attach(connection, old, "old", read_only=True)
        warehouse.attach(connection, new, "rcu", encrypted=True)
        tables = connection.execute(
            "select schema_name, table_name from duckdb_tables() where database_name = 'old' order by all"
        ).fetchall()
        for schema, name in tables:
            connection.execute(f"create schema if not exists rcu.{quote(schema)}")
            place = f"{quote(schema)}.{quote(name)}"
            connection.execute(f"create table rcu.{place} as select * from old.{place}")
        copy_comments(connection)
        connection.execute("checkpoint rcu")
        connection.execute("detach rcu")
        connection.execute("detach old")
    finally:
        connection.close()
    rewriting.replace(new, old)
    mend_manifest(folder, {})
    seal_again(folder)
