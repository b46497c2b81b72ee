"""Attacks of a page in a browser on Dagster's webserver:
each works on the bare one and is refused at the guard.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

import dagster as dg
import pytest
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import EmptyWorkspaceTarget
from dagster._daemon.asset_daemon import get_auto_materialize_paused, set_auto_materialize_paused
from dagster_webserver.app import create_app_from_workspace_process_context
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from margin_platform.orchestration.webserver import guarded

HERE = "http://127.0.0.1:3000"
PAUSE = "mutation { setAutoMaterializePaused(paused: true) }"
IS_PAUSED = "{ instance { autoMaterializePaused } }"
ELSEWHERE = {"origin": "https://evil.example"}
Build = Callable[..., Any]
BARE = create_app_from_workspace_process_context
GUARDED = guarded(BARE)


Serve = Callable[[Build], tuple[TestClient, dg.DagsterInstance]]


@pytest.fixture(scope="module")
def serve() -> Iterator[Serve]:
    """A client of Dagster's application as a builder makes it, and its instance, where nothing is paused."""
    with (
        dg.instance_for_test() as instance,
        WorkspaceProcessContext(instance, EmptyWorkspaceTarget()) as process,
    ):

        @functools.cache  # it builds the schema of GraphQL
        def application(build: Build) -> Any:
            return build(process)

        def begin(build: Build) -> tuple[TestClient, dg.DagsterInstance]:
            set_auto_materialize_paused(instance, False)
            return TestClient(application(build), base_url=HERE), instance

        yield begin


Attack = Callable[[TestClient], Any]
ATTACKS: dict[str, tuple[Attack, int]] = {
    "GET from a foreign page": (lambda c: c.get("/graphql", params={"query": PAUSE}, headers=ELSEWHERE), 403),
    "GET as an image": (
        lambda c: c.get("/graphql", params={"query": PAUSE}, headers={"sec-fetch-site": "cross-site"}),
        405,
    ),
    "GET under a foreign Host": (
        lambda c: c.get("/graphql", params={"query": PAUSE}, headers={"host": "evil.example"}),
        421,
    ),
    "JSON under a foreign Host": (
        lambda c: c.post("/graphql", json={"query": PAUSE}, headers={"host": "evil.example:3000"}),
        421,
    ),
    "JSON under a Host that begins as ours": (
        lambda c: c.post("/graphql", json={"query": PAUSE}, headers={"host": "127.0.0.1.evil.example"}),
        421,
    ),
    "JSON from a foreign page": (lambda c: c.post("/graphql", json={"query": PAUSE}, headers=ELSEWHERE), 403),
    "JSON from a page of another port": (
        lambda c: c.post("/graphql", json={"query": PAUSE}, headers={"origin": "http://127.0.0.1:8050"}),
        403,
    ),
    "JSON from a page without an origin": (
        lambda c: c.post("/graphql", json={"query": PAUSE}, headers={"origin": "null"}),
        403,
    ),
    "GraphQL as plain text that mentions JSON": (
        lambda c: c.post(
            "/graphql",
            content=f'{{"query": "{PAUSE}"}}',
            headers={"content-type": "text/plain; a=application/json"},
        ),
        415,
    ),
    "the query in the address, the body plain": (
        lambda c: c.post(
            "/graphql", params={"query": PAUSE}, content="", headers={"content-type": "text/plain"}
        ),
        415,
    ),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_works_on_the_bare_webserver_and_is_refused_at_the_guard(name: str, serve: Serve) -> None:
    attack, status = ATTACKS[name]
    client, instance = serve(BARE)
    attack(client)
    assert get_auto_materialize_paused(instance), "not an attack: the bare webserver does not fall for it"
    client, instance = serve(GUARDED)
    answer = attack(client)
    assert not get_auto_materialize_paused(instance)
    assert (answer.status_code, answer.text.startswith("Dagster's guard: ")) == (status, True)


def test_events_cannot_be_reported_by_a_foreign_page(serve: Serve) -> None:
    """A plain POST writes a materialization, by the address alone."""

    def report(client: TestClient) -> Any:
        return client.post("/report_asset_materialization/margin_snapshots", headers=ELSEWHERE).status_code

    assert report(serve(BARE)[0]) == 200
    assert report(serve(GUARDED)[0]) == 403


@pytest.mark.parametrize("headers", [ELSEWHERE, {"host": "evil.example"}], ids=["origin", "host"])
def test_a_socket_of_a_foreign_page_is_refused(headers: dict[str, str], serve: Serve) -> None:
    def connect(client: TestClient) -> str | None:
        given = {"host": "127.0.0.1:3000"} | headers
        with client.websocket_connect("/graphql", subprotocols=["graphql-ws"], headers=given) as socket:
            return socket.accepted_subprotocol

    assert connect(serve(BARE)[0]) == "graphql-ws"
    with pytest.raises(WebSocketDisconnect) as refused:
        connect(serve(GUARDED)[0])
    assert refused.value.code == 4403


def test_the_user_interface_and_programs_work_through_the_guard(serve: Serve) -> None:
    client, instance = serve(GUARDED)
    for path in ("/", "/runs", "/locations"):
        page = client.get(path, headers={"accept": "text/html"})
        assert (page.status_code, page.headers["x-frame-options"]) == (200, "SAMEORIGIN")
        assert "<script" in page.text
    assert client.get("/server_info").json()["dagster_version"] == dg.__version__
    asked = client.post(
        "/graphql", json={"query": IS_PAUSED}, headers={"origin": HERE, "sec-fetch-site": "same-origin"}
    )
    assert asked.json()["data"] == {"instance": {"autoMaterializePaused": False}}
    client.post("/graphql", json={"query": PAUSE})  # a program sends no Origin
    assert get_auto_materialize_paused(instance)
    own = {"host": "127.0.0.1:3000", "origin": HERE}
    with client.websocket_connect("/graphql", subprotocols=["graphql-ws"], headers=own) as socket:
        assert socket.accepted_subprotocol == "graphql-ws"


def test_a_link_from_the_dashboard_leads_to_a_run_and_a_frame_does_not(serve: Serve) -> None:
    client, _ = serve(GUARDED)
    link = {"sec-fetch-site": "same-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}
    assert client.get("/runs/1", headers=link).status_code == 200
    assert client.get("/runs/1", headers=link | {"sec-fetch-dest": "iframe"}).status_code == 403


def test_without_the_function_that_is_wrapped_it_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """A later dagster-webserver that builds its application otherwise must not be served bare."""
    from margin_platform.orchestration import webserver

    monkeypatch.delattr(webserver.cli, "create_app_from_workspace_process_context")
    with pytest.raises(AttributeError):
        webserver.main()
