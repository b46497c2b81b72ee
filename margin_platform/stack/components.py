"""The parts of the local stack as data:
what each runs, where it listens by default, and how it shows that it serves.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import yaml

from margin_platform.jars import resolve as jars
from margin_platform.settings import Settings
from margin_platform.stack import broker, ports, processes
from margin_platform.stack.keeping import record
from margin_platform.stack.processes import Identity

ROOT = Path(__file__).parents[2]
_CODE_MODULE = "margin_platform.definitions"
_LOCATION = "margin_platform"  # the location's name in workspace.yaml: Dagster keys sensor cursors by it
_PROBE_S = 2.0
# no process of the stack, but a run of its Dagster; the port of its figures is chosen with the others
STREAMS_RUN = "streams"
KEEPER = "keeper"  # starts the others again; see stack/keeping
STREAMS_PORT = 9464  # what exporters of OpenTelemetry use

Ports = dict[str, int]


@dataclass(frozen=True)
class Place:
    """Where a stack stands: its folder, the settings it runs with, and the port of each component that has
    one.
    """

    data: Path
    settings: Settings
    ports: Ports
    progress: jars.Progress

    def port(self, name: str) -> int:
        return self.ports[name]


Ready = Callable[[Place, Identity], bool]  # whether the process serves at this place


@dataclass(frozen=True)
class Component:
    """One process. ready(place, process) is asked until it is true; `port` None means that it serves nothing.

    after: components that must serve before this one is started.
    """

    name: str
    command: Callable[[Place], list[str]]
    ready: Ready
    port: int | None = None
    path: str = ""  # of the URL that is shown to people
    scheme: str = "http"
    ready_s: float = 90.0
    after: tuple[str, ...] = ()

    def url(self, port: int | None) -> str | None:
        if port is None:
            return None
        return (
            f"{ports.HOST}:{port}"
            if self.scheme == "kafka"
            else f"{self.scheme}://{ports.HOST}:{port}{self.path}"
        )


def _answers(name: str) -> Ready:
    """Build a check that a process of ours listens on the port: another program that took it first answers,
    too."""
    return lambda place, identity: _listens(identity, place.port(name)) and ports.accepts(place.port(name))


def _listens(identity: Identity, port: int) -> bool:
    process = identity.process()
    for member in processes.tree([process] if process else []):
        try:
            if any(
                c.status == psutil.CONN_LISTEN and c.laddr[1] == port for c in member.net_connections("tcp")
            ):
                return True
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return False


def _connected_to(name: str) -> Ready:
    """Build a check for a process that serves no port: it holds a connection to the component it works
    for."""

    def look(place: Place, identity: Identity) -> bool:
        process = identity.process()
        try:
            connections = process.net_connections("tcp") if process else []
        except psutil.NoSuchProcess:
            return False
        return any(
            c.status == psutil.CONN_ESTABLISHED and c.raddr[1] == place.port(name) for c in connections
        )

    return look


def _serves(name: str, path: str) -> Ready:
    def ask(place: Place, identity: Identity) -> bool:
        try:
            address = f"http://{ports.HOST}:{place.port(name)}{path}"
            return _listens(identity, place.port(name)) and httpx.get(address, timeout=_PROBE_S).is_success
        except httpx.HTTPError:
            return False

    return ask


_HEALTH = "{ instance { daemonHealth { allDaemonStatuses { required healthy lastHeartbeatTime } } } }"


def _daemon_beats(place: Place, identity: Identity) -> bool:
    """Report whether every required daemon has reported since its process started, as the webserver sees it;
    started counts without a webserver.

    What the process before it reported keeps looking healthy for a minute.
    """
    if "dagster-webserver" not in place.ports:
        return True
    try:
        answer = httpx.post(
            f"http://{ports.HOST}:{place.port('dagster-webserver')}/graphql",
            json={"query": _HEALTH},
            timeout=_PROBE_S * 5,
        )
        statuses = answer.json()["data"]["instance"]["daemonHealth"]["allDaemonStatuses"]
    except (httpx.HTTPError, ValueError, KeyError, TypeError):
        return False
    return all(
        status["healthy"] and status["lastHeartbeatTime"] >= identity.started
        for status in statuses
        if status["required"]
    )


def _python(*arguments: str) -> list[str]:
    return [sys.executable, *arguments]


def _program(name: str, *arguments: str) -> list[str]:
    """Return a program installed beside this Python, whether or not its folder is on the PATH."""
    return [str(Path(sys.executable).parent / name), *arguments]


def _code_server(place: Place) -> list[str]:
    return _program(
        "dagster",
        "api",
        "grpc",
        "--host",
        ports.HOST,
        "--port",
        str(place.port("dagster-code")),
        "--module-name",
        _CODE_MODULE,
        "--working-directory",
        str(ROOT),
        "--location-name",
        _LOCATION,
        "--heartbeat-timeout",
        "30",
    )


def _workspace(place: Place) -> str:
    """Write the workspace of one code server for webserver and daemon (each would start its own from
    workspace.yaml, 300 MB more).
    """
    path = place.data / "dagster" / "workspace.yaml"
    server = {"host": ports.HOST, "port": place.port("dagster-code"), "location_name": _LOCATION}
    path.write_text(yaml.safe_dump({"load_from": [{"grpc_server": server}]}), encoding="utf-8")
    return str(path)


def _webserver(place: Place) -> list[str]:
    where = ("--host", ports.HOST, "--port", str(place.port("dagster-webserver")))
    return _python("-m", "margin_platform.orchestration.webserver", *where, "--workspace", _workspace(place))


def _kafka(place: Place) -> list[str]:
    return broker.command(place.data / "kafka", place.port("kafka"), place.progress)


def _aws(place: Place) -> list[str]:
    return _python("-m", "margin_platform.stack.aws_endpoint", str(place.port("aws")))


def _keeps(place: Place, identity: Identity) -> bool:
    return record.load(place.data).pid == identity.pid


def _daemon(place: Place) -> list[str]:
    return _program("dagster-daemon", "run", "--workspace", _workspace(place))


BY_NAME: dict[str, Component] = {
    c.name: c
    for c in (
        Component("kafka", _kafka, _answers("kafka"), broker.DEFAULT_PORT, scheme="kafka"),
        Component("aws", _aws, _answers("aws"), 5566),
        Component("dagster-code", _code_server, _answers("dagster-code"), 4266, scheme="grpc"),
        Component("dagster-webserver", _webserver, _serves("dagster-webserver", "/server_info"), 3000),
        # At its first look the daemon repeats runs that a stop had interrupted; without a code server it
        # gives them up for good.
        Component("dagster-daemon", _daemon, _daemon_beats, after=("dagster-code",)),
        Component(
            "dashboard",
            lambda _: _python("-m", "margin_platform.cli", "dashboard"),
            _answers("dashboard"),
            8050,
        ),
        Component("venue", lambda _: _python("-m", "margin_platform.stack.venue"), _connected_to("kafka")),
        Component(KEEPER, lambda _: _python("-m", "margin_platform.stack.keeping.keeper"), _keeps),
    )
}

# A component is of no use without these.
NEEDS = {
    "dagster-webserver": ("dagster-code",),
    "dagster-daemon": ("dagster-code",),
    "dashboard": ("kafka",),
    "venue": ("kafka",),
}


def chosen(only: list[str] | None = None, without: list[str] | None = None) -> list[Component]:
    """Choose the components to run, in starting order, with what they need and the keeper.

    ValueError names one that does not exist.
    """
    for name in (*(only or ()), *(without or ())):
        if name not in BY_NAME:
            raise ValueError(f"component: not one of {', '.join(BY_NAME)}, value {name!r}")
    names = set(only or BY_NAME) - set(without or ())
    for name in list(names):
        for needed in NEEDS.get(name, ()):
            if needed in (without or ()):
                raise ValueError(f"without: {name} needs it, value {needed!r}")
            names.add(needed)
    if not names - {KEEPER}:
        raise ValueError(f"without: leaves nothing to start, value {','.join(without or ())!r}")
    if KEEPER not in (without or ()):
        names.add(KEEPER)
    return [component for name, component in BY_NAME.items() if name in names]


def environment(data: Path, settings: Settings, chosen_ports: Ports) -> dict[str, str]:
    """Return the variables of every process of a stack: its own addresses where it runs the part, the outer
    settings elsewhere.
    """
    local = {
        processes.STACK: str(data),
        "MARGIN_DATA": str(data),
        "MARGIN_STORE": settings.store_url,
        "MARGIN_TABLES": settings.tables,
        "MARGIN_JARS": str(settings.jars),
        "MARGIN_KAFKA": settings.kafka.bootstrap_servers,
        "DAGSTER_HOME": str(data / "dagster"),
        "AWS_DEFAULT_REGION": settings.aws.region,
    }
    if "dagster-code" in chosen_ports:
        from margin_platform.orchestration import dagster_home  # imports Dagster: only where it is run

        local |= dagster_home.ENVIRONMENT
    if "kafka" in chosen_ports:
        local["MARGIN_KAFKA"] = f"{ports.HOST}:{chosen_ports['kafka']}"
    if "aws" in chosen_ports:  # moto accepts any credentials, boto3 demands some
        endpoint = f"http://{ports.HOST}:{chosen_ports['aws']}"
        local |= {
            "MARGIN_AWS_ENDPOINT": endpoint,
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",  # pragma: allowlist secret
        }
    if "dagster-webserver" in chosen_ports:
        local["MARGIN_DAGSTER_URL"] = f"http://{ports.HOST}:{chosen_ports['dagster-webserver']}"
    if STREAMS_RUN in chosen_ports:
        local |= {"MARGIN_METRICS_HOST": ports.HOST, "MARGIN_METRICS_PORT": str(chosen_ports[STREAMS_RUN])}
    if "dashboard" in chosen_ports:
        local |= {
            "MARGIN_DASHBOARD_HOST": ports.HOST,
            "MARGIN_DASHBOARD_PORT": str(chosen_ports["dashboard"]),
        }
    return local
