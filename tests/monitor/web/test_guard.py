from __future__ import annotations

import socket
from http.cookies import SimpleCookie

import pytest
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient

from bistill.monitor.web.guard import HEADERS, Guard, is_own_name
from bistill.monitor.web.keys import Keys


@pytest.fixture
def keys() -> Keys:
    return Keys(8000)


@pytest.fixture
def client(keys: Keys) -> TestClient:
    return TestClient(Guard(PlainTextResponse("inside"), keys, "127.0.0.1"), base_url="http://127.0.0.1:8000")


def entered(client: TestClient, keys: Keys) -> TestClient:
    assert client.get("/", params={"token": keys.token}).text == "inside"
    return client


def test_without_a_key(client: TestClient, keys: Keys) -> None:
    for path in ("/", "/static/page.js", "/api/runs", "/?token=wrong", "/?token=%ED%82%A4", "/?token="):
        answer = client.get(path)
        assert (answer.status_code, "inside" in answer.text) == (401, False)
        assert "set-cookie" not in answer.headers
    client.cookies.set(keys.cookie_name, "invented")
    assert client.get("/").status_code == 401


def test_the_token_becomes_a_cookie_that_scripts_and_other_sites_do_not_have(client: TestClient, keys: Keys) -> None:
    token = keys.token
    answer = client.get("/", params={"token": token})
    assert answer.text == "inside"
    [cookie] = SimpleCookie(answer.headers["set-cookie"]).values()
    assert (cookie.key, cookie["path"], cookie["samesite"]) == (keys.cookie_name, "/", "Strict")
    assert cookie["httponly"] is True
    assert token not in cookie.value
    assert client.get("/api/runs").text == "inside"
    assert client.get("/", params={"token": token}).text == "inside"  # the same browser opens its address again


def test_a_spent_token_lets_no_second_browser_in(client: TestClient, keys: Keys) -> None:
    token = keys.token
    entered(client, keys)
    client.cookies.clear()
    assert client.get("/", params={"token": token}).status_code == 401


def test_the_token_opens_the_entrance_only(client: TestClient, keys: Keys) -> None:
    token = keys.token
    assert client.get("/api/runs", params={"token": token}).status_code == 401
    assert keys.token == token


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD", "TRACE"])
def test_other_methods(client: TestClient, keys: Keys, method: str) -> None:
    token = keys.token
    answers = [client.request(method, "/", params={"token": token})]
    answers.append(entered(client, keys).request(method, "/api/runs"))
    assert [(answer.status_code, answer.headers["allow"]) for answer in answers] == [(405, "GET")] * 2


def test_a_name_of_somebody_else_gets_nothing_and_spends_nothing(client: TestClient, keys: Keys) -> None:
    token = keys.token
    for host in ("evil.example", "evil.example:8000", "127.0.0.1.evil.example", "localhost.evil.example:8000", ""):
        assert client.get("/", params={"token": token}, headers={"host": host}).status_code == 403
    assert keys.token == token
    entered(client, keys)
    assert client.get("/api/runs", headers={"host": "evil.example:8000"}).status_code == 403
    assert client.get("/api/runs", headers={"host": "localhost:9000"}).text == "inside"  # through a tunnel


def test_every_answer_has_the_headers(client: TestClient, keys: Keys) -> None:
    answers = [client.get("/"), client.post("/"), client.get("/", headers={"host": "evil.example"})]
    answers.append(entered(client, keys).get("/"))
    assert [answer.status_code for answer in answers] == [401, 405, 403, 200]
    for answer in answers:
        assert {name: answer.headers[name] for name in HEADERS} == HEADERS
        assert answer.headers["cache-control"] == "no-store"
    policy = HEADERS["Content-Security-Policy"].split("; ")
    assert {"default-src 'none'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'"} <= set(policy)
    assert "unsafe" not in HEADERS["Content-Security-Policy"] and "*" not in HEADERS["Content-Security-Policy"]
    assert HEADERS["X-Content-Type-Options"] == "nosniff" and HEADERS["Referrer-Policy"] == "no-referrer"


@pytest.mark.parametrize(
    ("header", "host", "own"),
    [
        ("127.0.0.1:8000", "127.0.0.1", True),
        ("LOCALHOST", "127.0.0.1", True),
        ("[::1]:8000", "127.0.0.1", True),
        ("[::1]", "::1", True),
        ("192.168.1.5:8000", "127.0.0.1", False),
        ("192.168.1.5:8000", "192.168.1.5", True),
        ("machine.example:8000", "machine.example", True),
        ("other.example:8000", "machine.example", False),
        ("192.168.1.5:8000", "0.0.0.0", True),
        ("[2001:db8::1]:8000", "::", True),
        (f"{socket.gethostname()}:8000", "0.0.0.0", True),
        ("evil.example", "0.0.0.0", False),
        ("", "0.0.0.0", False),
        ("", "127.0.0.1", False),
        ("[evil.example]", "::", False),
    ],
)
def test_names_of_this_machine(header: str, host: str, own: bool) -> None:
    assert is_own_name(header, host) is own
