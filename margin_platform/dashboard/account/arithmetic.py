"""The arithmetic behind an account, as `margin explain` prints it, for the page to show and to copy."""

from __future__ import annotations

from sqlalchemy.exc import SQLAlchemyError

from margin_platform.contracts.json_object import Json
from margin_platform.enforcement.explanation import NothingRecorded, explain
from margin_platform.enforcement.explanation_text import lines_of
from margin_platform.settings import settings
from margin_platform.store.store import Store, StoreOutdated


class NoArithmetic(LookupError):
    """There is no explanation; the message says why."""


def arithmetic(account_id: str, call_id: str | None = None) -> Json:
    """Return {text, matches} of an account, or of one of its calls.

    NoArithmetic where nothing is recorded.
    """
    try:
        with Store(settings().store_url, read_only=True) as store:
            answer = explain(store, account_id, call_id)
    except NothingRecorded as error:
        raise NoArithmetic(f"Enforcement has decided nothing about this account. {error}") from error
    except (SQLAlchemyError, OSError, StoreOutdated) as error:
        raise NoArithmetic(f"the decision store cannot be read: {type(error).__name__}") from error
    return {"text": "\n".join(lines_of(answer)) + "\n", "matches": answer["evidence"]["matches"]}
