"""What tests of every kind share: one real Kafka broker per worker, started by the first test that asks
for it.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator

import pytest
from hypothesis import settings
from xdist.remote import Producer

from margin_platform.kafka import topic_admin
from margin_platform.kafka.bus import Bus
from margin_platform.stack import broker as kafka_broker
from margin_platform.stack import ports, processes
from tests.lanes import Lanes

pytest_plugins = ["tests.support.postgres"]

# A landing passes or fails the same way each time; `make fuzz` looks for new examples.
settings.register_profile("repeatable", derandomize=True)
settings.register_profile("search", print_blob=True)
settings.load_profile("repeatable")


def pytest_configure() -> None:
    """A run in the background of a shell inherits a Ctrl-C that is ignored; Dagster then has TERM ignored as
    well, and whatever a test starts with it.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(optionalhook=True)  # without xdist (-p no:xdist) the hook is not called
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Lanes:
    """Under `-n 3`. xdist's own groups have no effect with pytest 9.2:
    xdist 3.8 writes them where ids are no longer read.
    """
    return Lanes(config, log)


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """host:port of the run's broker, all topics of the contract created. Mark the test `kafka`."""
    folder = tmp_path_factory.mktemp("kafka")
    running = kafka_broker.start(folder, port=ports.any_free(), environment={"MARGIN_STACK": str(folder)})
    try:
        topic_admin.create(running.bootstrap)
        yield running.bootstrap
    finally:
        running.stop()


@pytest.fixture(scope="session")
def aws_endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of the local stack's AWS endpoint.

    A process: `deltalake` holds the interpreter while it waits, so it cannot be a thread.
    """
    log, port = tmp_path_factory.mktemp("aws") / "aws.log", ports.any_free()
    server = processes.start([sys.executable, "-m", "margin_platform.stack.aws_endpoint", str(port)], {}, log)
    try:
        processes.wait_until(lambda: ports.accepts(port), processes.end_of(server), log, "aws", 60)
        yield f"http://{ports.HOST}:{port}"
    finally:
        server.kill()
        server.wait()


@pytest.fixture
def fresh_topics(broker: str) -> str:
    """The broker with every topic empty, offsets from 0 again: tests share the broker and nothing else."""
    topic_admin.recreate(broker)
    return broker


@pytest.fixture
def bus(fresh_topics: str) -> Iterator[Bus]:
    """A bus on empty topics, closed after the test."""
    with Bus(fresh_topics) as opened:
        yield opened
