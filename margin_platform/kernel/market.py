"""The kernel's market: one row of columns per instrument, in code order.

Codes follow margin groups (portfolio group, product group, class group, symbol), so that every group of an
account is one run of neighbors.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Codes = NDArray[np.int32]

NO_GROUP = -1
UNKNOWN = float("nan")


@dataclass(frozen=True)
class Instrument:
    """One instrument's margin figures; NaN or None means "not given", and the policy's default then applies.

    price: dollars a share; sigma: annualized volatility (0.4 is 40%); volatility_tier: the add-on tier
    held so far, which hysteresis may keep (0, 1, 2); up, down: TIMS scan range as fractions;
    etf_leverage: signed fund factor; long_rate, short_rate: own maintenance rates; htb_addon: rate on shorts;
    minimum_charge: dollars per unit of quantity, a long contract's already limited to its value (4210(g)(7)).
    """

    symbol: str
    price: float = UNKNOWN
    beta: float = UNKNOWN
    sigma: float = UNKNOWN
    up: float = UNKNOWN
    down: float = UNKNOWN
    etf_leverage: float = 1.0
    long_rate: float = UNKNOWN
    short_rate: float = UNKNOWN
    htb_addon: float = 0.0
    marginable: bool = True
    volatility_tier: int = 0
    minimum_charge: float = 0.0
    issuer: str | None = None
    class_group: str | None = None
    product_group: str | None = None
    portfolio_group: str | None = None


@dataclass(frozen=True)
class Market:
    """Columns by instrument, shape (instruments,), in code order.

    Prices are dollars a share; NaN price = missing.

    `stale` marks a price too old to act upon: figures use it, enforcement does not. `security` is one code a
    symbol, which several rows may have. Group columns hold codes into the name tuples, NO_GROUP where there
    is none.
    """

    symbols: tuple[str, ...]
    price: Floats
    beta: Floats
    sigma: Floats
    up: Floats
    down: Floats
    etf_leverage: Floats
    long_rate: Floats
    short_rate: Floats
    htb_addon: Floats
    minimum_charge: Floats
    marginable: NDArray[np.bool_]
    stale: NDArray[np.bool_]
    volatility_tier: NDArray[np.int8]
    security: Codes
    issuer: Codes
    class_group: Codes
    product_group: Codes
    portfolio_group: Codes
    issuers: tuple[str, ...]
    class_groups: tuple[str, ...]
    product_groups: tuple[str, ...]
    portfolio_groups: tuple[str, ...]

    @staticmethod
    def of(instruments: Iterable[Instrument]) -> Market:
        """Build a market of these instruments, put in code order.

        ValueError where a product group spans portfolio groups.
        """
        return Market.apart([Market.order_of(instruments)])

    @staticmethod
    def apart(markets: Sequence[Sequence[Instrument]]) -> Market:
        """Build one market of several that know nothing of each other, one behind the other: symbols, issuers
        and groups are those of one of them only. Each must be as `order_of` returns it.
        """
        rows = [row for market in markets for row in market]
        of = [number for number, market in enumerate(markets) for _ in market]
        issuer_codes, issuers = _encode(of, [r.issuer or r.symbol for r in rows])
        class_codes, classes = _encode(of, [r.class_group or r.symbol for r in rows])
        product_codes, products = _encode(of, [r.product_group for r in rows])
        portfolio_codes, portfolios = _encode(of, [r.portfolio_group for r in rows])
        distinct = {id(row): row for row in rows}  # markets may share instruments
        number = {one: n for n, one in enumerate(distinct)}
        own, at = list(distinct.values()), np.array([number[id(row)] for row in rows], dtype=np.int64)
        floats = {f: np.array([getattr(r, f) for r in own], dtype=np.float64)[at] for f in _FLOAT_COLUMNS}
        return Market(
            symbols=tuple(r.symbol for r in rows),
            marginable=np.array([r.marginable for r in own], dtype=np.bool_)[at],
            stale=np.zeros(len(rows), dtype=np.bool_),
            volatility_tier=np.array([r.volatility_tier for r in own], dtype=np.int8)[at],
            security=_encode(of, [r.symbol for r in rows])[0],
            issuer=issuer_codes,
            class_group=class_codes,
            product_group=product_codes,
            portfolio_group=portfolio_codes,
            issuers=issuers,
            class_groups=classes,
            product_groups=products,
            portfolio_groups=portfolios,
            **floats,
        )

    @staticmethod
    def order_of(instruments: Iterable[Instrument]) -> list[Instrument]:
        """Return the instruments in code order: position n has code n.

        ValueError where a product group spans portfolio groups.
        """
        rows = sorted(instruments, key=_group_order)
        _check_nesting(rows)
        return rows

    def code_of(self) -> dict[str, int]:
        """Map symbol to code; the last row wins where one symbol has several rows (`margin evaluate` with own
        figures).
        """
        return {symbol: code for code, symbol in enumerate(self.symbols)}

    def with_columns(self, **columns: Any) -> Market:
        """Return the same instruments with some columns replaced, e.g."""
        return replace(self, **columns)


_FLOAT_COLUMNS = (
    "price",
    "beta",
    "sigma",
    "up",
    "down",
    "etf_leverage",
    "long_rate",
    "short_rate",
    "htb_addon",
    "minimum_charge",
)


def _group_order(row: Instrument) -> tuple[str, str, str, str]:
    return (row.portfolio_group or "", row.product_group or "", row.class_group or row.symbol, row.symbol)


def _check_nesting(rows: Sequence[Instrument]) -> None:
    if not any(row.product_group or row.portfolio_group for row in rows):
        return
    for inner, outer in (("class_group", "product_group"), ("product_group", "portfolio_group")):
        seen: dict[str, str | None] = {}
        for row in rows:
            name = getattr(row, inner) or (row.symbol if inner == "class_group" else None)
            if name is not None and seen.setdefault(name, getattr(row, outer)) != getattr(row, outer):
                raise ValueError(
                    f"{row.symbol}.{outer}: {inner} {name!r} lies in two of them, {seen[name]!r} and "
                    f"{getattr(row, outer)!r}"
                )


def _encode(markets: Sequence[int], names: Sequence[str | None]) -> tuple[Codes, tuple[str, ...]]:
    """Return a code for each name of a market, and the name of each code."""
    order: dict[tuple[int, str], int] = {}
    codes = [
        NO_GROUP if name is None else order.setdefault((market, name), len(order))
        for market, name in zip(markets, names, strict=True)
    ]
    return np.array(codes, dtype=np.int32), tuple(name for _, name in order)
