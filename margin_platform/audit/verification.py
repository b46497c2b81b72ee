"""Verification: everything that does not hold about some records,
by themselves and against copies kept elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence

from margin_platform.audit import anchored, chains, comparison, facts
from margin_platform.audit.entries import ACTS, ANCHORS
from margin_platform.audit.findings import NO_ACCOUNT, Finding, Kind
from margin_platform.audit.records import Records

_DOUBTFUL = (Kind.ENTRY_CHANGED, Kind.ENTRY_MISSING, Kind.CHAIN_CUT, Kind.ACCOUNT_SWAPPED, Kind.UNREADABLE)


def verify(
    records: Records,
    *,
    trusted: Sequence[str] = (),
    account: str | None = None,
    export: Records | None = None,
) -> list[Finding]:
    """Return every finding, by account.

    trusted: public keys (64 hexadecimal digits) that may have signed anchors.

    Facts are compared for accounts whose chain holds: a changed entry is no measure for them.
    """
    found = records.unreadable + list(chains.check(records))
    doubtful = frozenset(finding.account_id for finding in found if finding.kind in _DOUBTFUL)
    found += facts.check(records, doubtful)
    found += anchored.check(records, trusted, account)
    if export is not None:
        found += comparison.export(records, export, account)
    asked = [f for f in found if account is None or f.account_id in (account, ACTS, ANCHORS, NO_ACCOUNT)]
    return sorted(dict.fromkeys(asked))
