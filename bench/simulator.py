"""Simulated account-days a second on one core, beside the bare engine on the same records.

The book is a broker's: 12 customers borrow and trade, 3% of the rest do, the others hold what is paid for.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

from bench import plots
from margin_platform.simulator.runs import play
from margin_platform.simulator.simulation import World
from margin_platform.simulator.story import KINDS, drawn_story
from margin_platform.simulator.world.decision_store import store_of_a_story
from margin_platform.simulator.world.margin_stream import applied, engines


def measured(seed: int, days: int, accounts: int) -> dict[str, object]:
    """Return account-days a second of a story with its checks, of the story, and of its engines alone."""
    story = drawn_story(seed, days, accounts, KINDS, step_minutes=60)
    began = time.process_time()
    played = play(story)
    whole = time.process_time() - began
    with store_of_a_story() as store:
        world = World(story, store)
        began = time.process_time()
        world.play_to_the_close()
        alone = time.process_time() - began
    shards = engines(world.policy, story.shards)
    began = time.process_time()
    (life,) = world.stream.lives
    for number in range(len(life.batches)):
        applied(shards, world.stream.records_of(life, number), number)
    bare = time.process_time() - began
    account_days = days * accounts
    return {
        "accounts": accounts,
        "days": days,
        "decisions": played.counts["decisions"],
        "with_checks_per_s": round(account_days / whole, 1),
        "simulated_per_s": round(account_days / alone, 1),
        "engine_alone_per_s": round(account_days / bare, 1),
        "violated": sorted(played.violated),
    }


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="margin bench simulator", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--days", type=int, default=5)
    parser.add_argument("--plot", type=Path, help="also plot what is found, as a PNG file")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args(argv)
    play(drawn_story(given.seed, given.days, 100, ()))  # compiles, and reads the calendar
    rows = []
    for accounts in (8, 100, 1_000, 4_000):
        rows.append(measured(given.seed, given.days, accounts))
        if not given.json:
            print("  ".join(f"{name} {value}" for name, value in rows[-1].items()), flush=True)
    if given.json:
        print(json.dumps(rows, indent=1))
    if given.plot:
        plots.simulator(rows, given.plot)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
