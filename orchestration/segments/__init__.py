"""Segments: who belongs to each, since when and why, and the triggers that follow from it.

What belongs here: rules into SQL (`compiler`, `dialect`), their evaluation and life (`materialise`), a look
before they live (`preview`), rules in words (`words`), triggers (`triggers`). What does not: the language
itself (`orchestration.contracts.segment`), audience files (`orchestration.activation`).

    report = materialise(connection, workspace, definitions, as_of_on=..., version=..., run_id=...,
                         is_forward=True, only=None)
"""

from orchestration.segments.erase import erase
from orchestration.segments.materialise import (
    SEGMENT_CHANGES,
    SEGMENT_SIZES,
    SegmentSize,
    SegmentsReport,
    catalogue_of,
    company_time_zone,
    materialise,
)
from orchestration.segments.preview import Difference, Explanation, Preview, diff, explain, preview
from orchestration.segments.triggers import TRIGGER_FIRINGS, TriggersReport, fire

#: Registry tables whose column `customer_id` an erasure must rewrite.
CUSTOMER_TABLES = (SEGMENT_CHANGES, TRIGGER_FIRINGS)

__all__ = [
    "CUSTOMER_TABLES",
    "SEGMENT_CHANGES",
    "SEGMENT_SIZES",
    "TRIGGER_FIRINGS",
    "Difference",
    "Explanation",
    "Preview",
    "SegmentSize",
    "SegmentsReport",
    "TriggersReport",
    "catalogue_of",
    "company_time_zone",
    "diff",
    "erase",
    "explain",
    "fire",
    "materialise",
    "preview",
]
