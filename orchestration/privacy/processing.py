"""The register of processing (GDPR, article 30), written from the declarations.

What belongs here: the page. What does not: any fact of its own: all comes from `declarations/` and the
classification of columns.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Iterator
from urllib.parse import urlsplit

from orchestration.contracts.activation import PLATFORMS, Activation
from orchestration.contracts.catalogue import Catalogue
from orchestration.contracts.entities import ENTITIES
from orchestration.contracts.retention import Retention
from orchestration.contracts.subject import landing_tables

_CLASSES = {
    "identity": "identity", "contact": "contact details", "reference": "pseudonymous keys",
    "trait": "facts about the person", "sensitive": "free text",
}  # fmt: skip


def processing_markdown(catalogue: Catalogue, retention: Retention) -> str:
    """The register as Markdown."""
    company = catalogue.company
    name = retention.controller.name or company.name
    people, records = retention.people, retention.records
    lines = [
        f"# Register of processing: {name}",
        "",
        "Written by `rcu register` from the declarations.",
        "",
        f"- Controller: {name}",
        f"- Contact of the data protection officer: {retention.controller.contact or 'not declared (retention.yml)'}",
        f"- Requests are answered within one month; erasures are carried out by a run after "
        f"{retention.requests.erase_after_days} days.",
        "",
        "## Purposes",
        "",
        *_grid(
            ("purpose", "legal basis", "persons", "kept"),
            ((p.purpose, p.legal_basis.replace("_", " "), p.concerns, p.kept) for p in retention.purposes),
        ),
        "",
        "## Sources and categories of data",
        "",
        *_grid(("source", "what", "owner", "delivers", "categories"), _sources(catalogue)),
        "",
        "## Recipients",
        "",
        *_grid(("activation", "what for", "recipient", "channel and purpose", "owner"), _recipients(catalogue)),
        "",
        "## Segments and what they are for",
        "",
        *_grid(("segment", "objective"), ((s.segment, s.objective) for s in catalogue.segments)),
        "",
        "## How long",
        "",
        *_grid(
            ("what", "until"),
            (
                ("prospects", f"{people.prospects_after_months} months after the last contact that came from them"),
                ("customers", f"{people.customers_after_months} months after the last contact or purchase"),
                ("order lines", "kept as accounting documents, without the person"),
                ("consents given", f"{records.grants_after_months} months; refusals as long as the person"),
                ("archived originals", f"{records.originals_after_months} months"),
                ("refused files", f"{records.refused_files_after_days} days"),
                ("exports", f"{records.exports_after_days} days"),
                ("past publications", f"{records.publications_after_days} days at most"),
                ("logs", f"{records.logs_after_days} days"),
            ),
        ),
        "",
        "## Security",
        "",
        "- Data folders are readable by their owner's group alone; published files are read-only.",
        "- Objections and erasures are kept as keyed hashes (HMAC-SHA-256); the key lies outside the data.",
        "- No personal value is written to logs or to the metadata of runs.",
        "- Secrets enter by reference; no declaration holds one.",
        *(["- The build and published databases are encrypted (AES-GCM)."] if company.encrypted_at_rest else []),
        *(
            f"- The role {role} gets a database of its own{', encrypted' if company.access.encrypted else ''}."
            for role in company.access.roles
        ),
    ]
    return "\n".join(lines) + "\n"


def _sources(catalogue: Catalogue) -> Iterator[tuple[str, ...]]:
    for name, source in sorted(catalogue.sources.items()):
        classes: set[str] = set()
        for entity_name, delivery in source.delivers.items():
            entity = ENTITIES[entity_name]
            for canonical in (*delivery.columns, *(entity.keys if delivery.key else ())):
                column = entity.column(canonical)
                if column is not None and column.personal != "none":
                    classes.add(_CLASSES[column.personal])
            is_about_people = entity_name in {table.name for table in landing_tables()}
            kept = [entity.column(name) for name in ("custom", "properties") if delivery.custom and is_about_people]
            kept += [entity.column("tags")] if delivery.tags else []
            classes |= {
                _CLASSES[column.personal] for column in kept if column is not None and column.personal != "none"
            }
        entities = ", ".join(sorted(source.delivers))
        yield name, source.describes, source.owner or "", entities, ", ".join(sorted(classes)) or "nothing personal"


def _recipients(catalogue: Catalogue) -> Iterator[tuple[str, ...]]:
    for name, activation in sorted(catalogue.activations.items()):
        what = activation.format if activation.format in PLATFORMS else "a list"
        uses = f"{activation.channel}, {activation.needed_purpose}"
        yield name, activation.objective, f"{what}, {_place(activation)}", uses, activation.owner or ""


def _place(activation: Activation) -> str:
    """Where a list goes, without anything secret."""
    deliver = activation.deliver
    if deliver.sftp is not None:
        return f"by SFTP to {deliver.sftp.host}"
    if deliver.s3 is not None:
        return f"to the bucket {deliver.s3.bucket}{f' of {deliver.s3.endpoint}' if deliver.s3.endpoint else ''}"
    if deliver.webhook is not None:
        return f"to {urlsplit(deliver.webhook.url).hostname}"
    if deliver.postgres is not None:
        return f"into the table {deliver.postgres.table} of a PostgreSQL database"
    given = deliver.folder.path if deliver.folder is not None else None
    return f"into the folder {given or f'data/exports/{activation.activation}'}"


def _grid(header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    listed = [tuple(" ".join(str(cell).split()).replace("|", "\\|") for cell in row) for row in rows]
    if not listed:
        yield "None declared."
        return
    yield f"| {' | '.join(header)} |"
    yield f"|{'---|' * len(header)}"
    for row in listed:
        yield f"| {' | '.join(row)} |"


def processing_html(catalogue: Catalogue, retention: Retention) -> str:
    """The same as a page that opens offline."""
    out = [
        "<!doctype html><html lang='en'><head><meta charset='utf-8'><title>Register of processing</title><style>"
        "body{font:15px/1.5 system-ui,sans-serif;max-width:64rem;margin:2rem auto;padding:0 1rem}"
        "table{border-collapse:collapse}th,td{border:1px solid #ccc;padding:.3rem .6rem;text-align:left;"
        "vertical-align:top}th{background:#f3f3f3}</style></head><body>"
    ]
    is_table = False
    for line in processing_markdown(catalogue, retention).splitlines():
        if line.startswith("|---"):
            continue
        if line.startswith("| "):
            cells = line.removeprefix("| ").removesuffix(" |").replace("\\|", "\x00").split(" | ")
            tag = "td" if is_table else "th"
            out.append(("" if is_table else "<table>") + "<tr>" + "".join(
                f"<{tag}>{html.escape(cell.replace(chr(0), '|'))}</{tag}>" for cell in cells) + "</tr>")  # fmt: skip
            is_table = True
            continue
        if is_table:
            out.append("</table>")
            is_table = False
        level = len(line) - len(line.lstrip("#"))
        if level:
            out.append(f"<h{level}>{html.escape(line.lstrip('# '))}</h{level}>")
        elif line:
            out.append(f"<p>{html.escape(line.replace('`', ''))}</p>")
    return "\n".join([*out, "</table>" if is_table else "", "</body></html>", ""])
