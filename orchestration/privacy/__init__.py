"""Privacy requests: who is meant, what is held, what is erased, and the ledger that tells it was done in time.

What belongs here: finding the person (`people`), the ledger of requests (`ledger`), the order in which every
domain erases (`erasure`), the answer to an access request (`access`), objections (`objections`), corrections
(`rectification`), retention (`retention`), the register of processing (`processing`). What does not: how a
domain's own files are changed; each has its own `erase`. This package stands above the other domains, and is the
only one that calls several.

Privacy is not as-of: what is known now counts for every run, backfill, rollback and export.
"""

from orchestration.contracts.subject import Subject
from orchestration.privacy.access import access_person, portable
from orchestration.privacy.access_page import access_html
from orchestration.privacy.daily import DailyReport, before_landing, tell_destinations
from orchestration.privacy.erasure import ErasureReport, erase, resume
from orchestration.privacy.ledger import (
    Request,
    close,
    open_request,
    overdue,
    requests,
    require_open,
    write_requests,
)
from orchestration.privacy.objections import object_to_contact, write_suppressed
from orchestration.privacy.people import Person, find_person
from orchestration.privacy.processing import processing_html, processing_markdown
from orchestration.privacy.rectification import pin, rectify
from orchestration.privacy.retention import RetentionReport, retain
from orchestration.privacy.strays import stray_files

__all__ = [
    "DailyReport",
    "ErasureReport",
    "Person",
    "Request",
    "RetentionReport",
    "Subject",
    "access_html",
    "access_person",
    "before_landing",
    "close",
    "erase",
    "find_person",
    "object_to_contact",
    "open_request",
    "overdue",
    "pin",
    "portable",
    "processing_html",
    "processing_markdown",
    "rectify",
    "requests",
    "require_open",
    "resume",
    "retain",
    "stray_files",
    "tell_destinations",
    "write_requests",
    "write_suppressed",
]
