"""The answer to an access request as a page: for the person it is about, who knows nothing of our tables.

What belongs here: the layout. What does not: what is in the answer (`access`). No script, nothing loaded; everything
that the JSON form holds is on the page but the keys by which rows are told apart in files.
"""

from __future__ import annotations

import datetime as dt
import html
from collections.abc import Mapping
from typing import Any

from orchestration.contracts.published_tables import published_tables

#: Above so many filled columns a row is easier to read as a list.
WIDEST_TABLE = 8
#: What tells one row of a file from another and nothing of a person.
_TECHNICAL = frozenset(
    {"row_hash", "row_key", "batch_id", "line_number", "run_id", "version", "statement_id", "fingerprint"}
)
#: Where a delivered row came from: told below it, once for all deliveries of the same content.
_ORIGIN = frozenset({"source", "business_on", "available_on"})
_TITLES = {
    "customer": "Your details, as each system knows them", "order": "Your orders", "order_line": "What you bought",
    "event": "What you did: messages, visits, calls", "consent": "What you agreed to or refused",
    "privacy_request": "Your requests about your data", "steward_decision": "Decisions about records of yours",
    "quarantine": "Rows about you that could not be read",
    "segment_changes": "Groups you entered and left", "trigger_firings": "Messages prepared for you",
    "delivered_to": "Where your details were sent",
    "delivered_to_before": "Where your details were sent before that",
    "static_lists": "Lists of the marketing team that name you",
    "steward_decisions": "Decisions about records of yours",
    "record_customers": "When each record was recognised as yours",
}  # fmt: skip
_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem;color:#222}
h1{font-size:1.7rem;margin-bottom:.3rem} h2{font-size:1.3rem;margin-top:2.5rem;border-bottom:2px solid #ddd}
h3{font-size:1.05rem;margin:1.6rem 0 .2rem} p.what{color:#666;margin:0 0 .5rem;font-size:.9em}
nav ul{columns:2;padding-left:1.2rem;font-size:.95em} .wide{overflow-x:auto}
table{border-collapse:collapse;margin:.3rem 0 1rem} th{background:#f3f3f3;font-weight:600;white-space:nowrap}
th,td{border:1px solid #ccc;padding:.2rem .5rem;text-align:left;vertical-align:top}
dl{display:grid;grid-template-columns:repeat(auto-fill,minmax(15rem,1fr));gap:.35rem 1.2rem;margin:0}
dt{color:#666;font-size:.82em} dd{margin:0;overflow-wrap:anywhere}
.card{border:1px solid #ccc;border-radius:.4rem;padding:.6rem .8rem;margin:.4rem 0}
.origin{color:#666;font-size:.85em;margin:.4rem 0 0} code{background:#f3f3f3;padding:0 .2rem}
@media print{body{margin:0}.card,tr{break-inside:avoid}nav{display:none}}
"""


def access_html(told: Mapping[str, Any], *, on: dt.date) -> str:
    """The answer as a page that opens anywhere."""
    known = ", ".join(f"<code>{_text(one)}</code>" for one in told["known_as"]) or "no customer yet"
    parts: list[tuple[str, str]] = []
    golden = told["published"].get("rcu.customers")
    if golden:
        parts.append(("In short", _list(golden[0])))
    if told["purposes"]:
        parts.append(("Why it is held, and how long", _rows(told["purposes"])))
    for title, part in (("What we were given, by which system and when", "delivered"),
                        ("What was made of it", "published"), ("What was noted over time", "history")):  # fmt: skip
        sections = [
            _section(name, rows, is_delivered=part == "delivered")
            for name, rows in told[part].items()
            if name != "rcu.customers"
        ]
        if sections:
            parts.append((title, "".join(sections)))
    if told["found_elsewhere"]:
        listed = ", ".join(f"<code>{_text(name)}</code>" for name in told["found_elsewhere"])
        parts.append(("Elsewhere", f"<p>Copies that are no part of this system also name you: {listed}.</p>"))
    if told["requests"]:
        parts.append(("Your requests", _rows(told["requests"])))
    contact = told["controller"]["contact"] or "the address you wrote to"
    out = [
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width'><title>What is held about you</title>"
        f"<style>{_STYLE}</style></head><body><h1>What is held about you</h1>",
        f"<p>{_text(told['controller']['name'])}, {on}. Questions, corrections, objection or erasure: {_text(contact)}.</p>",
        f"<p>You are known as {known}, from {len(told['records'])} records. "
        + ("<strong>You are on the list of those who are not contacted.</strong>" if told["on_the_suppression_list"] else "")
        + "</p>",
        "<nav><ul>" + "".join(f"<li><a href='#p{n}'>{_text(title)}</a></li>" for n, (title, _) in enumerate(parts))
        + "</ul></nav>",
    ]  # fmt: skip
    out += [f"<h2 id='p{number}'>{_text(title)}</h2>{body}" for number, (title, body) in enumerate(parts)]
    return "\n".join([*out, "</body></html>", ""])


def _section(name: str, rows: list[dict[str, Any]], *, is_delivered: bool) -> str:
    grain = {table.full_name: table.grain for table in published_tables()}.get(name, "")
    title = _TITLES.get(name, name)
    about = f"<p class='what'>{_text(grain)}</p>" if grain else ""
    return f"<h3>{_text(title)} ({len(rows)})</h3>{about}" + (_delivered(rows) if is_delivered else _rows(rows))


def _delivered(rows: list[dict[str, Any]]) -> str:
    """Rows with where they came from; a content that was delivered again and again is shown once."""
    found: dict[tuple[tuple[str, str], ...], list[dict[str, Any]]] = {}
    for row in rows:
        told = tuple(
            (name, str(value)) for name, value in row.items() if name not in _TECHNICAL | _ORIGIN and _is_told(value)
        )
        found.setdefault((("source", str(row.get("source"))), *told), []).append(row)
    if len({name for key in found for name, _ in key}) <= WIDEST_TABLE:
        shown = [{**dict(key), "received": _dates(same)} for key, same in found.items()]
        return _rows(shown)
    return "".join(
        f"<div class='card'>{_list(dict(key[1:]))}<p class='origin'>From <code>{_text(key[0][1])}</code>, received "
        f"{_text(_dates(same))}</p></div>"
        for key, same in found.items()
    )


def _dates(rows: list[dict[str, Any]]) -> str:
    days = sorted({str(row["available_on"]) for row in rows if row.get("available_on")})
    if len(days) > 3:
        return f"{len(days)} times from {days[0]} to {days[-1]}"
    return ", ".join(days)


def _rows(rows: list[dict[str, Any]]) -> str:
    names = [
        name for name in rows[0] if name not in _TECHNICAL and any(_is_told(row.get(name)) for row in rows)
    ]  # fmt: skip
    if len(names) > WIDEST_TABLE:
        return "".join(f"<div class='card'>{_list({name: row.get(name) for name in names})}</div>" for row in rows)
    head = "".join(f"<th>{_label(name)}</th>" for name in names)
    body = "".join("<tr>" + "".join(f"<td>{_text(row.get(name))}</td>" for name in names) + "</tr>" for row in rows)
    return f"<div class='wide'><table><tr>{head}</tr>{body}</table></div>"


def _list(row: Mapping[str, Any]) -> str:
    cells = "".join(
        f"<div><dt>{_label(name)}</dt><dd>{_text(value)}</dd></div>"
        for name, value in row.items()
        if _is_told(value) and name not in _TECHNICAL
    )
    return f"<dl>{cells}</dl>"


def _is_told(value: object) -> bool:
    return value not in (None, "", "None", [], {})


def _label(name: str) -> str:
    return _text(name.replace("_", " "))


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return html.escape("" if value is None else str(value))
