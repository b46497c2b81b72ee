"""Seeds without a violation, the same bytes from one seed, a story made short and replayed."""

from __future__ import annotations

import ast
import datetime as dt
import json
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from margin_platform.cli import app
from margin_platform.simulator.invariants import sessions
from margin_platform.simulator.runs import play
from margin_platform.simulator.shrinking import shrunk
from margin_platform.simulator.story import KINDS, Fault, drawn_story, read
from margin_platform.simulator.world.decision_store import SimulatedStore
from margin_platform.trading_time.sessions import due_time, in_session, is_session
from tests.support import defects

ROOT = Path(__file__).parents[2]
INVARIANTS = ROOT / "margin_platform" / "simulator" / "invariants"


def _violated(seeds: Iterable[int], step_minutes: int) -> dict[int, dict[str, list[str]]]:
    stories = {seed: drawn_story(seed, 1, 3, KINDS, step_minutes) for seed in seeds}
    violated = {seed: play(story).violated for seed, story in stories.items()}
    return {seed: names for seed, names in violated.items() if names}


@pytest.mark.parametrize("seed", range(20))
def test_a_short_story_violates_nothing(seed: int) -> None:
    assert _violated([seed], step_minutes=60) == {}


@pytest.mark.parametrize("first", range(100, 300, 10))
def test_two_hundred_shorter_stories_violate_nothing(first: int) -> None:
    """Sessions of four prices."""
    assert _violated(range(first, first + 10), step_minutes=130) == {}


@pytest.mark.parametrize(("seed", "step_minutes"), [(30224, 130), (32668, 30), (35646, 130), (38091, 130)])
def test_a_story_that_found_something_violates_nothing_any_more(seed: int, step_minutes: int) -> None:
    assert _violated([seed], step_minutes) == {}


@pytest.mark.nightly
@pytest.mark.timeout(1_000)
@pytest.mark.parametrize("first", range(1_000, 1_300, 20))
def test_hundreds_of_stories_of_two_days_violate_nothing(first: int) -> None:
    violated = {seed: play(drawn_story(seed, 2, 8, KINDS)).violated for seed in range(first, first + 20)}
    assert {seed: names for seed, names in violated.items() if names} == {}


def test_stories_do_what_they_are_for() -> None:
    """Among the short ones are runs that died, calls, orders and fills of the venue."""
    counts = [play(drawn_story(seed, 1, 4, KINDS)).counts for seed in (3, 8, 12)]
    total = {name: sum(count[name] for count in counts) for name in counts[0]}
    assert all(total[name] for name in ("deaths", "calls", "orders", "notices")), total


def test_the_same_seed_gives_the_same_bytes_in_any_process() -> None:
    command = [sys.executable, "-m", "margin_platform.cli", "simulate", "--seed", "5", "--accounts", "4"]
    runs = [
        subprocess.Popen(
            [*command, "--json"],
            cwd=ROOT,
            env=os.environ | {"PYTHONHASHSEED": hashing},
            stdout=subprocess.PIPE,
            text=True,
        )
        for hashing in ("1", "2")
    ]
    first, second = (run.communicate(timeout=200)[0] for run in runs)
    assert first == second
    assert json.loads(first)["violated"] == {}


_KILLED = """
import os, signal
from margin_platform.simulator.world.decision_store import SimulatedStore
print(SimulatedStore()._folder.name, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_simulator_leaves_is_removed_by_the_next_and_nothing_else() -> None:
    run = subprocess.run([sys.executable, "-c", _KILLED], cwd=ROOT, capture_output=True, text=True)
    left, others = Path(run.stdout.strip()), SimulatedStore()
    assert left.name.startswith("margin-simulator-")
    assert not left.exists()
    with SimulatedStore():
        assert Path(others._folder.name).exists()


def test_a_failing_story_is_made_short_and_can_be_replayed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    defects.sent_is_marked_before_it_is_sent(monkeypatch)
    needed = Fault("death", "enforcement", 0, 11)
    story = drawn_story(5, 1, 2, ("print", "broker"), step_minutes=60)
    failed = play(story.with_faults((*story.faults, needed)))
    assert "what_is_committed_is_published" in failed.violated
    short = shrunk(failed)
    assert short.story.faults == (needed,)
    assert len(short.story.customers) == 1
    file = tmp_path / "story.json"
    file.write_text(short.story.written(), encoding="utf-8")
    again = play(read(file))
    assert (again.sha256, again.violated) == (short.sha256, short.violated)
    shown = CliRunner().invoke(app, ["simulate", "--replay", str(file)])
    assert shown.exit_code == 1
    assert "enforcement run 0 is killed" in shown.stdout
    assert "VIOLATED what is committed is published" in shown.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--faults", "rain"], "faults: not among"),
        (["--replay", "nowhere.json"], "story: cannot be played"),
        (["--days", "0"], "--days"),
    ],
)
def test_what_cannot_be_simulated_is_named(arguments: list[str], said: str) -> None:
    shown = CliRunner().invoke(app, ["simulate", *arguments])
    assert shown.exit_code == 2
    assert said in shown.stderr
    assert arguments[1] in shown.stderr


def test_the_invariants_hours_are_the_exchanges() -> None:
    """From the first day that a story may begin with, over a year's sessions of the last."""
    day, last = dt.date(2024, 3, 4), dt.date(2025, 12, 31)
    while day <= last:
        own = sessions.session_of(day)
        assert (own is not None) == is_session(day), day
        if own is not None:
            assert in_session(own[0]), day
            assert in_session(own[1] - 1_000), day
            assert not in_session(own[1] + 1_000), day
            opened = dt.datetime.fromtimestamp(own[0] / 1_000, dt.UTC)
            due = due_time(opened, 4, 15).timestamp() * 1_000
            assert sessions.due_after(own[0], 4, 15) == due, day
        day += dt.timedelta(days=1)


def test_the_invariants_share_no_code_with_the_product() -> None:
    found = set()
    for path in INVARIANTS.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):
                found.add(str(node.module))
            elif isinstance(node, ast.Import):
                found |= {name.name for name in node.names}
    own = {name for name in found if name.startswith("margin_platform.simulator.invariants")}
    assert own
    assert {name.split(".")[0] for name in found - own} <= set(sys.stdlib_module_names)
