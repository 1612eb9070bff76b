"""The path beside the queue: the same findings, at once, in process and over HTTP."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from sqlalchemy import text

from suites.discover import Pack
from workers.fleet import fleet
from workers.http import app
from workers.listen import listening
from workers.score import Scorer
from workers.settings import Settings
from workers.store import Store

from .conftest import ROOT, manage, manage_json, write_documents
from .test_journey import predicted_findings

TEXT = "The storm near the zoo was awful under QRX123."


@pytest.fixture
def served(home: Settings) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """The address of a running `serve toy`, and its process."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    env = {**os.environ, "STILLHOUSE_SETTINGS": str(home.home / "settings.toml")}
    command = [sys.executable, str(ROOT / "manage.py"), "serve", "toy", "--port", str(port)]
    process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(200):
            try:
                httpx.get(f"{url}/healthz")
                break
            except httpx.ConnectError:
                assert process.poll() is None, process.communicate()[0]
                time.sleep(0.1)
        yield url, process
    finally:
        process.terminate()
        process.wait(20)


def test_http_gives_what_the_queue_gives(home: Settings, tmp_path: Path, served: tuple[str, subprocess.Popen[str]]) -> None:
    """One by one or together, each document has the findings that `predict` gives, and the row that the results view shows after the queue."""
    url, _ = served
    path = write_documents(tmp_path / "docs.jsonl", 40)
    documents = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    expected = predicted_findings(home, path)
    manage("migrate", home=home)
    with fleet(home, 1):
        manage("submit", "toy", str(path), "--wait", home=home)
    store = Store(home.store_url)
    with store.reading() as connection:
        rows = {row["document"]: dict(row) for row in connection.execute(text("SELECT * FROM toy_results")).mappings()}
    store.close()
    together = httpx.post(f"{url}/score/many", json={"documents": documents}).json()["answers"]
    fields = ("task", "label", "score", "start", "end", "source", "number", "unit")
    for document, answer in zip(documents, together, strict=True):
        (alone,) = httpx.post(f"{url}/score", json=document).json()["answers"]
        assert alone == answer
        assert sorted((tuple(f.get(n) for n in fields) for f in answer["findings"]), key=repr) == expected[document["id"]]
        assert answer["row"] == {name: rows[document["id"]][name] for name in answer["row"]}


def test_no_text_comes_back_in_an_error_or_lies_in_the_log(served: tuple[str, subprocess.Popen[str]]) -> None:
    """Requests that are not as expected are told where and what, and neither the answer nor the log repeats what was sent."""
    url, process = served
    canary = "CANARY-7351"
    bad = [{"text": ""}, {"text": canary, "extra": canary}, {"text": "x", f"key {canary}": 1}, {"text": [canary]}, {"documents": canary}, {}]
    for body in bad:
        answer = httpx.post(f"{url}/score", json=body)
        assert answer.status_code == 422
        assert answer.json()["error"]["problems"]
        assert canary not in answer.text
    assert canary not in httpx.post(f"{url}/score", content=f'{{"text": "{canary}').text
    assert httpx.post(f"{url}/score?pack=nope", json={"text": canary}).status_code == 404
    failed = httpx.post(f"{url}/score", json={"text": canary * 100_000}).json()
    assert failed["answers"][0]["failure"]["code"] == "too_long"
    process.terminate()
    assert canary not in process.communicate(timeout=20)[0]


def test_bounds_of_a_request(served: tuple[str, subprocess.Popen[str]]) -> None:
    """A body without a length, or over the bound, is refused before it is read."""
    url, _ = served
    assert httpx.post(f"{url}/score", content=iter([b"{}"])).status_code == 411
    assert httpx.post(f"{url}/score", json={"text": "a" * (17 << 20)}).status_code == 413


@pytest.mark.anyio
async def test_the_loop_waits_for_no_other_request(home: Settings) -> None:
    """While a thread is being answered, other requests are: the loop never waits for the student."""
    scorer = Scorer.of(home, "toy")
    made = app({"toy": scorer})
    async with httpx.AsyncClient(transport=httpx.ASGITransport(made), base_url="http://x") as client:
        with scorer._lock:  # as a long text of another thread holds it
            asked = asyncio.create_task(client.post("/score", json={"text": TEXT}))
            await asyncio.sleep(0.1)
            assert (await asyncio.wait_for(client.get("/healthz"), 5)).status_code == 200
            assert not asked.done()
        assert (await asyncio.wait_for(asked, 30)).status_code == 200


def test_the_interface_describes_itself(served: tuple[str, subprocess.Popen[str]]) -> None:
    """/openapi.json names the paths and their bodies, /packs the columns of the row."""
    url, _ = served
    described = httpx.get(f"{url}/openapi.json").json()
    # a page of the library's would load scripts from elsewhere
    assert {httpx.get(f"{url}/{page}").status_code for page in ("docs", "redoc")} == {404}
    assert {"/score", "/score/many", "/packs", "/healthz"} <= described["paths"].keys()
    assert "text" in described["components"]["schemas"]["Asked"]["properties"]
    (pack,) = httpx.get(f"{url}/packs").json()
    assert "topic" in pack["columns"]


@pytest.mark.anyio
async def test_a_token_is_asked_for(home: Settings) -> None:
    """With a token nothing is answered without it."""
    made = app({"toy": Scorer.of(home, "toy")}, "s3cret")
    async with httpx.AsyncClient(transport=httpx.ASGITransport(made), base_url="http://x") as client:
        assert (await client.post("/score", json={"text": TEXT})).status_code == 401
        assert (await client.post("/score", json={"text": TEXT}, headers={"Authorization": "Bearer wrong"})).status_code == 401
        assert (await client.post("/score", json={"text": TEXT}, headers={"Authorization": "Bearer s3cret"})).status_code == 200


def test_serve_beyond_this_machine_wants_a_token(home: Settings) -> None:
    """Listening on another address without a token is refused with the remedy."""
    done = manage("serve", "toy", "--host", "0.0.0.0", home=home, check=False)
    assert (done.returncode, "STILLHOUSE_SCORE__TOKEN" in done.stderr) == (2, True)


@pytest.mark.anyio
async def test_every_refusal_has_one_form(home: Settings) -> None:
    """A wrong page, method, token, pack or kind of body is told by code and remedy, and never repeats what was sent."""
    made = app({"toy": Scorer.of(home, "toy")}, "s3cret")
    allowed = {"Authorization": "Bearer s3cret"}
    asked = {
        ("GET", "/nowhere", b"", "application/json"): (404, "not_found"),
        ("GET", "/score", b"", "application/json"): (405, "wrong_method"),
        ("POST", "/score", b'{"text": "QRX123"}', "text/plain"): (415, "no_json"),
        ("POST", "/score", b'{"text": "QRX123"}', ""): (415, "no_json"),
        ("POST", "/score", b'{"QRX123": 1}', "application/json"): (422, "bad_request"),
        ("POST", "/score", b'{"text": " \\n"}', "application/json"): (422, "bad_request"),
        ("POST", "/score?pack=toyy", b'{"text": "QRX123"}', "application/json"): (404, "not_found"),
    }
    async with httpx.AsyncClient(transport=httpx.ASGITransport(made), base_url="http://x") as client:
        answers = {key: await client.request(key[0], key[1], content=key[2], headers=allowed | ({"Content-Type": key[3]} if key[3] else {})) for key in asked}
        without = await client.post("/score", json={"text": "QRX123"})
    assert {key: (a.status_code, a.json()["error"]["code"]) for key, a in answers.items()} == asked
    assert (without.status_code, without.json()["error"]["code"], without.headers["www-authenticate"]) == (401, "no_token", "Bearer")
    assert not any("QRX123" in a.text for a in answers.values())


@pytest.mark.anyio
async def test_a_fault_of_the_reader_has_the_same_form(home: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its message, which may quote a text, is not in the answer."""

    def fails(self: Scorer, documents: object) -> None:
        raise OSError(28, "No space left", "QRX123")

    monkeypatch.setattr(Scorer, "score_now", fails)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app({"toy": Scorer.of(home, "toy")})), base_url="http://x") as client:
        answer = await client.post("/score", json={"text": TEXT})
    assert (answer.status_code, answer.json()["error"]["code"], "QRX123" in answer.text) == (500, "error", False)


def test_a_taken_port_is_told(home: Settings, served: tuple[str, subprocess.Popen[str]]) -> None:
    """A second server on one port ends at once, with the remedy; the first goes on."""
    url, _ = served
    done = manage("serve", "toy", "--port", url.rpartition(":")[2], home=home, check=False)
    assert (done.returncode, "--port" in done.stderr, "Traceback" in done.stderr) == (1, True, False)
    assert httpx.get(f"{url}/healthz").status_code == 200


@pytest.mark.parametrize("port", ["0", "99999", "-1", "x"])
def test_a_port_that_is_none_is_refused(home: Settings, port: str) -> None:
    """Before anything is loaded."""
    done = manage("serve", "toy", f"--port={port}", home=home, check=False)
    assert (done.returncode, "1 to 65535" in done.stderr) == (2, True)


def test_answers_do_not_wait_for_the_network() -> None:
    """Connections are taken without Nagle's algorithm: with it each answer takes 40 ms more."""
    with listening("127.0.0.1", 0) as server, socket.create_connection(server.getsockname()):
        taken, _ = server.accept()
        with taken:
            assert taken.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_server_ends_softly(served: tuple[str, subprocess.Popen[str]], signum: signal.Signals) -> None:
    """It stops by itself, without an error."""
    _, process = served
    process.send_signal(signum)
    assert process.wait(20) == 0
    assert "Traceback" not in process.communicate()[0]


def test_an_empty_text_is_no_text(home: Settings) -> None:
    """`score` says so, instead of reading nothing."""
    done = manage("score", "toy", " ", home=home, check=False)
    assert (done.returncode, "empty" in done.stderr) == (2, True)


def test_lines_are_answered_as_they_come(home: Settings, toy_pack: Pack) -> None:
    """`score` answers texts of the command line and lines of stdin, one JSON object each, with the row's columns."""
    (line,) = manage("score", "toy", TEXT, home=home).stdout.splitlines()
    assert json.loads(line)["row"].keys() == {c.name for c in toy_pack.manifest.column}
    env = {**os.environ, "STILLHOUSE_SETTINGS": str(home.home / "settings.toml")}
    command = [sys.executable, str(ROOT / "manage.py"), "score", "toy"]
    process = subprocess.Popen(command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdin and process.stdout
    for _ in range(3):
        process.stdin.write(TEXT + "\n")
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["findings"] == json.loads(line)["findings"]
    process.communicate()
    assert process.returncode == 0
    assert manage_json("score", "toy", TEXT, TEXT, home=home)[1]["id"] == "2"
