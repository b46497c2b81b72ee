"""What explains an account beside its figures: its positions with every figure its margin rests on, and what
an order must know.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from margin_platform.kernel.account_rows import stale_symbols
from margin_platform.kernel.book import Book
from margin_platform.kernel.market import Market
from margin_platform.ladder.observation import price_hold
from margin_platform.money import cents_or_none
from margin_platform.snapshots.bands import BandFlag, band_name
from margin_platform.snapshots.giving_out.inputs import Inputs


class Explained:
    """What explains accounts beside their figures. Each instrument is described once."""

    def __init__(self, book: Book, market: Market, inputs: Inputs) -> None:
        self._book, self._market, self._inputs = book, market, inputs
        self._instruments: dict[int, dict[str, object]] = {}

    def account(self, number: int, band: int, stress: Sequence[object]) -> dict[str, object]:
        """Explain an account in a band, with its rows of stress."""
        book, market, inputs = self._book, self._market, self._inputs
        span = range(int(book.offsets[number]), int(book.offsets[number + 1]))
        codes, stale = book.symbol[span.start : span.stop].tolist(), stale_symbols(span, book, market)
        return (
            {
                "band": band_name(band),
                "positions": [self._position(k, code) for k, code in zip(span, codes, strict=True)],
                "stress": stress,
                "severe_underwater": bool(band & BandFlag.STRESS),
                "stale_symbols": stale,
            }
            | order_remarks(book.account_ids[number], number, codes, market, inputs)
            | price_remarks(codes, stale, market, inputs)
        )

    def _position(self, k: int, code: int) -> dict[str, object]:
        """Return a position with every figure `book_input.parse` needs to rebuild its margin; unknown figures
        are left out.
        """
        instrument = self._instruments.get(code)
        if instrument is None:
            instrument = self._instruments[code] = instrument_row(code, self._market, self._inputs)
        qty = float(self._book.quantity[k])
        row = {"symbol": instrument["symbol"], "qty": qty} | instrument
        value = cents_or_none(qty * float(self._market.price[code]))
        return row if value is None else row | {"market_value": value}


def order_remarks(
    account_id: str, number: int, codes: list[int], market: Market, inputs: Inputs
) -> dict[str, object]:
    """Return what an order for these positions must know: which shares they are, until when, what orders
    have traded, and which fills the positions know.
    """
    symbols = [market.symbols[c] for c in codes]
    remarks = {
        "share_basis": {s: inputs.share_basis[s] for s in symbols if s in inputs.share_basis},
        "next_actions": {s: inputs.next_actions[s] for s in symbols if s in inputs.next_actions},
        "orders_filled": inputs.orders_filled(account_id),
        "fills_read": inputs.fills_read(number),
    }
    return {name: value for name, value in remarks.items() if value}


def price_remarks(codes: list[int], stale: list[str], market: Market, inputs: Inputs) -> dict[str, object]:
    """Return the price gate's remarks on an account's prices: why nothing may be enforced on them, and which
    were corrected.
    """
    aside = {market.symbols[c]: inputs.set_aside[c] for c in codes if c in inputs.set_aside}
    old = [symbol for symbol in stale if symbol not in aside]
    reasons = [reason for reason in (*aside.values(), price_hold(old)) if reason]
    corrected = {market.symbols[c]: inputs.withdrawn[c] for c in codes if c in inputs.withdrawn}
    remarks: dict[str, object] = {"held": "; ".join(reasons)} if reasons else {}
    return remarks | (
        {"corrected_symbols": list(corrected), "corrected_since": min(corrected.values())}
        if corrected
        else {}
    )


def instrument_row(code: int, market: Market, inputs: Inputs) -> dict[str, object]:
    """Return the figures of an instrument that a margin rests on; unknown ones are left out."""
    previous = float(inputs.previous_price[code]) if len(inputs.previous_price) else math.nan
    row: dict[str, object] = {
        "symbol": market.symbols[code],
        "price": _known(market.price[code]),
        "price_timestamp": int(inputs.price_time[code]) or None,
        "prev_price": _known(previous),
        "beta": _known(market.beta[code]),
        "sigma": _known(market.sigma[code]),
        "volatility_tier": int(market.volatility_tier[code]) or None,
        "up": _known(market.up[code]),
        "down": _known(market.down[code]),
        "etf_leverage": float(market.etf_leverage[code]),
        "long_rate": _known(market.long_rate[code]),
        "short_rate": _known(market.short_rate[code]),
        "htb_addon": float(market.htb_addon[code]),
        "marginable": bool(market.marginable[code]),
        "issuer": market.issuers[market.issuer[code]],
        "class_group": market.class_groups[market.class_group[code]],
        "product_group": _group(market.product_group[code], market.product_groups),
        "portfolio_group": _group(market.portfolio_group[code], market.portfolio_groups),
    }
    return {name: value for name, value in row.items() if value is not None}


def _known(value: float) -> float | None:
    return None if math.isnan(value) else float(value)


def _group(code: int, names: tuple[str, ...]) -> str | None:
    return names[code] if code >= 0 else None
