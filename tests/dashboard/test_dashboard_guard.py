"""Who the page's server answers: token, host and origin, and what its answers allow a browser."""

from __future__ import annotations

import pytest
from starlette.testclient import TestClient

from margin_platform.dashboard.server.access import Guard
from margin_platform.dashboard.server.app import Options, build

# every question of the page about accounts, letters and the firm
ASKED = (
    "/api/account",
    "/api/arithmetic",
    "/api/concentration",
    "/api/failing",
    "/api/health",
    "/api/history",
    "/api/holders",
    "/api/openapi.json",
    "/api/shock",
    "/api/symbols",
    "/api/whatif",
    "/desk/calls",
    "/desk/letter",
    "/desk/letters",
)


@pytest.fixture(scope="module")
def outside() -> TestClient:
    """A dashboard bound to every address, with a token; its intake is not started (no lifespan)."""
    return TestClient(
        build(Options("127.0.0.1:1", host="0.0.0.0", token="right")),
        base_url="http://desk.example",
        follow_redirects=False,
    )


def test_an_address_that_is_not_loopback_needs_a_token() -> None:
    with pytest.raises(ValueError, match="token: required"):
        build(Options("127.0.0.1:1", host="0.0.0.0"))


@pytest.mark.parametrize(
    ("path", "headers", "expected"),
    [
        ("/api/symbols", {}, 401),
        ("/api/symbols", {"authorization": "Bearer wrong"}, 401),
        ("/api/symbols", {"authorization": "Bearer right"}, 200),
        ("/api/symbols", {"cookie": "margin_dashboard=forged"}, 401),
        ("/api/symbols", {"authorization": "Bearer right", "origin": "http://evil.example"}, 403),
        ("/api/symbols", {"authorization": "Bearer right", "origin": "http://desk.example"}, 200),
        ("/static/main.js", {}, 401),
        *((path, {}, 401) for path in ASKED),
        *((path, {"authorization": "Bearer right", "origin": "http://evil.example"}, 403) for path in ASKED),
    ],
)
def test_without_the_token_or_from_elsewhere_nothing_is_served(
    outside: TestClient, path: str, headers: dict[str, str], expected: int
) -> None:
    assert outside.get(path, headers=headers).status_code == expected


def test_every_question_of_the_page_is_among_those_that_need_the_token() -> None:
    """And answers no other host's name on loopback, where no token is needed."""
    routes = build(Options("127.0.0.1:1"))._app.routes  # type: ignore[attr-defined]
    mounted = {r.path: r for r in routes}
    asked = {r.path for r in routes if r.path.startswith("/api/")}
    asked |= {f"/desk{r.path}" for r in mounted["/desk"].routes if "GET" in r.methods}
    assert asked == set(ASKED)
    loopback = TestClient(build(Options("127.0.0.1:1")), base_url="http://rebound.example")
    assert {loopback.get(path).status_code for path in ASKED} == {421}


def test_the_token_leaves_the_address_bar_for_a_cookie(outside: TestClient) -> None:
    answer = outside.get("/", params={"token": "right"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "right" not in cookie
    assert outside.get("/api/symbols", headers={"cookie": cookie.split(";")[0]}).status_code == 200
    outside.cookies.clear()


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_the_dashboard_is_read_only(outside: TestClient, method: str) -> None:
    assert (
        outside.request(method, "/api/account", headers={"authorization": "Bearer right"}).status_code == 405
    )


def test_a_loopback_dashboard_refuses_a_foreign_host_name() -> None:
    """DNS rebinding: evil.example resolves to 127.0.0.1, the browser sends its name."""
    app = build(Options("127.0.0.1:1"))
    assert TestClient(app, base_url="http://evil.example").get("/api/symbols").status_code == 421
    # no host at all
    assert (
        TestClient(app, base_url="http://127.0.0.1").get("/api/symbols", headers={"host": "[::1"}).status_code
        == 421
    )
    assert TestClient(app, base_url="http://127.0.0.1:8050").get("/api/symbols").status_code == 200


def test_every_answer_carries_a_policy_without_inline_or_eval(outside: TestClient) -> None:
    policy = outside.get("/").headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert isinstance(outside.app, Guard)
