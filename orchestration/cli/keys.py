"""Commands on keys: where they lie, a new one, the key of a role's database. No key is ever shown."""

from __future__ import annotations

import json

import click
from rich.table import Table

from orchestration.cli.app import cli, escape, near, out
from orchestration.contracts.company import Role
from orchestration.errors import UsageError
from orchestration.settings import Workspace

_ROLES: tuple[Role, ...] = ("pseudonymised", "aggregate")


@cli.group()
def keys() -> None:
    """The keys of this workspace: where they lie, whether they fit, a new one. No key is ever shown."""


@keys.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.pass_obj
def show(workspace: Workspace, as_json: bool) -> None:
    """Where the keys lie, and what needs each of them."""
    from orchestration import protection, publish, suppression
    from orchestration.contracts.catalogue import load_catalogue

    workspace.prepare()
    access = load_catalogue(workspace.declarations).company.access
    ring = protection.keys(workspace)
    entries = suppression.entries_by_key(workspace)
    roles = []
    for role in _ROLES:
        if role in access.roles:
            place = publish.role_key_file(workspace, role)
            is_written, opens = place.exists(), publish.opens_role(workspace, role)
            roles.append({"role": role, "key_file": str(place) if is_written else None, "opens": opens})
    if as_json:
        listed = [{"key_id": key.key_id, "listed": entries.get(key.key_id, 0)} for key in ring]
        click.echo(json.dumps({"key_file": str(workspace.key_file), "keys": listed, "roles": roles}))
        return
    out.print(f"key file: {escape(near(workspace.key_file))} (keep a backup apart from the data)")
    table = Table()
    for column in ("key", "used for", "entries in the lists of people who said no or were erased"):
        table.add_column(column)
    for key in ring:
        use = "everything new" if key is ring[-1] else "what was made with it; must stay"
        table.add_row(key.key_id, use, f"{entries.get(key.key_id, 0):,}")
    out.print(table)
    states: dict[object, str] = {
        None: "not encrypted",
        True: "encrypted",
        False: "encrypted with another key; the next run mends it",
    }
    for told in roles:
        where = told["key_file"] or f"not written; `rcu keys role {told['role']}` writes it"
        out.print(f"role {told['role']}: {states[told['opens']]}; its key: {escape(str(where))}")


@keys.command()
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def rotate(workspace: Workspace, yes: bool) -> None:
    """Make a new key; old ones stay, so that everybody who said no is still known."""
    from orchestration import protection, publish
    from orchestration.contracts.catalogue import load_catalogue
    from orchestration.warehouse import run_lock

    workspace.prepare()
    access = load_catalogue(workspace.declarations).company.access
    if not yes:
        click.confirm("Make a new key? Tokens of the pseudonymised database change with it", abort=True)
    with run_lock(workspace, "rcu keys rotate"):
        key = protection.rotate(workspace)
        done = publish.rekey(workspace, access)
    out.print(f"new key {key.key_id} in {escape(near(workspace.key_file))}; make a backup of this file now")
    out.print(
        f"written anew with it: {done.publications} publications, {done.role_databases} role databases, "
        f"{done.role_keys} key files of roles"
    )
    if done.builds:
        out.print("the build was removed; the next `rcu run` makes it anew")


@keys.command()
@click.argument("role", type=click.Choice(_ROLES))
@click.pass_obj
def role(workspace: Workspace, role: Role) -> None:
    """Write the key of a role's encrypted database to a file that its owner alone can read."""
    from orchestration import publish
    from orchestration.contracts.catalogue import load_catalogue

    workspace.prepare()
    access = load_catalogue(workspace.declarations).company.access
    if role not in access.roles or not access.encrypted:
        raise UsageError(
            f'company.yml: there is no encrypted database of the role "{role}"; '
            f"write `access: {{roles: [{role}], encrypted: true}}`"
        )
    path = publish.write_role_key(workspace, role)
    out.print(f"written: {escape(near(path))} (it opens the database of {role} and nothing else)")
