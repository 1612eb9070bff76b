"""The settings: settings.toml, overridden by STILLHOUSE_SECTION__KEY. Read at two edges only: manage.py and the Celery app."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from suites.errors import SettingsError

PREFIX = "STILLHOUSE_"
FILE = Path(__file__).parent.parent / "settings.toml"


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class StoreSettings(_Section):
    url: str = "sqlite:///var/stillhouse.db"


class BrokerSettings(_Section):
    url: str = "embedded"


class StudentsSettings(_Section):
    folder: Path = Path("var/students")


class PacksSettings(_Section):
    folders: tuple[Path, ...] = ()
    trust_hooks: tuple[str, ...] = ()


class DataSettings(_Section):
    root: str = ""


class WorkerSettings(_Section):
    processes: int = Field(default=0, ge=0)
    chunk: int = Field(default=100, ge=1)
    lease_s: float = Field(default=60.0, gt=0)
    sweep_s: float = Field(default=5.0, gt=0)
    max_attempts: int = Field(default=4, ge=1)
    stall_s: float = Field(default=45.0, gt=0)


class IngestSettings(_Section):
    chunk: int = Field(default=500, ge=1)


class InferenceSettings(_Section):
    engine: Literal["auto", "int8", "bf16", "f32"] = "auto"
    cache: int = Field(default=50_000, ge=0)


class RuntimeSettings(_Section):
    folder: Path = Path("var")
    offline: bool = True


class Settings(_Section):
    """All settings. Paths are absolute: relative ones start at `home`, the folder of settings.toml."""

    home: Path
    store: StoreSettings = StoreSettings()
    broker: BrokerSettings = BrokerSettings()
    students: StudentsSettings = StudentsSettings()
    packs: PacksSettings = PacksSettings()
    data: DataSettings = DataSettings()
    worker: WorkerSettings = WorkerSettings()
    ingest: IngestSettings = IngestSettings()
    inference: InferenceSettings = InferenceSettings()
    runtime: RuntimeSettings = RuntimeSettings()

    @property
    def students_folder(self) -> Path:
        return self.home / self.students.folder

    @property
    def runtime_folder(self) -> Path:
        return self.home / self.runtime.folder

    @property
    def pack_folders(self) -> tuple[Path, ...]:
        return tuple(self.home / folder for folder in self.packs.folders)

    @property
    def data_root(self) -> Path | None:
        return self.home / self.data.root if self.data.root else None

    @property
    def store_url(self) -> str:
        """The store's URL, a relative SQLite file made absolute."""
        kind, _, name = self.store.url.partition(":///")
        if kind == "sqlite" and name and not name.startswith("/"):
            return f"sqlite:///{self.home / name}"
        return self.store.url

    @property
    def n_processes(self) -> int:
        return self.worker.processes or os.cpu_count() or 1


def load_settings(file: Path | None = None, environ: Mapping[str, str] = os.environ) -> Settings:
    """The effective settings. Raises SettingsError naming the key and where it came from."""
    path = file or Path(environ.get(f"{PREFIX}SETTINGS") or FILE)
    try:
        raw: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, IsADirectoryError):
        raise SettingsError(f"{path} not found, or a folder. Restore settings.toml, or set {PREFIX}SETTINGS to another file.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: not valid TOML: {error}") from None
    for name, value in environ.items():
        section, separator, key = name.removeprefix(PREFIX).lower().partition("__")
        if name.startswith(PREFIX) and separator:
            raw.setdefault(section, {})[key] = _parsed(value, Settings.model_fields.get(section), key)
    try:
        return Settings(home=path.resolve().parent, **raw)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise SettingsError(f"Setting {place}: {first['msg']}. See {path} and {PREFIX}* in the environment.") from None


def _parsed(value: str, section: Any, key: str) -> Any:
    """A variable's value; lists are given with commas."""
    fields = section.annotation.model_fields if section is not None else {}
    if key in fields and str(fields[key].annotation).startswith("tuple"):
        return [part for part in value.split(",") if part]
    return value
