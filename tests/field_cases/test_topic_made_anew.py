"""Field case 29: a topic is known by its id, not its length. The broker's part is in
`tests/orchestration/test_sensors.py::test_a_topic_created_again_is_refused_not_skipped`.
"""

from __future__ import annotations

import pytest

from margin_platform.contracts.offsets import TopicRecreated
from sensors.topic_ticks.topic_cursor import Cursor, EventsLost
from tests.support.topics import a_topic

TOPIC = "margin.status.v1"


@pytest.mark.parametrize("end", [0, 1, 3, 4, 5, 6, 8, 500, 2**40])
def test_a_topic_made_anew_is_refused_however_long_it_is(end: int) -> None:
    with pytest.raises(TopicRecreated, match=r"deleted and created again .*`margin progress forget"):
        Cursor({0: 5}, "old").opened(a_topic("new", end), TOPIC)


@pytest.mark.parametrize("end", [5, 6, 8, 500, 2**40])
def test_the_same_topic_is_read_on_however_much_it_has_grown(end: int) -> None:
    assert Cursor({0: 5}, "old").opened(a_topic("old", end), TOPIC) == Cursor({0: 5}, "old")


def test_a_partition_added_to_the_same_topic_begins_with_its_oldest_event() -> None:
    assert Cursor({0: 5}, "old").opened(a_topic("old", 7, 9), TOPIC).positions == {0: 5, 1: 0}


def test_a_cursor_of_before_ids_learns_the_id_and_is_refused_where_the_topic_is_shorter() -> None:
    assert Cursor.read('{"0": 5}').opened(a_topic("new", 8), TOPIC).topic_id == "new"
    with pytest.raises(TopicRecreated, match="the cursor stands at 5, the topic ends at 3"):
        Cursor.read('{"0": 5}').opened(a_topic("new", 3), TOPIC)


def test_the_id_outlives_a_restart_and_a_tick_on_which_the_broker_does_not_name_it() -> None:
    again = Cursor.read(Cursor({0: 5}, "old").opened(a_topic(None, 8), TOPIC).written())
    assert again == Cursor({0: 5}, "old")
    with pytest.raises(TopicRecreated):
        again.opened(a_topic("new", 8), TOPIC)


def test_events_lost_from_the_same_topic_are_another_error() -> None:
    topic = a_topic("old", 9)
    topic.lost = lambda *_: f"{TOPIC}[0] 5-7"
    with pytest.raises(EventsLost):
        Cursor({0: 5}, "old").opened(topic, TOPIC)
