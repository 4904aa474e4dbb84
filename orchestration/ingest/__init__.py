"""Ingest: extracts in the inbox become typed landing files, with a manifest and a quarantine.

What belongs here: everything that knows how a source's files look. What does not: anything that comes
after landing, where no code knows a source by name. No Dagster.
"""

from orchestration.ingest.assembly import AssembleReport, assemble
from orchestration.ingest.erase import archived_files, erase, expire_files, expire_grants, held, sweep, waiting_files
from orchestration.ingest.landing import IngestReport, ingest
from orchestration.ingest.replay import replay, rows_to_mend, write_rows_to_mend
from orchestration.ingest.states import SourceState, refused_files, rows_in_quarantine, source_states

__all__ = [
    "AssembleReport",
    "IngestReport",
    "SourceState",
    "archived_files",
    "assemble",
    "erase",
    "expire_files",
    "expire_grants",
    "held",
    "ingest",
    "refused_files",
    "replay",
    "rows_in_quarantine",
    "rows_to_mend",
    "source_states",
    "sweep",
    "waiting_files",
    "write_rows_to_mend",
]
