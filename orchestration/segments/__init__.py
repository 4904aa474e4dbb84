"""Segments: who belongs to each, since when and why, and the triggers that follow from it.

What belongs here: rules into SQL (`compiler`, `dialect`), their evaluation (`evaluation`) and life (`materialise`,
`stays`), static lists (`lists`), a look before they live (`preview`), rules in words (`words`), triggers
(`triggers`). What does not: the language
itself (`orchestration.contracts.segment`), audience files (`orchestration.activation`).

    report = materialise(connection, workspace, definitions, as_of_on=..., version=..., run_id=...,
                         is_forward=True, only=None)
"""

from orchestration.segments.erase import erase, listed_in
from orchestration.segments.lists import ImportedList, import_list
from orchestration.segments.materialise import (
    SEGMENT_CHANGES,
    SEGMENT_SIZES,
    SegmentSize,
    SegmentsReport,
    catalogue_of,
    company_time_zone,
    materialise,
)
from orchestration.segments.preview import (
    Difference,
    Explanation,
    Preview,
    Stay,
    Verdict,
    diff,
    explain,
    judge,
    memberships,
    preview,
)
from orchestration.segments.triggers import TRIGGER_FIRINGS, TriggersReport, fire
from orchestration.segments.words import explain_segment

#: Registry tables whose column `customer_id` an erasure must rewrite.
CUSTOMER_TABLES = (SEGMENT_CHANGES, TRIGGER_FIRINGS)

__all__ = [
    "CUSTOMER_TABLES",
    "SEGMENT_CHANGES",
    "SEGMENT_SIZES",
    "TRIGGER_FIRINGS",
    "Difference",
    "Explanation",
    "ImportedList",
    "Preview",
    "SegmentSize",
    "SegmentsReport",
    "Stay",
    "TriggersReport",
    "Verdict",
    "catalogue_of",
    "company_time_zone",
    "diff",
    "erase",
    "explain",
    "explain_segment",
    "fire",
    "import_list",
    "judge",
    "listed_in",
    "materialise",
    "memberships",
    "preview",
]
