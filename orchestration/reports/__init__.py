"""Reports: pages about one publication that open offline, print well and need nothing but a browser.

What belongs here: which numbers are shown (`pages`), how they are drawn (`charts`, `templates`), where the
files go (`write`). What does not: any number that no published table holds; a page adds nothing to them.

`review.html` shows pairs of records side by side, so it holds personal data: it is readable by its owner
alone. No other page does.
"""

from orchestration.reports.erase import erase
from orchestration.reports.write import REVIEW, Reports, find_reports, prune, write_reports

__all__ = ["REVIEW", "Reports", "erase", "find_reports", "prune", "write_reports"]
