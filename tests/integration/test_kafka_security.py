"""A broker that asks for a login, over plain TCP (PLAIN) and over TLS (SCRAM-SHA-512),
and every client that has to get in.
"""

from __future__ import annotations

import datetime
import ipaddress
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.admin import (
    AdminClient,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from typer.testing import CliRunner

from margin_platform.cli import app
from margin_platform.contracts.messages import MARGIN_CALC, PRICES, TOPICS
from margin_platform.dashboard.intake.freshness import Feed
from margin_platform.dashboard.intake.intake import Intake
from margin_platform.dashboard.state.live_book import Holdings
from margin_platform.kafka import topic_admin
from margin_platform.kafka.broker_errors import BrokerRefused
from margin_platform.kafka.bus import Bus
from margin_platform.kafka_security import KafkaSecurity
from margin_platform.policy.policy import current_policy
from margin_platform.stack import broker as kafka_broker
from margin_platform.stack import ports, processes

pytestmark = [pytest.mark.kafka]
USER, PASSWORD = "margin", 'pa"ss\\word 1'  # what a careless quoting would break  # pragma: allowlist secret
WRONG = "not-the-secret-42"
PRICE = {"symbol": "AAPL", "price": 80.0, "timestamp": 1_582_295_400_000}
READ_WITH_SPARK = """
import json, os, sys
from spark.kafka_source import stream
from spark.session import build
session = build("kafka-security", "local[1]")
for number, (address, environment) in enumerate(json.loads(sys.stdin.read())):
    os.environ.pop("MARGIN_KAFKA_CA_FILE", None)
    os.environ.update(environment)
    def show(batch, _):
        for record in batch.collect():
            print(address, record.value.decode(), flush=True)
    source = stream(session, address, ["prices.v1"])
    writer = source.writeStream.foreachBatch(show).option("checkpointLocation", f"{sys.argv[1]}/{number}")
    query = writer.trigger(availableNow=True).start()
    query.awaitTermination()
    source.explain(True)
"""
PROPERTIES = """
listeners=PLAINTEXT://{host}:{open},CONTROLLER://{host}:{controller},SASL_PLAINTEXT://{host}:{plain},SASL_SSL://{host}:{tls}
advertised.listeners=PLAINTEXT://{host}:{open},SASL_PLAINTEXT://{host}:{plain},SASL_SSL://{host}:{tls}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL
sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-512
listener.name.sasl_plaintext.plain.sasl.jaas.config=\\
    org.apache.kafka.common.security.plain.PlainLoginModule required {login};
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config=\\
    org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.sasl_plaintext.sasl.enabled.mechanisms=PLAIN
listener.name.sasl_ssl.sasl.enabled.mechanisms=SCRAM-SHA-512
listener.name.sasl_ssl.ssl.keystore.type=PEM
listener.name.sasl_ssl.ssl.keystore.location={keystore}
"""


@dataclass(frozen=True)
class SecuredBroker:
    """One broker, three doors: open (for the test itself), `plain` and `tls`;
    each with the security that opens it.
    """

    open: str
    plain: str
    tls: str
    authority: Path

    def doors(self) -> dict[str, tuple[str, KafkaSecurity]]:
        return {
            "SASL_PLAINTEXT": (self.plain, KafkaSecurity("SASL_PLAINTEXT", "PLAIN", USER, PASSWORD)),
            "SASL_SSL": (
                self.tls,
                KafkaSecurity("SASL_SSL", "SCRAM-SHA-512", USER, PASSWORD, self.authority),
            ),
        }


def certificate(folder: Path) -> tuple[Path, Path]:
    """A key with its self-signed certificate for 127.0.0.1:
    (the broker's PEM of both, the PEM clients trust).
    """
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "margin test broker")])
    now = datetime.datetime.now(datetime.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(ports.HOST))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    ).public_bytes(serialization.Encoding.PEM)
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "broker.pem").write_bytes(secret + signed)
    (folder / "authority.pem").write_bytes(signed)
    return folder / "broker.pem", folder / "authority.pem"


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredBroker]:
    folder = tmp_path_factory.mktemp("secured")
    keystore, authority = certificate(folder)
    numbers = [ports.any_free() for _ in range(4)]
    opened, controller, plain, tls = numbers
    command = kafka_broker.command(folder, opened)
    written = (folder / "server.properties").read_text()
    quorum = next(line for line in written.splitlines() if line.startswith("controller.quorum.voters="))
    controller = int(quorum.rpartition(":")[2])
    # for the login module; once more for the properties file
    escaped = PASSWORD.replace("\\", "\\\\").replace('"', '\\"')
    login = f'user_{USER}="{escaped}"'.replace("\\", "\\\\")
    added = PROPERTIES.format(
        host=ports.HOST,
        open=opened,
        controller=controller,
        plain=plain,
        tls=tls,
        login=login,
        keystore=keystore,
    )
    (folder / "server.properties").write_text(written + added)
    log = folder / "broker.log"
    process = processes.start(command, {"MARGIN_STACK": str(folder)}, log)
    try:
        ended = processes.end_of(process)
        processes.wait_until(
            lambda: all(map(ports.accepts, (opened, plain, tls))), ended, log, "the secured broker", 60
        )
        address = f"{ports.HOST}:{opened}"
        topic_admin.create(address, [PRICES, MARGIN_CALC])
        login_of = UserScramCredentialUpsertion(
            USER, ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096), PASSWORD.encode()
        )
        admin = AdminClient({"bootstrap.servers": address})
        for done in admin.alter_user_scram_credentials([login_of]).values():
            done.result(30)
        yield SecuredBroker(address, f"{ports.HOST}:{plain}", f"{ports.HOST}:{tls}", authority)
    finally:
        process.kill()
        process.wait()


def environment(security: KafkaSecurity) -> dict[str, str]:
    """The settings a deployment would give."""
    given = {
        "MARGIN_KAFKA_SECURITY_PROTOCOL": security.protocol,
        "MARGIN_KAFKA_SASL_MECHANISM": security.mechanism,
        "MARGIN_KAFKA_USERNAME": security.username,
        "MARGIN_KAFKA_PASSWORD": security.password,
        "MARGIN_KAFKA_CA_FILE": None if security.ca_file is None else str(security.ca_file),
    }
    return {name: value for name, value in given.items() if value is not None}


@pytest.fixture(params=["SASL_PLAINTEXT", "SASL_SSL"])
def door(
    request: pytest.FixtureRequest, secured: SecuredBroker, monkeypatch: pytest.MonkeyPatch
) -> tuple[str, KafkaSecurity]:
    """An address and its security, the security being in the environment."""
    address, security = secured.doors()[request.param]
    for name, value in environment(security).items():
        monkeypatch.setenv(name, value)
    return address, security


class Seen:
    """Stands for the newest rows: keeps what the intake passes on."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.bad_events = 0

    def apply(self, batch: list[tuple[str, int, dict[str, Any]]]) -> None:
        self.events += [event for _, _, event in batch]


def intake(address: str, until: Callable[[Seen, Feed], Any]) -> Any:
    """Runs the dashboard's intake until the condition gives something, and returns that."""
    seen, feed = Seen(), Feed()
    running = Intake(address, seen, Holdings(current_policy()), feed, lambda: time.time_ns() // 1_000_000)  # type: ignore[arg-type]
    running.start()
    try:
        deadline = time.monotonic() + 60
        while not (found := until(seen, feed)):
            assert time.monotonic() < deadline, f"the intake gave nothing; its error: {feed.error}"
            threading.Event().wait(0.05)
        return found
    finally:
        running.stop()


def run(*command: str, given: str = "") -> subprocess.CompletedProcess[str]:
    """A Python process that reads `given` and is waited for."""
    return subprocess.run(
        [sys.executable, *command], input=given, capture_output=True, text=True, timeout=120
    )


def test_the_topics_are_created_through_the_settings_alone(door: tuple[str, KafkaSecurity]) -> None:
    address, _ = door
    first, again = (CliRunner().invoke(app, ["topics", "--bootstrap", address, "--json"]) for _ in range(2))
    assert (first.exit_code, again.exit_code) == (0, 0), first.output
    assert json.loads(again.stdout) == {"broker": address, "created": []}
    assert {PRICES, MARGIN_CALC}.isdisjoint(json.loads(first.stdout)["created"])
    with Bus(address) as bus:
        assert [topic for topic in TOPICS if not bus.end_offsets(topic)] == []


def test_the_bus_and_the_dashboard_read_an_event_through_the_settings_alone(
    door: tuple[str, KafkaSecurity],
) -> None:
    address, security = door
    account = f"A-{security.protocol}"
    with Bus(address) as bus:
        bus.produce(PRICES, PRICE)
        bus.produce(MARGIN_CALC, {"account_id": account})
        bus.flush()
        assert PRICE in [json.loads(record.value or b"") for record in bus.read_all(PRICES)]
    assert intake(address, lambda seen, _: {"account_id": account} in seen.events)


@pytest.mark.nightly
@pytest.mark.spark
def test_spark_reads_an_event_through_the_settings_alone(secured: SecuredBroker, tmp_path: Path) -> None:
    with Bus(secured.open) as bus:
        bus.produce(PRICES, PRICE)
        bus.flush()
    doors = {address: environment(security) for address, security in secured.doors().values()}
    spark = run("-c", READ_WITH_SPARK, str(tmp_path), given=json.dumps(list(doors.items())))
    for address in doors:
        read = [
            json.loads(line.removeprefix(address))
            for line in spark.stdout.splitlines()
            if line.startswith(address)
        ]
        assert PRICE in read, spark.stderr
    assert 'pa"ss' not in spark.stdout + spark.stderr  # the plan is printed too


@pytest.mark.parametrize("door", ["SASL_SSL"], indirect=True)
def test_a_wrong_password_is_one_line_that_names_the_setting(
    door: tuple[str, KafkaSecurity], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    address, _ = door
    monkeypatch.setenv("MARGIN_KAFKA_PASSWORD", WRONG)
    said = []
    for attempt in (lambda bus: bus.produce(PRICES, PRICE), lambda bus: bus.end_offsets(PRICES)):
        started = time.monotonic()
        with Bus(address) as bus, pytest.raises(BrokerRefused) as refused:
            attempt(bus)
        assert time.monotonic() - started < 30
        said.append(str(refused.value))
    said.append(intake(address, lambda _, feed: feed.error))
    driver = run(
        "-m",
        "spark.driver",
        "--bootstrap",
        address,
        "--checkpoint",
        str(tmp_path / "c"),
        "--tables",
        str(tmp_path / "t"),
    )
    assert driver.returncode == 1
    assert "Traceback" not in driver.stderr
    said.append(next(line for line in driver.stderr.splitlines() if "ERROR" in line))
    for line in said:
        assert address in line
        assert "MARGIN_KAFKA_PASSWORD" in line
        assert "\n" not in line
    assert WRONG not in driver.stdout + driver.stderr + "".join(said)


def test_a_certificate_of_an_unknown_authority_names_the_setting(secured: SecuredBroker) -> None:
    address, security = secured.doors()["SASL_SSL"]
    for attempt in (lambda bus: bus.produce(PRICES, PRICE), lambda bus: bus.end_offsets(PRICES)):
        with (
            Bus(address, security=replace(security, ca_file=None)) as bus,
            pytest.raises(BrokerRefused, match="MARGIN_KAFKA_CA_FILE"),
        ):
            attempt(bus)
