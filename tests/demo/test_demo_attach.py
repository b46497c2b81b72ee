"""`margin demo --attach` sends its data only to a broker that is named and whose topics hold nothing."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from margin_platform.cli import app
from margin_platform.kafka.bus import Bus


def test_without_a_named_broker_it_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MARGIN_KAFKA", raising=False)
    refused = CliRunner().invoke(app, ["demo", "--attach"])
    assert (refused.exit_code, "needs the broker's address in MARGIN_KAFKA" in refused.stderr) == (2, True)


@pytest.mark.kafka
def test_a_broker_with_data_is_left_alone(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    bus.produce("fills.v1", {"fill_id": "F", "account_id": "A"})
    bus.flush()
    monkeypatch.setenv("MARGIN_KAFKA", bus.bootstrap)
    refused = CliRunner().invoke(app, ["demo", "--attach", "--for", "1"])
    assert refused.exit_code == 2
    assert f"{bus.bootstrap} holds records of fills.v1" in " ".join(refused.stderr.split())
    assert not any(bus.end_offsets("prices.v1").values())
