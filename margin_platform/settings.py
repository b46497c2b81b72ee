"""Settings: where the outside systems are. The only reader of the process environment; every value has an embedded default."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from margin_platform.kafka_security import KafkaSecurity

ENVIRONMENTS = ("local", "cluster", "aws")
_NOT_OUTSIDE = ("MARGIN_JARS", "MARGIN_STACK", "MARGIN_DASHBOARD_TOKEN")


@dataclass(frozen=True)
class Settings:
    """Addresses and folders. Defaults suit one machine; production sets the MARGIN_* variables.

    data_folder: everything the local stack writes; bootstrap_servers: Kafka; store_url: the decision store (SQLAlchemy
    URL); aws_endpoint_url: None means AWS itself; tables: folder or URL of the Delta tables; jars: cached JVM packages;
    instruments: reference data in the form of margin_platform/market/reference/instruments.yaml, None for that file;
    metrics_host, metrics_port: where the streams serve Prometheus, port 0 for nowhere; run_id: the Dagster run of the streams;
    firm_email, firm_phone: who is told of the firm's limits and of customers nobody could tell; desk_contact: whom a notice
    says to ask, with a number or an address; environment: where the streams run (docs/operations.md,
    "Scale-out"); spark_master: empty where whoever submits the driver names it. Secrets are in no repr.
    """

    environment: str

    data_folder: Path
    bootstrap_servers: str
    kafka_security: KafkaSecurity
    store_url: str = field(repr=False)
    tables: str
    jars: Path
    instruments: Path | None
    spark_master: str
    spark_driver_host: str
    spark_executor_memory: str
    spark_jars: tuple[str, ...]
    spark_image: str | None
    spark_namespace: str
    emr_application: str | None
    emr_role: str | None
    emr_entry_point: str | None
    aws_endpoint_url: str | None
    aws_region: str
    sns_sender: str
    sendgrid_url: str
    sendgrid_api_key: str | None = field(repr=False)
    smtp_address: str | None
    mail_from: str
    firm_email: str | None
    firm_phone: str | None
    desk_contact: str | None
    dashboard_host: str
    dashboard_port: int
    dashboard_token: str | None = field(repr=False)
    dagster_url: str | None
    metrics_host: str
    metrics_port: int
    run_id: str | None

    @property
    def checkpoints(self) -> Path:
        return self.data_folder / "checkpoints"


def settings(environment: Mapping[str, str] | None = None) -> Settings:
    """The settings of this process. ValueError names a variable whose value cannot be used."""
    env = os.environ if environment is None else environment
    data = Path(env.get("MARGIN_DATA", ".margin")).absolute()
    cache = Path(env.get("XDG_CACHE_HOME") or Path(env.get("HOME", str(data))) / ".cache")
    environment_name = _one_of(env, "MARGIN_ENVIRONMENT", ENVIRONMENTS)
    return Settings(
        environment=environment_name,
        data_folder=data,
        bootstrap_servers=env.get("MARGIN_KAFKA", "127.0.0.1:9092"),
        kafka_security=_kafka_security(env),
        store_url=env.get("MARGIN_STORE", f"sqlite:///{data / 'store.db'}"),
        tables=env.get("MARGIN_TABLES", str(data / "tables")),
        jars=Path(env.get("MARGIN_JARS", str(cache / "margin-platform" / "jars"))),
        instruments=Path(env["MARGIN_INSTRUMENTS"]) if env.get("MARGIN_INSTRUMENTS") else None,
        spark_master=_spark_master(env, environment_name),
        spark_driver_host=env.get("MARGIN_SPARK_DRIVER_HOST", "127.0.0.1"),
        spark_executor_memory=env.get("MARGIN_SPARK_EXECUTOR_MEMORY", "512m"),
        spark_jars=tuple(filter(None, env.get("MARGIN_SPARK_JARS", "").split(","))),
        spark_image=env.get("MARGIN_SPARK_IMAGE") or None,
        spark_namespace=env.get("MARGIN_SPARK_NAMESPACE", "default"),
        emr_application=env.get("MARGIN_EMR_APPLICATION") or None,
        emr_role=env.get("MARGIN_EMR_ROLE") or None,
        emr_entry_point=env.get("MARGIN_EMR_ENTRY_POINT") or None,
        aws_endpoint_url=env.get("MARGIN_AWS_ENDPOINT") or None,
        aws_region=env.get("AWS_DEFAULT_REGION", "us-east-1"),
        sns_sender=env.get("MARGIN_SNS_SENDER", "MARGIN"),
        sendgrid_url=env.get("MARGIN_SENDGRID_URL", "https://api.sendgrid.com"),
        sendgrid_api_key=env.get("MARGIN_SENDGRID_API_KEY") or None,
        smtp_address=_address(env, "MARGIN_SMTP"),
        mail_from=env.get("MARGIN_MAIL_FROM", "margin@broker.example"),
        firm_email=env.get("MARGIN_FIRM_EMAIL") or None,
        firm_phone=env.get("MARGIN_FIRM_PHONE") or None,
        desk_contact=env.get("MARGIN_DESK_CONTACT") or None,
        dashboard_host=env.get("MARGIN_DASHBOARD_HOST", "127.0.0.1"),
        dashboard_port=_port(env, "MARGIN_DASHBOARD_PORT", 8050),
        dashboard_token=env.get("MARGIN_DASHBOARD_TOKEN") or None,
        dagster_url=env.get("MARGIN_DAGSTER_URL") or None,
        run_id=env.get("MARGIN_RUN_ID") or None,
        metrics_host=env.get("MARGIN_METRICS_HOST", "127.0.0.1"),
        metrics_port=_port(env, "MARGIN_METRICS_PORT", 0),
    )


def stand_alone() -> None:
    """Forgets every variable that leads this process, or what it starts, outside: to a store, broker, provider or cluster of others."""
    for name in [name for name in os.environ if name.startswith("MARGIN_") and name not in _NOT_OUTSIDE]:
        del os.environ[name]


def _one_of(env: Mapping[str, str], name: str, known: tuple[str, ...]) -> str:
    """The value of a setting with a fixed choice; the first is the default."""
    value = env.get(name) or known[0]
    if value not in known:
        raise ValueError(f"{name}: not one of {', '.join(known)}, value {value!r}")
    return value


def _kafka_security(env: Mapping[str, str]) -> KafkaSecurity:
    ca_file = env.get("MARGIN_KAFKA_CA_FILE")
    return KafkaSecurity(
        protocol=env.get("MARGIN_KAFKA_SECURITY_PROTOCOL") or "PLAINTEXT",
        mechanism=env.get("MARGIN_KAFKA_SASL_MECHANISM") or None,
        username=env.get("MARGIN_KAFKA_USERNAME") or None,
        password=env.get("MARGIN_KAFKA_PASSWORD") or None,
        ca_file=Path(ca_file) if ca_file else None,
        region=env.get("AWS_DEFAULT_REGION", "us-east-1"),
    )


def _spark_master(env: Mapping[str, str], environment: str) -> str:
    """local: this machine's cores; cluster: a master that must be named; aws: the service that starts the driver names it."""
    master = env.get("MARGIN_SPARK_MASTER", "")
    if environment == "aws":
        return ""
    if environment == "local":
        return master or "local[*]"
    if not master.startswith(("spark://", "k8s://", "yarn")):
        raise ValueError(f"MARGIN_SPARK_MASTER: not spark://, k8s:// or yarn although MARGIN_ENVIRONMENT=cluster, value {master!r}")
    if master.startswith("k8s://") and not env.get("MARGIN_SPARK_IMAGE"):
        raise ValueError("MARGIN_SPARK_IMAGE: needed for executors on Kubernetes, value ''")
    return master


def _address(env: Mapping[str, str], name: str) -> str | None:
    """host:port, or None where it is not set."""
    text = env.get(name) or None
    host, _, port = (text or "").rpartition(":")
    if text and not (host and port.isdecimal() and int(port) <= 65535):
        raise ValueError(f"{name}: not host:port, value {text!r}")
    return text


def _port(env: Mapping[str, str], name: str, default: int) -> int:
    text = env.get(name, str(default))
    if not text.isdecimal() or not 0 <= int(text) <= 65535:
        raise ValueError(f"{name}: not a port number, value {text!r}")
    return int(text)
