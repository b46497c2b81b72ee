"""Activation of policies: who approved which content, before its day.

A policy takes effect on the day in its file (`effective_from`), for streams and decisions alike. The act of
activation is what makes it approved: once a firm has recorded one, the night's run names a policy in force
that no person activated, or whose content is another one.
"""

from __future__ import annotations

from sqlalchemy import Connection, select

from margin_platform.audit.entries import ACTS, digest
from margin_platform.contracts.json_object import Json
from margin_platform.policy.policy import Policy
from margin_platform.recordkeeping import acts
from margin_platform.store.store import Store
from margin_platform.store.tables import audit

POLICY_ACTIVATED = "POLICY_ACTIVATED"


class AlreadyActivated(ValueError):
    """The same content is activated already; the message says by whom."""


def content_hash(policy: Policy) -> str:
    """Return the sha256 of everything a policy says, as 64 hexadecimal digits."""
    return digest(policy.model_dump(mode="json"))


def activate(store: Store, policy: Policy, *, who: str, why: str) -> str:
    """Record that a person puts a policy into force from its day on; return the hash of its content.

    AlreadyActivated where the newest activation of this version has the same content.
    """
    content = content_hash(policy)
    with store.write() as connection:
        before = activation_of(connection, policy.version)
        if before is not None and before["evidence"] == content:
            raise AlreadyActivated(f"version: activated already by {before['who']}, value {policy.version!r}")
        acts.record(
            connection,
            POLICY_ACTIVATED,
            who=who,
            what=f"policy {policy.version} from {policy.effective_from} on, content {content[:16]}",
            why=why,
            more={"policy_version": policy.version, "evidence": content},
        )
    return content


def activation_of(connection: Connection, version: str) -> Json | None:
    """Return the newest act that activated a version; None where there is none."""
    return next((act for act in _activations(connection) if act["policy_version"] == version), None)


def refusal(connection: Connection, policy: Policy) -> str | None:
    """Return why a policy may not be in force; None where it was activated as it is, or none ever was."""
    activations = _activations(connection)
    act = next((act for act in activations if act["policy_version"] == policy.version), None)
    if not activations or (act is not None and act["evidence"] == content_hash(policy)):
        return None
    reason = "no person activated it" if act is None else f"its content is not what {act['who']} activated"
    return f"policy {policy.version}: {reason}"


def _activations(connection: Connection) -> list[Json]:
    """Return the acts of activation, newest first."""
    entries = select(audit.c.entry).where(audit.c.account_id == ACTS).order_by(audit.c.number.desc())
    return [entry for entry in connection.execute(entries).scalars() if entry["decision"] == POLICY_ACTIVATED]
