"""The unsubscribe link of each person in an export.

What belongs here: the address with its token. What does not: how tokens are signed and read
(`orchestration.protection`), and reading those that come back (a source whose column is read as
`unsubscribe_token`).
"""

from __future__ import annotations

import datetime as dt

from orchestration.contracts.activation import Unsubscribe
from orchestration.protection import Key, Unsubscription, unsubscribe_token


def link(
    declared: Unsubscribe, key: Key, *, customer_id: str, contact: str | None, channel: str, purpose: str, on: dt.date
) -> str:
    """The https address that withdraws this customer's consent to `purpose` on `channel`.

    `on` is the as-of date of the publication and not today: a delivery that is repeated repeats its links.
    """
    told = Unsubscription(customer_id, contact or "", channel, purpose, on, on + dt.timedelta(days=declared.days))
    return declared.url.replace("{token}", unsubscribe_token(key, told))
