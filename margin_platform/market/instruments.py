"""The instruments the platform knows, read strictly from reference data:
an unknown symbol in an event is an error, not a guess.
"""

from __future__ import annotations

import functools
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from margin_platform.contracts.bounds import ADDON_RATE, LEVERAGE, LONG_RATE, MOVE_DOWN, MOVE_UP, SHORT_RATE
from margin_platform.contracts.refusals import Refused
from margin_platform.kernel.market import UNKNOWN, Instrument
from margin_platform.settings import settings

REFERENCE = Path(__file__).parent / "reference" / "instruments.yaml"


class InstrumentError(Refused):
    """Reference data that cannot be used."""


class _Row(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    symbol: str = Field(min_length=1)
    name: str
    issuer: str | None = None
    sector: str | None = Field(default=None, min_length=1)
    class_group: str | None = None
    product_group: str | None = None
    portfolio_group: str | None = None
    up: float | None = Field(default=None, gt=0, le=MOVE_UP.high)
    down: float | None = Field(default=None, gt=0, le=MOVE_DOWN.high)
    etf_leverage: float = Field(default=1.0, ge=LEVERAGE.low, le=LEVERAGE.high)
    long_rate: float | None = Field(default=None, ge=0, le=LONG_RATE.high)
    short_rate: float | None = Field(default=None, ge=0, le=SHORT_RATE.high)
    htb_addon: float = Field(default=0.0, ge=0, le=ADDON_RATE.high)
    marginable: bool = True
    synthetic: bool = False


def read(path: Path) -> tuple[Instrument, ...]:
    """Read the instruments of one YAML file, without prices.

    InstrumentError names the row, the field and the value.
    """
    instruments = [_instrument(row) for row in _rows(path)]
    symbols = [i.symbol for i in instruments]
    if len(set(symbols)) < len(symbols):
        twice = next(s for s in symbols if symbols.count(s) > 1)
        raise InstrumentError(f"{path.name}.instruments", twice, "symbol given twice")
    return tuple(instruments)


def _rows(path: Path) -> list[_Row]:
    data = yaml.safe_load(path.read_text(encoding="utf-8"))
    rows = data.get("instruments") if isinstance(data, dict) else None
    if not isinstance(rows, list):
        raise InstrumentError(f"{path.name}.instruments", rows, "not a list")
    return [_checked(path, number, row) for number, row in enumerate(rows)]


def _checked(path: Path, number: int, row: object) -> _Row:
    try:
        return _Row.model_validate(row)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InstrumentError(
            f"{path.name}.instruments[{number}].{where}", first["input"], first["msg"]
        ) from error


def _instrument(checked: _Row) -> Instrument:
    given = checked.model_dump(exclude={"name", "synthetic", "sector"})
    for unset in ("up", "down", "long_rate", "short_rate"):
        given[unset] = UNKNOWN if given[unset] is None else given[unset]
    return Instrument(**given)


@functools.cache
def load() -> tuple[Instrument, ...]:
    """Load the instruments of MARGIN_INSTRUMENTS, else the shipped ones: the 20 names of the sample history,
    SPY, and labeled synthetic index funds.
    """
    return read(settings().instruments or REFERENCE)


@functools.cache
def sectors() -> dict[str, str]:
    """Return the sector of each symbol that has one, of the same reference data."""
    return {row.symbol: row.sector for row in _rows(settings().instruments or REFERENCE) if row.sector}
