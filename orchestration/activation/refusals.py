"""Refusals that came in after the publication: they bind from the moment they have landed.

What belongs here: finding them and the customers they concern. What does not: the ledger of the publication,
which dbt makes (`rcu.consent_ledger`); here every doubt falls on the side of not sending, names are not
compared, and an address that several people share binds them all.
"""

from __future__ import annotations

from orchestration import landed, suppression
from orchestration.contracts.entities import ENTITIES
from orchestration.settings import Workspace
from orchestration.warehouse import Connection, literal

#: temp table: customer_id, is_request (an objection or erasure, which binds every channel and purpose).
TABLE = "temp.refused_since"

#: Events by which people refuse further e-mails.
EVENTS_OF_REFUSAL = ("email_unsubscribe", "email_complaint")

_REFERENCES = "ref_account_source, ref_account, ref_card, ref_email, ref_phone, ref_cookie"


def find_refusals(connection: Connection, workspace: Workspace, *, channel: str, purpose: str) -> int:
    """Write `TABLE` for one channel and purpose; returns how many customers it holds.

    `connection` is on the published database. Read are the landing files of deliveries that the publication
    does not know (those that landed since, and those of later days where the publication is of an earlier one),
    and the suppression list as it is now.
    """
    _find_waiting(connection, workspace, channel=channel, purpose=purpose)
    _add_suppressed(connection, workspace)
    row = connection.execute(f"select count(*) from {TABLE}").fetchone()
    return int(row[0]) if row else 0


def _add_suppressed(connection: Connection, workspace: Workspace) -> None:
    """Everyone with a record, an address or a number on one of the two keyed lists."""
    if not (suppression.has_objections(workspace) or suppression.has_erased(workspace)):
        return
    email, phone = suppression.KEY_SQL["email"], suppression.KEY_SQL["phone"]
    queries: dict[suppression.Kind, str] = {
        "record": "select customer_id, source || chr(31) || record_id from rcu.customer_records",
        "email": f"select customer_id, {email.format('value')} from rcu.contact_points where channel = 'email' "
        f"union select customer_id, {email.format('value_given')} from rcu.contact_points where channel = 'email'",
        "phone": f"select customer_id, {phone.format('value')} from rcu.contact_points where channel = 'phone'",
    }
    found: set[str] = set()
    for kind, query in queries.items():
        holders: dict[str, set[str]] = {}
        for customer_id, key in connection.execute(query).fetchall():
            if key:
                holders.setdefault(key, set()).add(customer_id)
        listed = suppression.objected_among(workspace, kind, holders)
        if kind == "record":  # an address that an erased person shared is that of somebody living as well
            listed = {**listed, **suppression.erased_among(workspace, kind, holders)}
        found.update(customer_id for key in listed for customer_id in holders[key])
    if found:
        connection.execute(f"insert into {TABLE} select unnest(?::varchar[]), true", [sorted(found)])
        connection.execute(
            f"create or replace {_made()} as select customer_id, bool_or(is_request) as is_request from {TABLE} "
            "group by customer_id"
        )


def _find_waiting(connection: Connection, workspace: Workspace, *, channel: str, purpose: str) -> None:
    known = {batch for (batch,) in connection.execute("select distinct batch_id from audit.files").fetchall()}
    statements = [
        _select(workspace, "consent", known, "false", f"""
            where coalesce(lower(trim(status)), 'refused') not in ('granted', 'pending')
                and {_covers("channel", channel, ("email", "sms", "phone", "post", "push"))}
                and {_covers("purpose", purpose, ("marketing", "profiling", "open_tracking", "partners"))}"""),
        _select(workspace, "privacy_request", known, "true", """
            where lower(trim(request_type)) in ('erasure', 'objection')"""),
    ]  # fmt: skip
    if channel == "email":
        kinds = ", ".join(literal(kind) for kind in EVENTS_OF_REFUSAL)
        statements.append(_select(workspace, "event", known, "false", f"where event_type in ({kinds})"))
    told = " union all ".join(one for one in statements if one)
    if not told:
        connection.execute(f"create or replace {_made()} (customer_id varchar, is_request boolean)")
        return
    connection.execute(f"create or replace temp table refusals_waiting as {told}")
    connection.execute(
        f"""
        create or replace {_made()} as
        with emails as (
            select customer_id, {_folded("value")} as address from rcu.identifiers where type = 'email'
            union
            select customer_id, {_folded("value")} from rcu.contact_points where channel = 'email'
            union
            select customer_id, {_folded("value_given")} from rcu.contact_points where channel = 'email'
        ),
        phones as (
            select customer_id, {_last_digits("value")} as number from rcu.identifiers where type = 'phone'
            union
            select customer_id, {_last_digits("value")} from rcu.contact_points where channel = 'phone'
        ),
        accounts as (
            select customer_id, source, record_id as account from rcu.customer_records
            union
            select customer_id, source, value from rcu.identifiers where type = 'account'
            union
            select current_customer_id, 'rcu', customer_id from rcu.customer_id_history
            where current_customer_id is not null
            union
            select customer_id, 'rcu', customer_id from rcu.customers
        ),
        found as (
            select accounts.customer_id, waiting.is_request
            from temp.refusals_waiting as waiting
            inner join accounts
                on waiting.ref_account_source = accounts.source and waiting.ref_account = accounts.account
            union all
            select emails.customer_id, waiting.is_request
            from temp.refusals_waiting as waiting
            inner join emails on {_folded("waiting.ref_email")} = emails.address
            union all
            select phones.customer_id, waiting.is_request
            from temp.refusals_waiting as waiting
            inner join phones on {_last_digits("waiting.ref_phone")} = phones.number
            union all
            select cards.customer_id, waiting.is_request
            from temp.refusals_waiting as waiting
            inner join rcu.identifiers as cards
                on cards.type = 'card'
                and regexp_replace(upper(waiting.ref_card), '[^A-Z0-9]', '', 'g') = cards.value
            union all
            select cookies.customer_id, waiting.is_request
            from temp.refusals_waiting as waiting
            inner join rcu.identifiers as cookies
                on cookies.type = 'cookie' and waiting.ref_cookie = cookies.value
        )
        select customer_id, bool_or(is_request) as is_request
        from found
        where customer_id is not null
        group by customer_id
        """
    )


def _made() -> str:
    return f"temp table {TABLE.removeprefix('temp.')}"


def _select(workspace: Workspace, entity: str, known: set[str], is_request: str, where: str) -> str:
    files = [path for path in landed.files(workspace, ENTITIES[entity]) if path.stem not in known]
    if not files:
        return ""
    return f"select {_REFERENCES}, {is_request} as is_request from {landed.rows(workspace, ENTITIES[entity], files)} {where}"


def _covers(column: str, wanted: str, known: tuple[str, ...]) -> str:
    """A statement about this, or about no particular one (unknown words mean all)."""
    listing = ", ".join(literal(word) for word in known)
    value = f"coalesce(lower(trim({column})), 'all')"
    return f"({value} = {literal(wanted)} or {value} not in ({listing}))"


def _folded(expression: str) -> str:
    """Spellings of one mailbox fold into one: lower case, no +tag, no dots before @gmail.com."""
    plain = f"regexp_replace(lower(trim({expression})), '[\\s<>\"]', '', 'g')"
    local = f"regexp_replace(split_part({plain}, '@', 1), '\\+.*$', '')"
    domain = f"split_part({plain}, '@', 2)"
    return (
        f"case when {domain} in ('gmail.com', 'googlemail.com') then replace({local}, '.', '') || '@gmail.com' "
        f"else {local} || '@' || {domain} end"
    )


def _last_digits(expression: str) -> str:
    """The last nine digits: the same however the country is written."""
    digits = f"regexp_replace({expression}, '[^0-9]', '', 'g')"
    return f"case when length({digits}) >= 9 then right({digits}, 9) end"
