"""Telephone numbers that SQL cannot settle: the SQL function `foreign_phone` that dbt's models call.

What belongs here: reading one number with the numbering plans of the world. What does not: French numbers and those of
the neighbours, which SQL reads (`dbt_project/macros/phones.sql`): this takes a thousand times longer, so the models
hand it distinct values only, and only those that are left.

dbt-duckdb makes a `Plugin` of this module (see `dbt_project/profiles.yml`) and lets it prepare each connection.
"""

from __future__ import annotations

import duckdb
from dbt.adapters.duckdb.plugins import BasePlugin
from duckdb.func import FunctionNullHandling
from duckdb.sqltypes import VARCHAR

NOT_IN_PLAN = "not_in_plan"


def read_number(written: str | None, country: str | None) -> str | None:
    """`mobile +32475123457`, `landline ...`, `unknown ...` (the plan does not tell), or `not_in_plan`.

    `country`: two letters, for numbers written without one. None without a number.
    """
    # phonenumbers loads its plans on import: only who has such numbers waits for them.
    import phonenumbers

    if written is None:
        return None
    text = written.strip()
    if text.startswith("00"):
        text = "+" + text[2:]
    try:
        number = phonenumbers.parse(text, country)
    except phonenumbers.NumberParseException:
        return NOT_IN_PLAN
    if not phonenumbers.is_valid_number(number):
        return NOT_IN_PLAN
    kinds = {
        phonenumbers.PhoneNumberType.MOBILE: "mobile",
        phonenumbers.PhoneNumberType.FIXED_LINE: "landline",
    }
    kind = kinds.get(phonenumbers.number_type(number), "unknown")
    return f"{kind} {phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)}"


class Plugin(BasePlugin):
    """Registers `foreign_phone(written, country)`."""

    def configure_connection(self, conn: duckdb.DuckDBPyConnection) -> None:
        """Add the function; a connection to a database that another one has open finds it there."""
        found = conn.execute("select 1 from duckdb_functions() where function_name = 'foreign_phone'").fetchone()
        if found is None:
            conn.create_function(
                "foreign_phone", read_number, [VARCHAR, VARCHAR], VARCHAR, null_handling=FunctionNullHandling.SPECIAL
            )
