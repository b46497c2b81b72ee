"""The program's contract: every command has --help and --json, and what cannot be used ends with 2 and one
line that names it.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from margin_platform.cli import COMMANDS, app
from margin_platform.demo import run
from margin_platform.policy.policy import POLICY_FOLDER

ROOT = Path(__file__).parents[2]
SHIPPED = next(POLICY_FOLDER.glob("*.yaml"))
UNUSABLE = [  # arguments, environment, exit code, what standard error says
    (
        ["status"],
        {"MARGIN_DASHBOARD_PORT": "abc"},
        2,
        "MARGIN_DASHBOARD_PORT: not a port number, value 'abc'",
    ),
    (
        ["up"],
        {"MARGIN_ENVIRONMENT": "moon"},
        2,
        "MARGIN_ENVIRONMENT: not one of local, cluster, aws, value 'moon'",
    ),
    (
        ["evaluate", str(ROOT / "examples" / "concentrated.json")],
        {"MARGIN_POLICIES": "/nowhere"},
        2,
        "policies: not a folder with policy files (*.yaml), value '/nowhere'",
    ),
    (["up", "--only", ","], {}, 2, "--only: names no component, value ','"),
    (
        ["up", "--only", "kafka", "--without", "kafka"],
        {},
        2,
        "without: leaves nothing to start, value 'kafka'",
    ),
    (["down", "--data", __file__], {}, 2, "--data: not a folder, value"),
    (["demo", "--for", "nan"], {}, 2, "--for: not a number of seconds above zero, value nan"),
    (
        ["demo", "--for", "soon"],
        {},
        2,
        "'--for': Input should be a valid number, unable to parse string as a number, value 'soon'",
    ),
    (
        ["demo", "--data", str(Path(__file__).parent)],
        {},
        2,
        "--data: neither empty nor an earlier demo's folder, value",
    ),
    (["evaluat"], {}, 2, "no such command, value 'evaluat'. Did you mean evaluate?"),
    (["observe", "--max", "0"], {}, 2, "'--max': Input should be greater than or equal to 1, value '0'"),
    (["observe", "fils.v1"], {}, 2, "value 'fils.v1'"),
    (
        ["observe", "--data", "/nowhere"],
        {"MARGIN_KAFKA": "kafka.example:9092"},
        2,
        "--data: no broker of a stack runs there; name one",
    ),
    (
        ["observe"],
        {"MARGIN_DATA": "/nowhere"},
        2,
        "--data: no broker of a stack runs there, and MARGIN_KAFKA is not set; name one",
    ),
    (
        ["replay", "--prices", "sample"],
        {"MARGIN_DATA": "/nowhere"},
        2,
        "--data: no broker of a stack runs there",
    ),
    (["dashboard", "--data", "/nowhere"], {}, 2, "--data: no broker of a stack runs there"),
    (
        ["policy-change", str(SHIPPED)],
        {"MARGIN_DATA": "/nowhere"},
        2,
        "--data: no broker of a stack runs there",
    ),
    (["replay", "--prices", "sample", "--speed", "nan"], {}, 2, "speed: not a number from 0 up, value nan"),
    (
        ["explain", "A", "--store", "postgresql+nodriver://margin:secret@db.example/margin"],
        {},
        2,
        "value 'postgresql+nodriver://margin:***@db.example/margin'",
    ),
    (
        ["migrate", "--store", "postgres//margin:secret@db.example"],
        {},
        2,
        "store: not a SQLAlchemy URL, value 'postgres//margin:***@db.example'",
    ),
    (["observe", "prices.v1", "--bootstrap", "host"], {}, 2, "--bootstrap: not host:port, value 'host'"),
    (
        ["observe", "prices.v1"],
        {"MARGIN_KAFKA": "a:1,b:http"},
        2,
        "MARGIN_KAFKA: not host:port, value 'a:1,b:http'",
    ),
    (["explain", "A", "--store", "garbage"], {}, 2, "store: not a SQLAlchemy URL, value 'garbage'"),
    (
        ["explain", "A"],
        {"MARGIN_STORE": "postgresql://127.0.0.1:1/margin"},
        1,
        "the store does not answer: connection",
    ),
    (
        ["whatif", "A", "--trade", "KO:1", "--store", "sqlite:////nowhere/store.db"],
        {},
        2,
        "store: nothing was recorded there, value",
    ),
    (
        ["audit", "verify", "--store", "sqlite:////nowhere/store.db"],
        {},
        2,
        "store: nothing was recorded there, value",
    ),
]


def test_the_program_says_what_it_is_for() -> None:
    shown = CliRunner().invoke(app, ["--help"]).stdout
    assert "Real-time margin and risk surveillance" in shown.partition("Options:")[0]
    assert all(command in shown.partition("Commands:")[2] for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself_and_answers_in_json(command: str) -> None:
    shown = CliRunner().invoke(app, [command, "--help"])
    assert shown.exit_code == 0
    assert "--json" in shown.stdout


@pytest.mark.parametrize(("arguments", "environment", "code", "said"), UNUSABLE)
def test_what_cannot_be_used_is_named_with_its_value(
    arguments: list[str], environment: dict[str, str], code: int, said: str, tmp_path: Path
) -> None:
    done = CliRunner().invoke(app, arguments, env={"MARGIN_DATA": str(tmp_path / "data"), **environment})
    assert said in done.stderr
    assert (done.exit_code, done.stdout) == (code, "")
    assert not Path("/nowhere").exists()  # looking made nothing


@pytest.mark.parametrize("chosen", [True, False], ids=["--data", "the default"])
def test_a_demo_deletes_no_folder_that_is_not_its_own(chosen: bool, tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    folder.mkdir()
    (folder / "thesis.txt").write_text("years of work", encoding="utf-8")
    done = CliRunner().invoke(
        app, ["demo", *(["--data", str(folder)] if chosen else [])], env={"MARGIN_DATA": str(tmp_path)}
    )
    assert (done.exit_code, done.stderr) == (
        2,
        f"margin: --data: neither empty nor an earlier demo's folder, value {str(folder)!r}\n",
    )
    with pytest.raises(FileExistsError):
        run.Demo(folder).run(print, print)
    assert [entry.name for entry in folder.iterdir()] == ["thesis.txt"]


def test_the_shell_completes_commands_and_options() -> None:
    def completed(words: str) -> list[str]:
        asked = {"_MARGIN_COMPLETE": "complete_bash", "COMP_WORDS": words}
        asked["COMP_CWORD"] = str(len(words.split(" ")) - 1)
        return CliRunner().invoke(app, [], env=asked, prog_name="margin").stdout.split()

    assert completed("margin ev") == ["evaluate"]
    assert completed("margin audit ver") == ["verify"]
    assert "--trade" in completed("margin whatif --t")


def test_no_table_cuts_an_account_id_on_a_narrow_terminal() -> None:
    account = "PORTFOLIO-MARGIN-ACCOUNT-WITH-A-LONG-ID-00058"
    rows = [{"symbol": s, "qty": 4000, "price": 1234.5678} for s in "ABCD"]
    book = json.dumps({"accounts": [{"account_id": account, "cash": -15_500_000, "positions": rows}]})
    for command in (["evaluate", "-"], ["evaluate", "-", "--parts"], ["evaluate", "-", "--house-grid"]):
        shown = CliRunner().invoke(app, command, input=book, env={"COLUMNS": "60"})
        assert shown.exit_code == 0, shown.stderr
        assert account in shown.stdout
        assert "…" not in shown.stdout
