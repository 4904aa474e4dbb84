"""Publishing: one sealed, versioned copy of what others rely on, and the pointer that names it.

What belongs here: planning a run against what is published, write-audit-publish, the pointer,
recovery after a crash, rollback, retention, and the record of runs. What does not: what is in the
published tables, and whether the data are good enough (the gates).

How it holds together, and what a crash leaves at each moment:

1. `.rcu-<version>.tmp/` is written, audited, made read-only: a crash leaves a temporary folder.
2. it is renamed to `rcu-<version>`: a crash leaves a publication without a commit. It is removed.
3. the registry commits the version: the point of no return. A crash after it leaves a pointer that
   lags behind; `recover`, at the start of every run, moves it forward.
4. the pointer moves, in one atomic replacement: readers see the old version or the new one.
5. the build is marked complete: without it the next run rebuilds instead of going on from it.

A backfill stops after 2. It never commits, moves the pointer or marks the build.
"""

from orchestration.publish.erase import drop_builds, erase, expire, held
from orchestration.publish.planning import RunPlan, code_fingerprint, input_fingerprint, is_forward, plan_run
from orchestration.publish.publications import (
    Publication,
    Recovery,
    current,
    list_publications,
    prune,
    recover,
    rollback,
)
from orchestration.publish.reading import identity_as_published
from orchestration.publish.rekey import Rekeyed, opens_role, rekey, role_key_file, write_role_key
from orchestration.publish.runs import Outcome, Run, Status, close_lost_runs, last_runs, record_run, status, write_runs
from orchestration.publish.views import RoleDatabase, drop_views, role_key, write_views
from orchestration.publish.write import publish

__all__ = [
    "Outcome",
    "Publication",
    "Recovery",
    "Rekeyed",
    "RoleDatabase",
    "Run",
    "RunPlan",
    "Status",
    "close_lost_runs",
    "code_fingerprint",
    "current",
    "drop_builds",
    "drop_views",
    "erase",
    "expire",
    "held",
    "identity_as_published",
    "input_fingerprint",
    "is_forward",
    "last_runs",
    "list_publications",
    "opens_role",
    "plan_run",
    "prune",
    "publish",
    "record_run",
    "recover",
    "rekey",
    "role_key",
    "role_key_file",
    "rollback",
    "status",
    "write_role_key",
    "write_runs",
    "write_views",
]
