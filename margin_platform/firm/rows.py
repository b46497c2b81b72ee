"""The rows of firm.risk.v1 from the firm's totals: one a scenario, with limits and contributors."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from margin_platform.contracts.messages import Event
from margin_platform.money import cents
from margin_platform.policy.policy import Policy

TOP = 5  # accounts named as what causes most of a figure
Contributors = list[dict[str, object]]


def firm_rows(
    policy: Policy,
    totals: Sequence[float],
    accounts: int,
    event_time: int,
    contributors: Callable[[int], Contributors],
) -> list[Event]:
    """Return firm.risk.v1: one row a scenario. firm_loss sums unsecured amounts and never nets customers
    (MARGIN_RULES 6).

    totals: dollars of exposure, |exposure| and net value, then by scenario dollars of pnl, dollars unsecured,
    and the number of calls. contributors: the accounts that cause most of a column of these.
    """
    n, limits = len(policy.stress.scenarios), policy.firm
    exposure, losses = cents(float(totals[0])), list(totals[3 + n : 3 + 2 * n])
    worst = losses.index(max(losses))
    loss_breach = cents(float(losses[worst])) > limits.firm_loss_limit
    exposure_breach = abs(exposure) > limits.firm_exposure_limit
    return [
        {
            "scenario": f"{move:+.2f}",
            "move": move,
            "firm_beta_weighted_exposure": exposure,
            "firm_gross_beta_weighted_exposure": cents(float(totals[1])),
            "firm_total_mv": cents(float(totals[2])),
            "num_accounts": accounts,
            "firm_delta_pnl": cents(float(totals[3 + s])),
            "firm_loss": cents(float(losses[s])),
            "calls_expected": int(totals[3 + 2 * n + s]),
            "breach": bool(loss_breach or exposure_breach),
            "exposure_limit": limits.firm_exposure_limit,
            "loss_limit": limits.firm_loss_limit,
            "worst": s == worst,
            "top_contributors": contributors(3 + n + s),
            "top_exposures": contributors(0) if s == worst else [],
            "policy_version": policy.version,
            "timestamp": event_time,
        }
        for s, move in enumerate(policy.stress.scenarios)
    ]
