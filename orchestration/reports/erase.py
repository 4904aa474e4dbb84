"""What an erasure does to reports.

What belongs here: removing what a report could still say of one person. What does not: who is erased.
"""

from __future__ import annotations

from orchestration.reports.write import REVIEW
from orchestration.settings import Workspace


def erase(workspace: Workspace) -> int:
    """Remove the review page of every version; the next run writes a new one. Returns how many went.

    Only that page holds personal data, and it is cheap to make anew: nothing is searched in it.
    """
    removed = 0
    for page in sorted(workspace.reports.glob(f"*/{REVIEW}")):
        page.unlink()
        removed += 1
    return removed
