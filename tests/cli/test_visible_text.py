"""Text of elsewhere on a terminal: nothing that it acts upon is printed as it is, by no command and in no
log.
"""

from __future__ import annotations

import ast
import io
import json
import logging
from pathlib import Path
from typing import Any

import orjson
import pytest
from rich.table import Table
from typer.testing import CliRunner

from margin_platform.cli import app, observe, output
from margin_platform.contracts.offsets import Record
from margin_platform.contracts.visible_text import VisibleFormatter, visible, visible_json

ROOT = Path(__file__).parents[2]
TITLE = "\x1b]0;owned\x07"
CLEAR = "\x1b[2J"
HOSTILE = f"A{TITLE}{CLEAR}\r\nmargin: all is well\u202e\u2066\x9b31m\x7f\u200b\u2028"
ACTED_UPON = set("\x1b\x07\r\x9b\x7f\u202e\u2066\u200b\u2028")


def test_what_a_terminal_acts_upon_is_shown_as_its_escape_and_letters_stay() -> None:
    assert visible(HOSTILE).isprintable()
    assert visible("\x1b[2J\u202e") == "\\x1b[2J\\u202e"
    assert visible("Ångström-1 株式 🏦 10 €") == "Ångström-1 株式 🏦 10 €"
    assert visible("a\nb", keep="\n") == "a\nb"
    assert visible("\ud800") == "\\ud800"


def test_json_stays_the_same_json() -> None:
    text = orjson.dumps({HOSTILE: ["🏦", "\U000e0041", HOSTILE]}, option=orjson.OPT_INDENT_2).decode()
    shown = visible_json(text)
    assert not ACTED_UPON & set(shown)
    assert json.loads(shown) == json.loads(text)


def record(event: object, topic: str = "accounts.v1") -> Record:
    value = event if isinstance(event, bytes) else orjson.dumps(event)
    return Record(topic, 0, 7, HOSTILE, value, 1_582_205_400_000)


@pytest.mark.parametrize(
    "event",
    [
        {"account_id": HOSTILE, "margin_type": HOSTILE, "timestamp": 1_582_205_400_000},
        [HOSTILE],
        HOSTILE.encode(),
        {HOSTILE: 1},
        {"timestamp": 10**17, "a": 1},
        {"timestamp": -(10**17)},
        {"timestamp": 1e308},
        {"timestamp": "soon"},
        {"timestamp": True},
        b"[" * 1000 + b"]" * 1000,
        b'{"a":' * 300 + b"1" + b"}" * 300,
        {"calc_timestamp": [1]},
    ],
)
def test_observe_prints_one_visible_line_of_any_record(
    event: object, capsys: pytest.CaptureFixture[str]
) -> None:
    output.echo(observe._as_line(record(event)))
    output.print_json(observe._row(record(event)), indented=False)
    printed = capsys.readouterr().out
    assert printed.count("\n") == 2
    assert printed.replace("\n", "").isprintable()


def test_observe_puts_what_was_decided_before_the_references() -> None:
    call = {
        "call_id": "A-1",
        "event_id": "e" * 32,
        "correlation_id": "c" * 32,
        "explanation": "x" * 200,
        "due_at": "2020-03-04T15:00:00-05:00",
        "deficiency": 2500.0,
        "action": "MARGIN_CALL",
        "account_id": "A",
    }
    line = observe._as_line(record(call, "margin.calls.v1"))
    shown = "action=MARGIN_CALL deficiency=2500.0 due_at=2020-03-04T15:00:00-05:00 explanation=xxx"
    assert shown in line


def test_a_table_shows_the_escape_and_keeps_its_own_colors() -> None:
    shown = io.StringIO()
    table = Table("account")
    table.add_row(f"A{TITLE}", style="red")
    output.screen(file=shown, force_terminal=True, width=60, color_system="standard").print(
        table, f"B{CLEAR}"
    )
    assert TITLE not in shown.getvalue()
    assert CLEAR not in shown.getvalue()
    assert "A\\x1b]0;o" in shown.getvalue()  # cut to the width of the column
    assert "\x1b[31m" in shown.getvalue()


def test_an_error_of_a_command_shows_the_escape(tmp_path: Path) -> None:
    book = tmp_path / "book.json"
    book.write_text(json.dumps({"accounts": [{"account_id": HOSTILE}]}), encoding="utf-8")
    shown = CliRunner().invoke(app, ["evaluate", str(book)])
    assert shown.exit_code == 2
    assert not ACTED_UPON & set(shown.stderr)


@pytest.mark.parametrize(
    "book", [{HOSTILE: 1}, {"accounts": [{HOSTILE: 1}]}, {"accounts": [], "market": {HOSTILE: 1}}]
)
def test_a_field_whose_name_breaks_the_line_makes_no_line_of_its_own(
    book: dict[str, Any], tmp_path: Path
) -> None:
    file = tmp_path / "book.json"
    file.write_text(json.dumps(book), encoding="utf-8")
    shown = CliRunner().invoke(app, ["evaluate", str(file)])
    assert shown.exit_code == 2
    assert shown.stderr.count("\n") == 1
    assert not ACTED_UPON & set(shown.stderr)


@pytest.mark.parametrize(
    "arguments",
    [("evaluate", f"nowhere{HOSTILE}"), ("status", "--data", f"nowhere{HOSTILE}"), ("backtest", HOSTILE)],
)
def test_an_argument_that_breaks_the_line_makes_no_line_of_its_own(arguments: tuple[str, ...]) -> None:
    shown = CliRunner().invoke(app, arguments)
    assert shown.exit_code in (1, 2)
    assert not ACTED_UPON & set(shown.output)
    assert not [line for line in shown.output.splitlines() if line.startswith("margin: all is well")]


def test_each_flaw_of_a_file_has_a_line(tmp_path: Path) -> None:
    prices = tmp_path / "prices.csv"
    prices.write_text("date,AAPL\n2020-01-02,-1\n2020-01-03,x\n", encoding="utf-8")
    shown = CliRunner().invoke(app, ["replay", "--prices", str(prices)])
    assert shown.exit_code == 2
    assert len(shown.stderr.splitlines()) > 1


def test_a_log_line_is_one_line() -> None:
    lines = io.StringIO()
    handler = logging.StreamHandler(lines)
    handler.setFormatter(VisibleFormatter("%(levelname)s %(message)s"))
    log = logging.Logger("hostile")
    log.addHandler(handler)
    log.warning("account %s", HOSTILE)
    assert lines.getvalue() == f"WARNING account {visible(HOSTILE)}\n"
    try:
        raise ValueError(HOSTILE)
    except ValueError:
        log.exception("failed")
    assert not ACTED_UPON & set(lines.getvalue())


def test_no_command_prints_past_the_one_place() -> None:
    """`echo`, `print_json` and `screen` of cli/output.py; nothing else of a command reaches a terminal."""
    past = []
    for path in sorted((ROOT / "margin_platform" / "cli").glob("*.py")):
        if path.name == "output.py":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            name = getattr(node, "attr", None) or getattr(node, "id", None)
            if name in {"secho", "Console", "print_exception"} or (
                isinstance(node, ast.Attribute)
                and ast.unparse(node) in {"typer.echo", "sys.stdout.write", "click.echo"}
            ):
                past.append(f"{path.name}:{getattr(node, 'lineno', 0)} {name}")
    assert past == []
