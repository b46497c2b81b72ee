"""`margin topics`: create the topics of the contract on any broker, with the settings' login.

`margin up` does it for its own broker. A deployment runs it once a version, before its programs start.
"""

from __future__ import annotations

from typing import Annotated

import typer

from margin_platform.cli.broker import Bootstrap, Data, broker_of
from margin_platform.cli.output import echo, failed, print_json


def topics(
    bootstrap: Bootstrap = None,
    data: Data = None,
    replicas: Annotated[int, typer.Option(min=1, help="copies of each new topic")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Create the topics that are missing; those that exist keep their data and get today's settings."""
    from kafka.errors import KafkaError

    from margin_platform.kafka import topic_admin
    from margin_platform.kafka.broker_errors import BrokerUnreachable
    from margin_platform.settings import settings

    address = broker_of(bootstrap, data)
    try:
        created = topic_admin.create(address, replicas=replicas, security=settings().kafka.security)
    except (BrokerUnreachable, KafkaError) as error:
        raise failed(error) from error
    if as_json:
        print_json({"broker": address, "created": created})
    else:
        echo(f"{address}: {len(created)} topics created" + (f": {', '.join(created)}" if created else ""))


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command()(topics)
