"""Who gets in, by what, and what every answer says to browsers."""

from __future__ import annotations

import re
from collections.abc import Callable
from html import unescape

import pytest
from starlette.testclient import TestClient

from workers.console import tokens as tokens_module
from workers.console.door import Hosts
from workers.console.headers import HEADERS
from workers.console.nav import PAGES
from workers.console.tokens import Sessions, Token, Viewer, tokens_of
from workers.settings import ConsoleSettings, Settings

from .conftest import ANALYST, COOKIE, REVIEWER, URL, bearer

Served = Callable[[Settings], TestClient]
PATHS = ["/", *(page.path for page in PAGES), "/jobs/live", "/jobs/1", "/documents/1", "/keys", "/students/compare", "/nowhere"]


@pytest.mark.parametrize("path", PATHS)
def test_without_a_token_nothing_is_shown(on_sqlite: Settings, served: Served, path: str) -> None:
    """Every page says what to do and nothing else; a wrong token, cookie or scheme is none."""
    client = served(on_sqlite)
    given = [{}, bearer("wrong"), {"Authorization": ANALYST}, {"Cookie": f"{COOKIE}=wrong"}, {"Cookie": f"{COOKIE}={ANALYST}"}]
    answers = [client.get(path, headers=headers) for headers in given] + [client.get(f"{path}?token=wrong")]
    assert {(answer.status_code, "set-cookie" in answer.headers) for answer in answers} == {(401, False)}
    assert all("python manage.py console" in answer.text and "/results" not in answer.text for answer in answers)


def test_a_link_opens_a_session(on_sqlite: Settings, served: Served) -> None:
    """The token goes from the address by a redirect and becomes a cookie that no script reads and no other site sends; it holds no token."""
    client = served(on_sqlite)
    answer = client.get(f"/results?pack=toy&token={ANALYST}&q=a%26b")
    assert (answer.status_code, answer.headers["location"]) == (303, "/results?pack=toy&q=a%26b")
    cookie = answer.headers["set-cookie"]
    assert re.fullmatch(rf"{COOKIE}=[\w-]{{43}}; HttpOnly; Path=/; SameSite=strict", cookie) and ANALYST not in cookie
    assert client.get("/jobs").status_code == 200  # the client brings the cookie


@pytest.mark.parametrize("path", ["//evil.example/", "///evil.example", "/\\evil.example", "/%5Cevil.example", "//evil.example/%2e%2e"])
def test_a_redirect_stays_here(on_sqlite: Settings, served: Served, path: str) -> None:
    """Whatever path a link with a token names, it leads to no other host."""
    client = served(on_sqlite)
    location = client.get(f"{URL}{path}?token={ANALYST}").headers["location"]
    assert re.match(r"/[^/\\]", location)


def test_signing_out_ends_the_session(on_sqlite: Settings, served: Served) -> None:
    """The cookie is worth nothing afterwards, to whoever kept it."""
    client = served(on_sqlite)
    client.get(f"/?token={ANALYST}")
    kept = {"Cookie": f"{COOKIE}={client.cookies[COOKIE]}"}
    assert client.get("/jobs").status_code == 200
    assert client.post("/sign-out", headers={"Origin": URL}).status_code == 303
    client.cookies.clear()
    assert client.get("/jobs", headers=kept).status_code == 401


def test_sessions_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """A session that nobody uses for long is over, and of too many the one that was longest unused; use keeps it."""
    sessions, now = Sessions([Token(Viewer(), "t", True)]), 0.0
    monkeypatch.setattr(tokens_module.time, "monotonic", lambda: now)
    monkeypatch.setattr(tokens_module, "SESSIONS", 2)
    first = sessions.open(Viewer("anna"))
    now = tokens_module.IDLE_S - 1
    assert sessions.viewer(first) == Viewer("anna")
    now = 2 * tokens_module.IDLE_S - 2
    assert sessions.viewer(first) == Viewer("anna")
    now = 3 * tokens_module.IDLE_S
    assert sessions.viewer(first) is None
    opened = [sessions.open(Viewer(name)) for name in "abc"]
    assert [sessions.viewer(session) for session in opened] == [None, Viewer("b"), Viewer("c")]


HOSTS = {
    "127.0.0.1": (
        ["127.0.0.1:8610", "127.0.0.1", "localhost:9", "LOCALHOST", "[::1]:8610", "127.0.0.2"],
        ["evil.example", "10.0.0.9:8610", "", "127.0.0.1.evil.example", "["],
    ),
    "::1": (["[::1]:8610", "localhost"], ["evil.example", "[2001:db8::1]"]),
    "0.0.0.0": (["10.0.0.9:8610", "127.0.0.1", "localhost", "[2001:db8::1]:8610"], ["evil.example", "10.0.0.9.evil.example"]),
    "console.example": (["console.example", "Console.Example:443"], ["evil.example", "127.0.0.1", "xconsole.example"]),
}


@pytest.mark.parametrize("served_as", HOSTS)
def test_names_that_are_not_the_consoles_are_refused(served_as: str) -> None:
    """A site that gives its own name the console's address (DNS rebinding) gets nothing."""
    good, bad = HOSTS[served_as]
    assert [Hosts(served_as).allows(host) for host in good] == [True] * len(good)
    assert [Hosts(served_as).allows(host) for host in bad] == [False] * len(bad)


def test_another_host_gets_nothing(on_sqlite: Settings, served: Served) -> None:
    """Neither a page nor a file, token or not; only whether the console is well is told."""
    client = served(on_sqlite)
    other = bearer() | {"Host": "evil.example"}
    assert {client.get(path, headers=other).status_code for path in ("/jobs", "/static/console.css", f"/?token={ANALYST}")} == {421}
    assert client.get("/healthz", headers={"Host": "evil.example"}).text == "ok\n"


SENDERS = {
    "the console": ({"Sec-Fetch-Site": "same-origin", "Origin": URL}, 200),
    "an old browser": ({"Origin": URL}, 200),
    "another site": ({"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}, 403),
    "a neighbour": ({"Sec-Fetch-Site": "same-site", "Origin": "http://127.0.0.1:9999"}, 403),
    "another port, old browser": ({"Origin": "http://127.0.0.1:9999"}, 403),
    "nowhere": ({"Origin": "null"}, 403),
    "nobody says": ({}, 403),
}


@pytest.mark.parametrize(("headers", "status"), SENDERS.values(), ids=SENDERS.keys())
def test_what_other_sites_send_is_refused(on_sqlite: Settings, served: Served, headers: dict[str, str], status: int) -> None:
    """A form of another site does nothing, even with the cookie; a program that brings a token needs no origin."""
    client = served(on_sqlite)
    client.get(f"/?token={ANALYST}")
    form = {"sql": "SELECT 1", "draft": "1"}
    assert client.post("/sql", data=form, headers=headers).status_code == status
    client.cookies.clear()
    assert client.post("/sql", data=form, headers=bearer()).status_code == 200


def test_bounds_of_a_request(on_sqlite: Settings, served: Served) -> None:
    """A body without a length or over the bound, and one that is no form, are refused with a page."""
    client = served(on_sqlite)
    too_large = client.post("/sql", content=b"a" * (300 << 10), headers=bearer())
    no_length = client.post("/sql", content=iter([b"sql=1"]), headers=bearer())
    no_form = client.post("/sql", json={"sql": "SELECT 1"}, headers=bearer())
    assert (too_large.status_code, no_length.status_code, no_form.status_code) == (413, 411, 400)
    assert all(answer.headers["content-type"].startswith("text/html") for answer in (too_large, no_length, no_form))
    assert client.post("/sql", data={"sql": "x" * 20_001, "draft": "1"}, headers=bearer()).status_code == 400


def test_every_answer_has_the_headers(on_sqlite: Settings, served: Served) -> None:
    """Pages, refusals, errors and files alike: no script or style but our files, no frame, no referrer, nothing kept but files."""
    client = served(on_sqlite)
    answers = [client.get(path, headers=bearer()) for path in [*PATHS, "/documents/1?from=x", "/jobs/one", "/static/none.css", "/healthz"]]
    answers += [client.get("/jobs"), client.post("/jobs", headers=bearer()), client.get("/jobs", headers=bearer() | {"Host": "x"})]
    for answer in answers:
        assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS, answer.url
    policy = HEADERS["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy and "http" not in policy and "*" not in policy
    style = client.get(re.search(r'href="(/static/console\.css[^"]*)"', client.get("/jobs").text)[1])  # type: ignore[index]
    assert (style.status_code, style.headers["cache-control"]) == (200, "public, max-age=31536000, immutable")


def test_a_fault_inside_is_not_told(on_sqlite: Settings, served: Served, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Neither the page nor the log holds its message, which may quote a text."""
    client = served(on_sqlite)

    def fails(*_: object, **__: object) -> None:
        raise ValueError("CANARY-7351")

    monkeypatch.setattr("workers.console.pulse.Pulse.beats", fails)
    answer = client.get("/jobs", headers=bearer())
    assert (answer.status_code, "CANARY" in answer.text + caplog.text, any(getattr(r, "error", "") == "ValueError" for r in caplog.records)) == (
        500,
        False,
        True,
    )
    assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS


def test_tokens_are_new_unless_they_are_set() -> None:
    """Long random ones at each start, shown; those of the settings stay and are not shown; a reviewer named twice has one."""
    first, second = (tokens_of(ConsoleSettings(), ["anna", "anna"]) for _ in range(2))
    assert [token.viewer for token in first] == [Viewer(), Viewer("anna")]
    assert len({token.text for token in (*first, *second)}) == 4 and all(len(token.text) == 43 and token.made for token in first)
    fixed = ConsoleSettings.model_validate({"token": "a" * 16, "reviewers": {"anna": "b" * 16}})
    found = tokens_of(fixed, ["anna", "ben"])
    assert [(token.viewer.reviewer, token.made) for token in found] == [(None, False), ("anna", False), ("ben", True)]
    assert "aaaa" not in repr(found) + repr(fixed)


def test_nobody_is_signed_in_as_another(on_sqlite: Settings, served: Served) -> None:
    """Each token shows who it stands for."""
    client = served(on_sqlite)
    shown = {token: unescape(client.get("/keys", headers=bearer(token)).text) for token in (ANALYST, REVIEWER)}
    assert "Reviewer anna" in shown[REVIEWER] and "Reviewer" not in shown[ANALYST]
