"""Settings: where the outside systems are. The only reader of the process environment; every value has an embedded default."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Settings:
    """Addresses and folders. Defaults suit one machine; production sets the MARGIN_* variables.

    data_folder: everything the local stack writes; bootstrap_servers: Kafka; store_url: the decision store (SQLAlchemy
    URL); aws_endpoint_url: None means AWS itself; tables: folder or URL of the Delta tables; jars: cached JVM packages;
    metrics_host, metrics_port: where the streams serve Prometheus, port 0 for nowhere;
    firm_email, firm_phone: who is told of the firm's limits.
    """

    data_folder: Path
    bootstrap_servers: str
    store_url: str
    tables: str
    jars: Path
    aws_endpoint_url: str | None
    aws_region: str
    sns_sender: str
    sendgrid_url: str
    sendgrid_api_key: str | None
    smtp_address: str | None
    mail_from: str
    firm_email: str | None
    firm_phone: str | None
    dashboard_host: str
    dashboard_port: int
    dashboard_token: str | None
    dagster_url: str | None
    metrics_host: str
    metrics_port: int

    @property
    def checkpoints(self) -> Path:
        return self.data_folder / "checkpoints"


def settings(environment: Mapping[str, str] | None = None) -> Settings:
    """The settings of this process. ValueError names a variable whose value cannot be used."""
    env = os.environ if environment is None else environment
    data = Path(env.get("MARGIN_DATA", ".margin")).absolute()
    cache = Path(env.get("XDG_CACHE_HOME") or Path(env.get("HOME", str(data))) / ".cache")
    return Settings(
        data_folder=data,
        bootstrap_servers=env.get("MARGIN_KAFKA", "127.0.0.1:9092"),
        store_url=env.get("MARGIN_STORE", f"sqlite:///{data / 'store.db'}"),
        tables=env.get("MARGIN_TABLES", str(data / "tables")),
        jars=Path(env.get("MARGIN_JARS", str(cache / "margin-platform" / "jars"))),
        aws_endpoint_url=env.get("MARGIN_AWS_ENDPOINT") or None,
        aws_region=env.get("AWS_DEFAULT_REGION", "us-east-1"),
        sns_sender=env.get("MARGIN_SNS_SENDER", "MARGIN"),
        sendgrid_url=env.get("MARGIN_SENDGRID_URL", "https://api.sendgrid.com"),
        sendgrid_api_key=env.get("MARGIN_SENDGRID_API_KEY") or None,
        smtp_address=env.get("MARGIN_SMTP") or None,
        mail_from=env.get("MARGIN_MAIL_FROM", "margin@broker.example"),
        firm_email=env.get("MARGIN_FIRM_EMAIL") or None,
        firm_phone=env.get("MARGIN_FIRM_PHONE") or None,
        dashboard_host=env.get("MARGIN_DASHBOARD_HOST", "127.0.0.1"),
        dashboard_port=_port(env, "MARGIN_DASHBOARD_PORT", 8050),
        dashboard_token=env.get("MARGIN_DASHBOARD_TOKEN") or None,
        dagster_url=env.get("MARGIN_DAGSTER_URL") or None,
        metrics_host=env.get("MARGIN_METRICS_HOST", "127.0.0.1"),
        metrics_port=_port(env, "MARGIN_METRICS_PORT", 0),
    )


def _port(env: Mapping[str, str], name: str, default: int) -> int:
    text = env.get(name, str(default))
    if not text.isdecimal() or not 0 <= int(text) <= 65535:
        raise ValueError(f"{name}: not a port number, value {text!r}")
    return int(text)
