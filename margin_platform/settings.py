"""Settings: where the outside systems are.

The only reader of the process environment; every value has an embedded default. One declaration
gives a setting its variable, type, default and check. An empty variable counts as not set. pydantic reads the
variables of any mapping: the local stack also needs the settings of the processes that it has started.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from margin_platform.kafka_security import KafkaSecurity

STREAM_TABLES = (
    "volatility",
    "margin_snapshots",
    "firm_exposure",
)  # the streams' Delta tables, below `tables`
_NOT_OUTSIDE = ("MARGIN_JARS", "MARGIN_STACK", "MARGIN_DASHBOARD_TOKEN", "MARGIN_SPARK_SHARDS")


def _port(value: Any) -> int:
    if not str(value).isdecimal() or int(value) > 65535:
        raise ValueError("not a port number")
    return int(value)


def _address(text: str) -> str:
    host, _, port = text.rpartition(":")
    if not (host and port.isdecimal() and int(port) <= 65535):
        raise ValueError("not host:port")
    return text


def addresses(text: str) -> str:
    """Return a list of brokers as it is: host:port, several with commas. ValueError where one is none."""
    for one in text.split(","):
        _address(one.strip())
    return text


def _names(value: Any) -> tuple[str, ...]:
    return tuple(filter(None, value.split(","))) if isinstance(value, str) else value


Port = Annotated[int, BeforeValidator(_port)]
Address = Annotated[str, BeforeValidator(_address)]
Addresses = Annotated[str, BeforeValidator(addresses)]
Names = Annotated[tuple[str, ...], BeforeValidator(_names)]


class _Group(BaseModel):
    """Some settings. Secrets are in no repr."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Kafka(_Group):
    """The broker, and how to log in."""

    bootstrap_servers: Addresses = Field("127.0.0.1:9092", validation_alias="MARGIN_KAFKA")
    security: KafkaSecurity = KafkaSecurity()


class Spark(_Group):
    """Where the streams run (docs/operations.md, "Scale-out").

    master: empty where the submitter of the driver names it; shards: of the accounts; checkpoints: of the
    streams, on S3 or elsewhere; empty for the data folder; compiler: of the driver's JVM, full for long runs;
    none: quick where the driver is its own executor, else full.
    """

    environment: Literal["local", "cluster", "aws"] = Field("local", validation_alias="MARGIN_ENVIRONMENT")
    image: str | None = Field(None, validation_alias="MARGIN_SPARK_IMAGE")
    master: str = Field(validation_alias="MARGIN_SPARK_MASTER")
    driver_host: str = Field("127.0.0.1", validation_alias="MARGIN_SPARK_DRIVER_HOST")
    executor_memory: str = Field("512m", validation_alias="MARGIN_SPARK_EXECUTOR_MEMORY")
    jars: Names = Field((), validation_alias="MARGIN_SPARK_JARS")
    namespace: str = Field("default", validation_alias="MARGIN_SPARK_NAMESPACE")
    shards: int = Field(1, ge=1, validation_alias="MARGIN_SPARK_SHARDS")
    checkpoints: str = Field("", validation_alias="MARGIN_SPARK_CHECKPOINTS")
    compiler: Literal["quick", "full"] | None = Field(None, validation_alias="MARGIN_SPARK_COMPILER")

    @field_validator("master")
    @classmethod
    def _of_the_environment(cls, master: str, info: ValidationInfo) -> str:
        """Check the Spark master of an environment: local is this machine's cores; a cluster must name its
        master; aws leaves it to the service that starts the driver.
        """
        environment = info.data.get("environment")
        if environment == "aws":
            return ""
        if environment != "cluster":
            return master or "local[*,4]"  # a task is tried four times, as on a cluster
        if not master.startswith(("spark://", "k8s://", "yarn")):
            raise ValueError("not spark://, k8s:// or yarn although MARGIN_ENVIRONMENT=cluster")
        if master.startswith("k8s://") and not info.data.get("image"):
            raise ValueError("executors on Kubernetes need MARGIN_SPARK_IMAGE, which is not set")
        return master


class Emr(_Group):
    """The application of EMR Serverless that runs the streams where MARGIN_ENVIRONMENT is aws."""

    application: str | None = Field(None, validation_alias="MARGIN_EMR_APPLICATION")
    role: str | None = Field(None, validation_alias="MARGIN_EMR_ROLE")
    entry_point: str | None = Field(None, validation_alias="MARGIN_EMR_ENTRY_POINT")


class Aws(_Group):
    """endpoint_url: of every service, None for AWS itself; s3: of S3, where it is a store of its own."""

    endpoint_url: str | None = Field(None, validation_alias="MARGIN_AWS_ENDPOINT")
    s3: str | None = Field(None, validation_alias=AliasChoices("MARGIN_S3_ENDPOINT", "MARGIN_AWS_ENDPOINT"))
    region: str = Field("us-east-1", validation_alias="AWS_DEFAULT_REGION")


class Mail(_Group):
    """How mail leaves: by SendGrid where it has a key, else by the SMTP server.

    smtp_ca_file: of the authority that signed the server's certificate; None takes this machine's
    authorities.
    """

    sender: str = Field("margin@broker.example", validation_alias="MARGIN_MAIL_FROM")
    sendgrid_url: str = Field("https://api.sendgrid.com", validation_alias="MARGIN_SENDGRID_URL")
    sendgrid_api_key: str | None = Field(None, validation_alias="MARGIN_SENDGRID_API_KEY", repr=False)
    smtp_address: Address | None = Field(None, validation_alias="MARGIN_SMTP")
    smtp_user: str | None = Field(None, validation_alias="MARGIN_SMTP_USER")
    smtp_password: str | None = Field(None, validation_alias="MARGIN_SMTP_PASSWORD", repr=False)
    smtp_ca_file: Path | None = Field(None, validation_alias="MARGIN_SMTP_CA_FILE")

    @property
    def smtp_login(self) -> tuple[str, str] | None:
        return (self.smtp_user, self.smtp_password or "") if self.smtp_user else None


class Contacts(_Group):
    """firm_email, firm_phone: get the firm's limits, and the notices that reached no customer.

    desk: the margin desk that a notice names for questions, with a number or an address. firm_name,
    desk_phone and payment: what a notice says of who writes, where to call, and how and until when to pay.
    """

    firm_email: str | None = Field(None, validation_alias="MARGIN_FIRM_EMAIL")
    firm_phone: str | None = Field(None, validation_alias="MARGIN_FIRM_PHONE")
    desk: str | None = Field(None, validation_alias="MARGIN_DESK_CONTACT")
    firm_name: str | None = Field(None, validation_alias="MARGIN_FIRM_NAME")
    desk_phone: str | None = Field(None, validation_alias="MARGIN_DESK_PHONE")
    payment: str | None = Field(None, validation_alias="MARGIN_PAYMENT_INSTRUCTIONS")


class Dashboard(_Group):
    """Where the dashboard listens, and the token that a browser must show.

    desk_users: a JSON file of those who may act on calls, name to the sha256 of the token.
    """

    host: str = Field("127.0.0.1", validation_alias="MARGIN_DASHBOARD_HOST")
    port: Port = Field(8050, validation_alias="MARGIN_DASHBOARD_PORT")
    token: str | None = Field(None, validation_alias="MARGIN_DASHBOARD_TOKEN", repr=False)
    desk_users: Path | None = Field(None, validation_alias="MARGIN_DESK_USERS")


class Metrics(_Group):
    """Where the streams serve Prometheus; port 0 for nowhere."""

    host: str = Field("127.0.0.1", validation_alias="MARGIN_METRICS_HOST")
    port: Port = Field(0, validation_alias="MARGIN_METRICS_PORT")


class Audit(_Group):
    """The audit trail's key, and the bucket with S3 Object Lock that gets each anchor; None for no bucket.

    key: the private key's file where it is not the data folder's own; public_key: what `margin audit verify`
    trusts.
    """

    key: Path | None = Field(None, validation_alias="MARGIN_AUDIT_KEY")
    public_key: Path | None = Field(None, validation_alias="MARGIN_AUDIT_PUBLIC_KEY")
    bucket: str | None = Field(None, validation_alias="MARGIN_AUDIT_BUCKET")


class Settings(_Group):
    """Addresses and folders. Defaults suit one machine; production sets the MARGIN_* variables.

    data_folder: everything the local stack writes; store_url: the decision store (SQLAlchemy URL); tables:
    folder or URL of the Delta tables; jars: cached JVM packages; instruments: reference data in the form of
    margin_platform/market/reference/instruments.yaml, None for that file; policies: folder of the firm's
    policy files, None for the shipped ones; run_id: the Dagster run of the streams.
    """

    data_folder: Path = Field(validation_alias="MARGIN_DATA")
    store_url: str = Field(
        validation_alias="MARGIN_STORE",
        repr=False,
        default_factory=lambda known: f"sqlite:///{known['data_folder'] / 'store.db'}",
    )
    tables: str = Field(
        validation_alias="MARGIN_TABLES", default_factory=lambda known: str(known["data_folder"] / "tables")
    )
    jars: Path = Field(validation_alias="MARGIN_JARS")
    instruments: Path | None = Field(None, validation_alias="MARGIN_INSTRUMENTS")
    policies: Path | None = Field(
        validation_alias="MARGIN_POLICIES",
        default_factory=lambda known: next(known["data_folder"].glob("policies"), None),
    )
    dagster_url: str | None = Field(None, validation_alias="MARGIN_DAGSTER_URL")
    run_id: str | None = Field(None, validation_alias="MARGIN_RUN_ID")
    kafka: Kafka
    spark: Spark
    emr: Emr
    aws: Aws
    mail: Mail
    contacts: Contacts
    dashboard: Dashboard
    metrics: Metrics
    audit: Audit

    @property
    def audit_key(self) -> Path:
        """The private key that signs anchors; `.pub` beside it is its public one."""
        return self.audit.key or self.data_folder / "audit-key.pem"

    @property
    def environment(self) -> str:
        """Where the streams run."""
        return self.spark.environment

    @property
    def checkpoints(self) -> Path:
        return self.data_folder / "checkpoints"


QUERY_OF_WORKER = "MARGIN_QUERY"  # set by the driver, not by a deployment
_GROUPS = ("spark", "emr", "aws", "mail", "contacts", "dashboard", "metrics", "audit")


def settings(environment: Mapping[str, str] | None = None) -> Settings:
    """Return the settings of this process, or of an environment.

    ValueError names a variable whose value cannot be used.
    """
    given_by = os.environ if environment is None else environment
    env = {name: value for name, value in given_by.items() if value}
    data = Path(env.get("MARGIN_DATA", ".margin")).absolute()
    cache = Path(env.get("XDG_CACHE_HOME") or Path(env.get("HOME", str(data))) / ".cache")
    default = {"MARGIN_JARS": cache / "margin-platform" / "jars", "MARGIN_SPARK_MASTER": ""}
    given: dict[str, object] = default | env | {"MARGIN_DATA": data}
    try:
        kafka = given | {"security": _kafka_security(env)}
        return Settings.model_validate(given | dict.fromkeys(_GROUPS, given) | {"kafka": kafka})
    except ValidationError as refused:
        raise ValueError(_named(refused)) from None  # the whole of it would show every variable


def query_of_worker() -> str:
    """Return the query that this process is, or forks, Python workers of."""
    return os.environ.get(QUERY_OF_WORKER, "")


def stand_alone() -> None:
    """Forget each variable that leads this process, or what it starts, to something outside."""
    for name in [name for name in os.environ if name.startswith("MARGIN_") and name not in _NOT_OUTSIDE]:
        del os.environ[name]


def _named(refused: ValidationError) -> str:
    first = refused.errors()[0]
    context = first.get("ctx", {})
    words = str(context.get("expected", "")).replace("'", "").replace(" or ", ", ")  # 'a', 'b' or 'c'
    said = f"not one of {words}" if first["type"] == "literal_error" else first["msg"]
    reason = context.get("error") or said
    return f"{first['loc'][-1]}: {reason}, value {first['input']!r}"


def _kafka_security(env: Mapping[str, str]) -> KafkaSecurity:
    ca_file = env.get("MARGIN_KAFKA_CA_FILE")
    return KafkaSecurity(
        protocol=env.get("MARGIN_KAFKA_SECURITY_PROTOCOL", "PLAINTEXT"),
        mechanism=env.get("MARGIN_KAFKA_SASL_MECHANISM"),
        username=env.get("MARGIN_KAFKA_USERNAME"),
        password=env.get("MARGIN_KAFKA_PASSWORD"),
        ca_file=Path(ca_file) if ca_file else None,
        region=env.get("AWS_DEFAULT_REGION", "us-east-1"),
    )
