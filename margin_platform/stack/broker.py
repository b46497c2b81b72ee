"""A Kafka broker of one node (KRaft, broker and controller in one process), started from its published jars.

Its data folder holds everything, so that the same folder started again, on another port too, continues where
it was.
"""

from __future__ import annotations

import base64
import contextlib
import os
import shutil
import subprocess
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from margin_platform.jars import class_archive
from margin_platform.jars import resolve as jars
from margin_platform.stack import ports, processes

DEFAULT_PORT = 9092
_READY_S = 60.0
# The local stack's traffic is small: a heap of 384 MB, one garbage collector thread, only the quick compiler.
_JAVA = (
    "java",
    "-Xms96m",
    "-Xmx384m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Xshare:auto",
    "-Djava.awt.headless=true",
)


@dataclass(frozen=True)
class Broker:
    """A broker that answered. bootstrap: host:port."""

    bootstrap: str
    process: subprocess.Popen[bytes]

    def stop(self, grace_s: float = 15.0) -> None:
        """End it and wait until it is gone; its data stays."""
        with contextlib.suppress(psutil.NoSuchProcess):
            processes.end([psutil.Process(self.process.pid)], grace_s)
        self.process.wait()


def start(
    folder: Path,
    *,
    port: int | None = None,
    environment: dict[str, str] | None = None,
    log: Path | None = None,
    progress: jars.Progress = jars.log.info,
    java_options: Sequence[str] | None = None,
) -> Broker:
    """Start a broker on `folder` and return when it serves.

    java_options: of its JVM, in place of its class archive. StartFailed with its log's end, JarsUnavailable
    without jars.
    """
    chosen = ports.choose(DEFAULT_PORT) if port is None else port
    log = log or folder / "broker.log"
    process = processes.start(command(folder, chosen, progress, java_options), environment or {}, log)
    try:
        processes.wait_until(
            lambda: ports.accepts(chosen), processes.end_of(process), log, "the Kafka broker", _READY_S
        )
    except processes.StartFailed:
        process.kill()
        process.wait()
        raise
    return Broker(f"{ports.HOST}:{chosen}", process)


def command(
    folder: Path,
    port: int,
    progress: jars.Progress = jars.log.info,
    java_options: Sequence[str] | None = None,
) -> list[str]:
    """Return a broker's command line.

    Write its configuration; format a folder that is new. StartFailed where there is no Java.
    """
    if shutil.which("java") is None:
        raise processes.StartFailed(
            "java is needed to run the Kafka broker: apt-get install openjdk-17-jre-headless"
        )
    folder.mkdir(parents=True, exist_ok=True)
    configuration = _write_configuration(folder, port)
    classpath = jars.broker_classpath(progress=progress)
    java = (
        [*_JAVA, *class_archive.options("broker", classpath)]
        if java_options is None
        else [*_JAVA, *java_options]
    )
    ending = [f"-Dlog4j2.configurationFile={folder / 'log4j2.properties'}", "-cp", os.pathsep.join(classpath)]
    if not (folder / "log" / "meta.properties").exists():
        _format([*_JAVA, *class_archive.options("broker", classpath), *ending], configuration, folder)
    return [*java, *ending, "kafka.Kafka", str(configuration)]


def _format(java: list[str], configuration: Path, folder: Path) -> None:
    # one in 64 begins with a dash
    cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).rstrip(b"=").decode()
    done = subprocess.run(
        [
            *java,
            "kafka.tools.StorageTool",
            "format",
            f"--cluster-id={cluster}",
            "--config",
            str(configuration),
            "--ignore-formatted",
        ],
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise processes.StartFailed(
            f"{folder} could not be formatted for Kafka: "
            f"{(done.stderr or done.stdout).strip().splitlines()[-1]}"
        )


def _write_configuration(folder: Path, port: int) -> Path:
    # nothing else speaks to it, and two brokers that start at once must not choose the same
    controller = ports.any_free({port})
    path = folder / "server.properties"
    path.write_text(
        _CONFIGURATION.format(host=ports.HOST, port=port, controller=controller, folder=folder),
        encoding="utf-8",
    )
    (folder / "log4j2.properties").write_text(_LOGGING, encoding="utf-8")
    return path


# A killed broker's successor is refused until the old session is over: 4 s here, 9 by default.
_CONFIGURATION = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{host}:{controller}
listeners=PLAINTEXT://{host}:{port},CONTROLLER://{host}:{controller}
advertised.listeners=PLAINTEXT://{host}:{port}
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={folder}/log
auto.create.topics.enable=false
num.partitions=1
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
num.network.threads=2
num.io.threads=4
background.threads=2
log.cleaner.threads=1
log.cleaner.dedupe.buffer.size=16777216
log.segment.bytes=134217728
log.index.size.max.bytes=1048576
log.segment.delete.delay.ms=1000
message.max.bytes=8388608
metadata.log.segment.bytes=16777216
broker.heartbeat.interval.ms=1000
broker.session.timeout.ms=4000
"""

_LOGGING = """\
status=error
appender.console.type=Console
appender.console.name=CONSOLE
appender.console.layout.type=PatternLayout
appender.console.layout.pattern=%d{ISO8601} %p %c{1} %m%n
rootLogger.level=warn
rootLogger.appenderRef.console.ref=CONSOLE
logger.server.name=kafka.server.KafkaRaftServer
logger.server.level=info
"""
