"""What depends on the whole account, in full: concentration by issuer, the box, the cap.

Compiled (MARGIN_RULES 2.2, 3.1, 3.6). The sweep uses a shorter form of the same rules for accounts without
boxes and shared issuers. Tests hold the two against one another and against a Decimal reference.
"""

from __future__ import annotations

from margin_platform.kernel.market import Floats
from margin_platform.kernel.sweep.columns import Positions, PositionSpan, Priced, Requirement
from margin_platform.kernel.sweep.compiled import inlined, kernel

# A weight of exactly the threshold is not over it, whatever the last bit of a float64 sum is.
TIE = 1.0 + 1e-12


@inlined
def concentration_rate(held: float, gross: float, threshold: float, addon: float, ramp: float) -> float:
    """Return the add-on rate of a name: none up to the threshold of gross value, then all, or sloped over
    `ramp`."""
    if not held > threshold * TIE * gross:
        return 0.0
    if ramp <= 0.0:
        return addon
    return addon * min(1.0, (held / gross - threshold) / ramp)


@kernel
def _boxed_shares(k: int, span: PositionSpan, book: Positions, priced: Priced) -> float:
    """Return shares of position k offset by the other side of its security, shared out over the rows of its
    side."""
    symbol, quantity, security = book.symbol, book.quantity, priced.groups.security
    if quantity[k] == 0.0:  # closed by a liquidation that is being tried
        return 0.0
    same = other = 0.0
    for j in range(span.first, span.last):
        if security[symbol[j]] == security[symbol[k]]:
            if (quantity[j] > 0.0) == (quantity[k] > 0.0):
                same += abs(quantity[j])
            else:
                other += abs(quantity[j])
    boxed: float = abs(quantity[k]) * min(1.0, other / same)
    return boxed


@kernel
def _issuer_rate(
    issuer: int, gross: float, span: PositionSpan, lane: int, book: Positions, priced: Priced
) -> float:
    """Return the concentration rate of all that an account holds of one issuer, boxed pairs included."""
    held = 0.0
    for j in range(span.first, span.last):
        s = book.symbol[j]
        if priced.groups.issuer[s] == issuer:
            held += abs(book.quantity[j]) * priced.schedule.price[s, lane]
    return concentration_rate(
        held,
        gross,
        priced.rules.concentration_threshold,
        priced.rules.concentration_addon,
        priced.rules.concentration_ramp,
    )


@kernel
def _position_in_full(
    k: int, gross: float, span: PositionSpan, lane: int, book: Positions, priced: Priced
) -> Requirement:
    """Return one position's requirement. A boxed pair needs 5% of the long and takes no add-on."""
    s = book.symbol[k]
    price = priced.schedule.price[s, lane]
    held = abs(book.quantity[k])
    is_long = book.quantity[k] > 0.0
    boxed = _boxed_shares(k, span, book, priced)
    free = held - boxed
    base = free * (priced.schedule.long_base[s, lane] if is_long else priced.schedule.short_base[s, lane])
    if is_long:
        base += priced.rules.box_rate * boxed * price
    volatility = free * priced.schedule.volatility[s, lane]
    borrow = 0.0 if is_long else priced.schedule.htb[s] * free * price
    concentration = 0.0
    if priced.rules.use_concentration and free > 0.0:
        concentration = free * price * _issuer_rate(priced.groups.issuer[s], gross, span, lane, book, priced)
    total = base + volatility + borrow + concentration
    over = max(0.0, total - held * price) if priced.rules.cap_long and is_long else 0.0
    return Requirement(total - over, base, concentration, volatility, borrow, -over)


@kernel
def requirement_in_full(
    span: PositionSpan, lane: int, book: Positions, priced: Priced, position_requirement: Floats
) -> Requirement:
    """Return the fixed-percentage requirement of an account's positions at a lane's prices, in dollars.

    Where `position_requirement` has room, each position's is written to it. Concentration is measured on
    gross value.
    """
    gross = 0.0
    for k in range(span.first, span.last):
        gross += abs(book.quantity[k]) * priced.schedule.price[book.symbol[k], lane]
    need = base = concentration = volatility = borrow = cap = 0.0
    for k in range(span.first, span.last):
        own = _position_in_full(k, gross, span, lane, book, priced)
        need += own.need
        base += own.base
        concentration += own.concentration
        volatility += own.volatility
        borrow += own.htb
        cap += own.cap
        if len(position_requirement) > 0:
            position_requirement[k] = own.need
    return Requirement(need, base, concentration, volatility, borrow, cap)
