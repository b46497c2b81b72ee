"""How this deployment proves itself to Kafka: one set of settings, turned into the options of each client.

kafka-python reads, librdkafka writes and feeds the dashboard, Spark's source runs in the JVM: each spells TLS
and SASL in its own way. AWS_MSK_IAM takes the credentials of AWS's own chain: kafka-python signs by itself,
librdkafka is given a signed token, the JVM needs the jar aws-msk-iam-auth (MARGIN_SPARK_JARS).
"""

from __future__ import annotations

import base64
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
IAM = "AWS_MSK_IAM"
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", IAM)
_TOKEN_SECONDS = 900  # the longest MSK accepts
_LOGIN = "MARGIN_KAFKA_USERNAME and MARGIN_KAFKA_PASSWORD"
_IAM_MODULE = "software.amazon.msk.auth.iam"
_JVM_MODULE = {
    "PLAIN": "org.apache.kafka.common.security.plain.PlainLoginModule",
    "SCRAM-SHA-256": "org.apache.kafka.common.security.scram.ScramLoginModule",
    "SCRAM-SHA-512": "org.apache.kafka.common.security.scram.ScramLoginModule",
}


def _check_certificates(file: Path) -> None:
    """Refuse a file without certificates: the clients would say only that no broker answers."""
    if not file.is_file():
        raise ValueError(f"MARGIN_KAFKA_CA_FILE: no such file, value {str(file)!r}")
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(file)
    except ssl.SSLError as error:
        raise ValueError(
            f"MARGIN_KAFKA_CA_FILE: holds no certificate in PEM form, value {str(file)!r}"
        ) from error


@dataclass(frozen=True)
class KafkaSecurity:
    """Protocol and login.

    ca_file: PEM of the authority that signed the brokers' certificates; None trusts the system's.

    ValueError names the setting that is missing or cannot be used. The password is in no repr.
    """

    protocol: str = "PLAINTEXT"
    mechanism: str | None = None
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    ca_file: Path | None = None
    region: str = "us-east-1"

    def __post_init__(self) -> None:
        if self.protocol not in PROTOCOLS:
            raise ValueError(
                f"MARGIN_KAFKA_SECURITY_PROTOCOL: not one of {', '.join(PROTOCOLS)}, value {self.protocol!r}"
            )
        if self.ca_file is not None:
            _check_certificates(self.ca_file)
        if not self.sasl:
            return
        if self.mechanism not in MECHANISMS:
            raise ValueError(
                f"MARGIN_KAFKA_SASL_MECHANISM: not one of {', '.join(MECHANISMS)}, value {self.mechanism!r}"
            )
        if self.mechanism == IAM and not self.tls:
            raise ValueError(f"MARGIN_KAFKA_SECURITY_PROTOCOL: {IAM} needs SASL_SSL, value {self.protocol!r}")
        if self.mechanism != IAM and not (self.username and self.password):
            raise ValueError(
                f"{_LOGIN}: both are needed where MARGIN_KAFKA_SECURITY_PROTOCOL={self.protocol}"
            )

    @property
    def tls(self) -> bool:
        return self.protocol.endswith("SSL")

    @property
    def sasl(self) -> bool:
        return self.protocol.startswith("SASL")

    def kafka_python(self) -> dict[str, object]:
        """Return the options of kafka-python's consumer and admin client."""
        options: dict[str, object] = {"security_protocol": self.protocol}
        if self.tls and self.ca_file is not None:
            options["ssl_cafile"] = str(self.ca_file)
        if self.sasl:
            options["sasl_mechanism"] = self.mechanism
            if self.mechanism != IAM:
                options |= {"sasl_plain_username": self.username, "sasl_plain_password": self.password}
        return options

    def librdkafka(self) -> dict[str, object]:
        """Return the options of confluent-kafka's producer and consumer."""
        options: dict[str, object] = {"security.protocol": self.protocol.lower()}
        if self.tls and self.ca_file is not None:
            options["ssl.ca.location"] = str(self.ca_file)
        if self.sasl and self.mechanism == IAM:
            options |= {"sasl.mechanism": "OAUTHBEARER", "oauth_cb": lambda _: iam_token(self.region)}
        elif self.sasl:
            options |= {
                "sasl.mechanism": self.mechanism,
                "sasl.username": self.username,
                "sasl.password": self.password,
            }
        return options

    def spark(self) -> dict[str, str]:
        """Return the options of Spark's Kafka source.

        The authority travels as text: executors elsewhere do not have the file.
        """
        if self.protocol == "PLAINTEXT":
            return {}
        options = {"kafka.security.protocol": self.protocol}
        if self.tls and self.ca_file is not None:
            options |= {
                "kafka.ssl.truststore.type": "PEM",
                "kafka.ssl.truststore.certificates": self.ca_file.read_text(encoding="ascii"),
            }
        if self.sasl and self.mechanism == IAM:
            options |= {
                "kafka.sasl.mechanism": IAM,
                "kafka.sasl.jaas.config": f"{_IAM_MODULE}.IAMLoginModule required;",
                "kafka.sasl.client.callback.handler.class": f"{_IAM_MODULE}.IAMClientCallbackHandler",
            }
        elif self.sasl:
            assert self.mechanism is not None
            login = f"username={_quoted(self.username or '')} password={_quoted(self.password or '')}"
            options |= {
                "kafka.sasl.mechanism": self.mechanism,
                "kafka.sasl.jaas.config": f"{_JVM_MODULE[self.mechanism]} required {login};",
            }
        return options

    def login_refused(self, answer: str) -> str:
        """Describe in one line a login the broker refused, naming what to look at."""
        what = "AWS's credential chain and the cluster's IAM policy" if self.mechanism == IAM else _LOGIN
        return f"refused the login ({_first_line(answer)}): check {what}"

    def tls_refused(self, answer: str) -> str:
        """Describe in one line a TLS handshake that failed."""
        return (
            f"did not pass the TLS handshake ({_first_line(answer)}): check MARGIN_KAFKA_CA_FILE and "
            "MARGIN_KAFKA_SECURITY_PROTOCOL"
        )


class _KafkaError(Protocol):
    """What is used of confluent_kafka's KafkaError, which is not imported here."""

    def name(self) -> str: ...
    def str(self) -> str: ...


class LoginErrors:
    """librdkafka's `error_cb`: it tries a refused login again and again in silence;
    this keeps the broker's answer.

    Callbacks are served by the client's `poll`.
    """

    def __init__(self, security: KafkaSecurity) -> None:
        self._security = security
        self.refusal: str | None = None

    def __call__(self, error: _KafkaError) -> None:
        if error.name() == "_AUTHENTICATION":
            self.refusal = self._security.login_refused(error.str())
        elif error.name() == "_SSL":
            self.refusal = self._security.tls_refused(error.str())

    def served(self, poll: Callable[[float], object]) -> str | None:
        """Run the callbacks waiting in a client; return why the broker refused, or None where it refused
        nothing."""
        poll(0)
        return self.refusal


def iam_token(region: str) -> tuple[str, float]:
    """Return MSK's OAUTHBEARER token, a signed address of its Connect action in base64url, and when it ends
    in epoch seconds.

    RuntimeError where AWS's chain has no credentials.
    """
    import botocore.session
    from botocore.auth import SigV4QueryAuth
    from botocore.awsrequest import AWSRequest

    credentials = botocore.session.Session().get_credentials()
    if credentials is None:
        raise RuntimeError(f"MARGIN_KAFKA_SASL_MECHANISM={IAM}: AWS's credential chain has no credentials")
    request = AWSRequest("GET", f"https://kafka.{region}.amazonaws.com/?Action=kafka-cluster%3AConnect")
    SigV4QueryAuth(credentials, "kafka-cluster", region, expires=_TOKEN_SECONDS).add_auth(request)
    signed = f"{request.url}&User-Agent=margin-platform"  # MSK requires it, outside the signature
    token = base64.urlsafe_b64encode(signed.encode()).rstrip(b"=").decode()
    return token, time.time() + _TOKEN_SECONDS


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _first_line(text: str) -> str:
    return text.strip().splitlines()[0] if text.strip() else "no reason given"
