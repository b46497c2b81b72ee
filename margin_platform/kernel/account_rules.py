"""What depends on the whole account, compiled and in full: concentration by issuer, the box, the cap (MARGIN_RULES 2.2, 3.1, 3.6).

The sweep uses a shorter form of the same rules for accounts without boxes and shared issuers; tests hold the two
against one another and against a Decimal reference.
"""

from __future__ import annotations

import numba

# A weight of exactly the threshold is not over it, whatever the last bit of a float64 sum says.
TIE = 1.0 + 1e-12


@numba.njit(nogil=True, inline="always")
def concentration_rate(held, gross, threshold, addon, ramp):
    """The add-on rate of a name: nothing up to the threshold of gross value, then all of it, or sloped over `ramp`."""
    if not held > threshold * TIE * gross:
        return 0.0
    if ramp <= 0.0:
        return addon
    return addon * min(1.0, (held / gross - threshold) / ramp)


@numba.njit(nogil=True)
def boxed_shares(k, first, last, symbol, quantity, security):
    """Shares of position k offset by the opposite side of the same security (a box), shared out over the rows of its side."""
    if quantity[k] == 0.0:   # closed by a liquidation that is being tried
        return 0.0
    same = other = 0.0
    for j in range(first, last):
        if security[symbol[j]] == security[symbol[k]]:
            if (quantity[j] > 0.0) == (quantity[k] > 0.0):
                same += abs(quantity[j])
            else:
                other += abs(quantity[j])
    return abs(quantity[k]) * min(1.0, other / same)


@numba.njit(nogil=True)
def requirement_in_full(first, last, lane, symbol, quantity, security, issuer, price, long_base, short_base, volatility, htb,
                        use_conc, threshold, addon, ramp, cap_long, box_rate, parts, position_out):
    """Fixed-percentage requirement of the positions first:last at a lane's prices, dollars; its parts go to `parts`.

    parts: base, concentration, volatility, hard-to-borrow, cap (negative). A boxed pair needs 5% of the long and takes no add-on,
    but counts towards its issuer's weight, whose measure is gross value.
    """
    gross = 0.0
    for k in range(first, last):
        gross += abs(quantity[k]) * price[symbol[k], lane]
    parts[:] = 0.0
    need = 0.0
    for k in range(first, last):
        s = symbol[k]
        p = price[s, lane]
        is_long = quantity[k] > 0.0
        boxed = boxed_shares(k, first, last, symbol, quantity, security)
        free = abs(quantity[k]) - boxed
        base = free * (long_base[s, lane] if is_long else short_base[s, lane])
        if is_long:
            base += box_rate * boxed * p
        vol = free * volatility[s, lane]
        borrow = 0.0 if is_long else htb[s] * free * p
        conc = 0.0
        if use_conc and free > 0.0:
            held = 0.0
            for j in range(first, last):
                if issuer[symbol[j]] == issuer[s]:
                    held += abs(quantity[j]) * price[symbol[j], lane]
            conc = free * p * concentration_rate(held, gross, threshold, addon, ramp)
        total = base + vol + borrow + conc
        over = max(0.0, total - abs(quantity[k]) * p) if cap_long and is_long else 0.0
        need += total - over
        parts[0] += base
        parts[1] += conc
        parts[2] += vol
        parts[3] += borrow
        parts[4] -= over
        if len(position_out) > 0:
            position_out[k] = total - over
    return need
