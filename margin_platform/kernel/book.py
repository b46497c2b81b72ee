"""The kernel's inputs as columns: a Book (accounts and their positions) and a Market (one row per instrument).

Positions are sorted by account, and within an account by instrument code. Codes follow margin groups
(portfolio group, product group, class group, symbol), so that every group of an account is one run of neighbours.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Codes = NDArray[np.int32]

REG_T = 0
PORTFOLIO = 1
MARGIN_TYPES = {"REG_T": REG_T, "PORTFOLIO": PORTFOLIO}
NO_GROUP = -1
UNKNOWN = float("nan")
_MANY = 0.05        # share of the instruments above which looking at every position beats the index
_PAYS_AFTER = 3     # questions to one book after which its index is made


@dataclass(frozen=True)
class Instrument:
    """One instrument's margin figures; NaN or None means "not given", and the policy's default then applies.

    price: dollars a share; sigma: annualised volatility (0.4 is 40%); volatility_tier: the add-on tier
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
    """Columns by instrument, shape (instruments,), in code order. Prices are dollars a share; NaN price = missing.

    `stale` marks a price too old to act upon: figures use it, enforcement does not. Group columns hold codes into
    the name tuples, NO_GROUP where there is none.
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
        """A market of these instruments, put in code order. ValueError where a product group spans portfolio groups."""
        rows = Market.order_of(instruments)
        _check_nesting(rows)
        issuer_codes, issuers = _encode([r.issuer or r.symbol for r in rows])
        class_codes, classes = _encode([r.class_group or r.symbol for r in rows])
        product_codes, products = _encode([r.product_group for r in rows])
        portfolio_codes, portfolios = _encode([r.portfolio_group for r in rows])
        floats = {f: np.array([getattr(r, f) for r in rows], dtype=np.float64) for f in _FLOAT_COLUMNS}
        return Market(
            symbols=tuple(r.symbol for r in rows),
            marginable=np.array([r.marginable for r in rows], dtype=np.bool_),
            stale=np.zeros(len(rows), dtype=np.bool_),
            volatility_tier=np.array([r.volatility_tier for r in rows], dtype=np.int8),
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
        """The instruments in code order: position n has code n."""
        return sorted(instruments, key=_group_order)

    def code_of(self) -> dict[str, int]:
        """Symbol to code; the last row wins where one symbol has several rows (`margin evaluate` with own figures)."""
        return {symbol: code for code, symbol in enumerate(self.symbols)}

    def with_columns(self, **columns: Any) -> Market:
        """The same instruments with some columns replaced, e.g. `market.with_columns(price=new_prices)`."""
        return replace(self, **columns)


_FLOAT_COLUMNS = (
    "price", "beta", "sigma", "up", "down", "etf_leverage", "long_rate", "short_rate", "htb_addon", "minimum_charge",
)


def _group_order(row: Instrument) -> tuple[str, str, str, str]:
    return (row.portfolio_group or "", row.product_group or "", row.class_group or row.symbol, row.symbol)


def _check_nesting(rows: Sequence[Instrument]) -> None:
    for inner, outer in (("class_group", "product_group"), ("product_group", "portfolio_group")):
        seen: dict[str, str | None] = {}
        for row in rows:
            name = getattr(row, inner) or (row.symbol if inner == "class_group" else None)
            if name is not None and seen.setdefault(name, getattr(row, outer)) != getattr(row, outer):
                raise ValueError(f"{row.symbol}.{outer}: {inner} {name!r} lies in two of them, {seen[name]!r} and {getattr(row, outer)!r}")


def _encode(names: Sequence[str | None]) -> tuple[Codes, tuple[str, ...]]:
    order: dict[str, int] = {}
    codes = [NO_GROUP if name is None else order.setdefault(name, len(order)) for name in names]
    return np.array(codes, dtype=np.int32), tuple(order)


@dataclass(frozen=True)
class Book:
    """Accounts and positions as columns.

    account_ids: (accounts,); cash: dollars, signed (negative = debit), (accounts,); margin_type: REG_T or PORTFOLIO,
    (accounts,); offsets: (accounts + 1,), account a's positions are offsets[a]:offsets[a + 1]; symbol: instrument
    codes, (positions,), ascending within an account; quantity: signed shares, (positions,).
    """

    account_ids: Sequence[str]
    cash: Floats
    margin_type: NDArray[np.int8]
    offsets: NDArray[np.int64]
    symbol: Codes
    quantity: Floats
    _holders: list[tuple[NDArray[np.int64], Codes]] = field(default_factory=list, repr=False, compare=False)
    _asked: list[int] = field(default_factory=list, repr=False, compare=False)

    def __len__(self) -> int:
        return len(self.cash)

    @staticmethod
    def of(accounts: Sequence[tuple[str, float, int, Sequence[tuple[int, float]]]]) -> Book:
        """A book from (account_id, cash, margin type, [(instrument code, signed shares), ...]) rows.

        Rows of one instrument are merged per side: a long and a short of one instrument stay two rows (a box).
        """
        merged = [_merge_sides(rows) for _, _, _, rows in accounts]
        counts = np.array([len(rows) for rows in merged], dtype=np.int64)
        flat = [row for rows in merged for row in rows]
        return Book(
            account_ids=tuple(a[0] for a in accounts),
            cash=np.array([a[1] for a in accounts], dtype=np.float64),
            margin_type=np.array([a[2] for a in accounts], dtype=np.int8),
            offsets=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
            symbol=np.array([code for code, _ in flat], dtype=np.int32),
            quantity=np.array([qty for _, qty in flat], dtype=np.float64),
        )

    def extended(self, account_ids: Sequence[str], cash: Sequence[float], margin_type: Sequence[int]) -> Book:
        """The book with accounts without positions behind its own. account_ids: all of them, the book's first."""
        grown = np.concatenate([self.offsets, np.full(len(cash), self.offsets[-1])])
        return Book(
            account_ids, np.concatenate([self.cash, np.array(cash, dtype=np.float64)]),
            np.concatenate([self.margin_type, np.array(margin_type, dtype=np.int8)]), grown, self.symbol, self.quantity,
        )

    def reshaped(self, changed: Mapping[int, Mapping[int, float]]) -> Book:
        """The book with the positions of some accounts, {number: {instrument code: signed shares}}, replaced.

        The others' runs are copied as they are: no Python for them, about 15 ns a position.
        """
        counts, kept = np.diff(self.offsets), np.ones(len(self.symbol), dtype=np.bool_)
        for number, rows in changed.items():
            kept[self.offsets[number] : self.offsets[number + 1]] = False
            counts[number] = len(rows)
        offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        symbol, quantity = np.empty(offsets[-1], dtype=np.int32), np.empty(offsets[-1])
        place = np.ones(len(symbol), dtype=np.bool_)
        for number in changed:
            place[offsets[number] : offsets[number + 1]] = False
        symbol[place], quantity[place] = self.symbol[kept], self.quantity[kept]
        for number, rows in changed.items():
            codes = sorted(rows)
            symbol[offsets[number] : offsets[number + 1]] = codes
            quantity[offsets[number] : offsets[number + 1]] = [rows[c] for c in codes]
        return Book(self.account_ids, self.cash, self.margin_type, offsets, symbol, quantity)

    def accounts_holding(self, codes: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
        """Sorted numbers of the accounts that hold any of these instruments: the ones a price change touches.

        The first questions, and those about a large part of the instruments, are answered by looking at every position; an
        index pays for itself only where few instruments are asked for again and again.
        """
        size = int(self.symbol.max()) + 1 if len(self.symbol) and len(codes) else 0
        codes = codes[codes < size]
        if not len(codes):
            return np.zeros(0, dtype=np.int64)
        self._asked.append(len(codes))
        if len(codes) > _MANY * size or (not self._holders and len(self._asked) <= _PAYS_AFTER):
            return self._scanned(codes, size)
        starts, holders = self._inverted()
        touched = [holders[starts[c] : starts[c + 1]] for c in codes]
        return np.unique(np.concatenate(touched)).astype(np.int64)

    def held(self) -> NDArray[np.int64]:
        """Sorted codes of the instruments that some account holds."""
        return np.flatnonzero(np.bincount(self.symbol)).astype(np.int64)

    def _scanned(self, codes: NDArray[np.integer[Any]], size: int) -> NDArray[np.int64]:
        wanted = np.zeros(size, dtype=np.bool_)
        wanted[codes] = True
        before = np.concatenate([[0], np.cumsum(wanted[self.symbol], dtype=np.int64)])
        return np.flatnonzero(before[self.offsets[1:]] > before[self.offsets[:-1]])

    def _inverted(self) -> tuple[NDArray[np.int64], Codes]:
        if not self._holders:   # 4 bytes a position
            accounts = np.repeat(np.arange(len(self), dtype=np.int32), np.diff(self.offsets))
            order = np.argsort(self.symbol, kind="stable")
            starts = np.concatenate([[0], np.cumsum(np.bincount(self.symbol))]).astype(np.int64)
            self._holders.append((starts, accounts[order]))
        return self._holders[0]


def _merge_sides(rows: Sequence[tuple[int, float]]) -> list[tuple[int, float]]:
    sides: dict[tuple[int, bool], float] = {}
    for code, qty in rows:
        if qty != 0.0:
            sides[(code, qty < 0)] = sides.get((code, qty < 0), 0.0) + qty
    return [(code, qty) for (code, _), qty in sorted(sides.items())]
