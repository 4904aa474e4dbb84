"""Any sequence of runs, backfills, deaths, rollbacks and prunings keeps pointer and registry in step."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestration import registry
from orchestration.errors import UsageError
from orchestration.publish import current, list_publications, prune, recover, rollback
from tests.unit.publish.toy import build, customers_seen, day, new_workspace, plan, publish_plan


class Died(Exception):
    """Stands for the end of the process: nothing after it is done."""


STEPS = ("written", "audited", "sealed", "renamed", "committed", "pointed")

runs = st.tuples(st.just("run"), st.integers(1, 6), st.sampled_from([None, *STEPS]))
actions = st.one_of(runs, runs, runs, st.tuples(st.just("rollback")), st.tuples(st.just("prune"), st.integers(1, 3)))


@settings(max_examples=12, deadline=None, derandomize=True)
@given(st.lists(actions, min_size=1, max_size=6))
def test_what_readers_see_is_what_the_history_says(sequence: list[tuple]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        workspace = new_workspace(Path(folder))
        shown: int | None = None  # customers that readers should see
        forward: list[int] = []  # customers of each forward publication that is kept, oldest first
        committed: list[int] = []  # dates of the committed versions
        for number, action in enumerate(sequence, start=1):
            recover(workspace)
            if action[0] == "run":
                _, date, death = action
                planned = plan(workspace, day(date), run_id=f"r{number}", inputs=str(number))
                assert planned.is_forward is (not committed or date >= max(committed))
                build(workspace, planned, customers=number)

                def die(step: str, death: str | None = death) -> None:
                    if step == death:
                        raise Died

                try:
                    publish_plan(workspace, planned, on_step=die)
                except Died:
                    pass
                if planned.is_forward and death in (None, "committed", "pointed"):
                    committed.append(date)
                    forward.append(number)
                    shown = number
            elif action[0] == "rollback":
                earlier = forward[: forward.index(shown)] if shown is not None else []
                if not earlier:
                    with pytest.raises(UsageError):
                        rollback(workspace)
                    continue
                rollback(workspace)
                shown = earlier[-1]
            else:
                prune(workspace, forward_kept=action[1])
                forward = [kept for kept in forward if kept in forward[-action[1] :] or kept == shown]
        recover(workspace)
        assert len(registry.commits(workspace)) == len(committed)
        assert (current(workspace) is None) is (shown is None)
        if shown is not None:
            assert customers_seen(workspace) == shown
        kept = [publication for publication in list_publications(workspace) if publication.is_forward]
        assert [publication.tables["rcu.customers"] for publication in kept] == forward
        assert not recover(workspace).is_needed
