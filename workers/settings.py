"""The settings: settings.toml, overridden by STILLHOUSE_SECTION__KEY. Read at two edges only: manage.py and the Celery app."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator, model_validator

from suites.errors import SettingsError, unknown

PREFIX = "STILLHOUSE_"
FILE = Path(__file__).parent.parent / "settings.toml"
BROKERS = ("redis://", "rediss://", "redis+socket://", "amqp://", "amqps://")
TLS_SCHEMES = ("rediss://", "amqps://")
# a console's token is a password that nobody types
TOKEN_CHARS = 16
# as long as the store's column `reviewer`
REVIEWER = re.compile(r"[A-Za-z0-9._@-]{1,80}")


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class StoreSettings(_Section):
    url: str = "sqlite:///var/stillhouse.db"
    ca_file: str = ""

    @model_validator(mode="after")
    def _tls_is_said_once(self) -> StoreSettings:
        if self.ca_file and not self.url.startswith("postgresql"):
            raise ValueError("ca_file is set, but url is not postgresql://. Change url, or leave ca_file out")
        if self.ca_file and any(name in self.url for name in ("sslmode=", "sslrootcert=")):
            raise ValueError("ca_file is set, and url holds sslmode or sslrootcert. Take them out of url: with a ca_file the server is always checked")
        return self


class BrokerSettings(_Section):
    url: str = "embedded"
    ca_file: str = ""

    @model_validator(mode="after")
    def _kind_is_known(self) -> BrokerSettings:
        if self.url not in ("embedded", "none") and not self.url.startswith(BROKERS):
            raise ValueError(f"url is neither embedded, none, nor of one of these: {', '.join(BROKERS)}")
        return self

    @model_validator(mode="after")
    def _tls_is_checked(self) -> BrokerSettings:
        if self.ca_file and not self.url.startswith(TLS_SCHEMES):
            raise ValueError("ca_file is set, but url is neither rediss:// nor amqps://: nothing would be encrypted. Change url, or leave ca_file out")
        if self.url.startswith(TLS_SCHEMES) and "ssl_" in self.url.partition("?")[2]:
            raise ValueError("url may hold no ssl_ options: they could switch the check of the server's certificate off. Give its authority as ca_file")
        return self


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
    poll_s: float = Field(default=1.0, gt=0)
    max_attempts: int = Field(default=4, ge=1)
    stall_s: float = Field(default=45.0, gt=0)
    memory_mb: int = Field(default=4096, ge=0)


class IngestSettings(_Section):
    chunk: int = Field(default=500, ge=1)
    same_id: Literal["version", "reject"] = "version"
    high_water: int = Field(default=2_000_000, ge=0)
    reserve_mb: int = Field(default=500, ge=0)


class InferenceSettings(_Section):
    engine: Literal["auto", "int8", "bf16", "f32"] = "auto"
    cache: int = Field(default=50_000, ge=0)


class PrivacySettings(_Section):
    encrypt: bool = False
    key_file: str = ""
    key: SecretStr = SecretStr("")
    keep_days: int = Field(default=0, ge=0)
    deidentify: Literal["off", "mask", "label", "hash", "shift"] = "off"  # a union would answer a slip with the name of its kind
    keep_meta: tuple[str, ...] = ("kind", "type_code", "status")


class ScoreSettings(_Section):
    token: SecretStr = SecretStr("")


class ConsoleSettings(_Section):
    token: SecretStr = SecretStr("")
    reviewers: tuple[tuple[str, SecretStr], ...] = ()  # pairs of name and token
    query_url: str = ""

    @field_validator("reviewers", mode="before")
    @classmethod
    def _pairs(cls, given: object) -> object:
        """From {NAME = TOKEN}, as the file has it, or NAME=TOKEN parts, as the environment has them."""
        if isinstance(given, Mapping):
            return tuple(given.items())
        if isinstance(given, list | tuple):
            return tuple(part.partition("=")[::2] if isinstance(part, str) else part for part in given)
        return given

    @model_validator(mode="after")
    def _tokens_tell_people_apart(self) -> ConsoleSettings:
        tokens = [token.get_secret_value() for _, token in self.reviewers]
        tokens += [given] if (given := self.token.get_secret_value()) else []
        if any(len(token) < TOKEN_CHARS for token in tokens):
            raise ValueError(f"a token of the console has {TOKEN_CHARS} characters at least")
        if len(set(tokens)) < len(tokens) or len({name for name, _ in self.reviewers}) < len(self.reviewers):
            raise ValueError("each reviewer has a name and a token of their own, which is not the analysts' token either")
        if any(not REVIEWER.fullmatch(name) for name, _ in self.reviewers):
            raise ValueError("reviewers: a name is up to 80 letters, digits and . _ @ -")
        if self.query_url and not self.query_url.startswith("postgresql"):
            raise ValueError("query_url is not postgresql://: a login with fewer rights is a matter of PostgreSQL alone. Leave it out")
        return self


class EnergySettings(_Section):
    country_iso_code: str = ""
    watts_per_core: float = Field(default=0.0, ge=0, le=1000)

    @model_validator(mode="after")
    def _country_is_known(self) -> EnergySettings:
        """Else its grid would be looked for when a worker has read its first documents."""
        if self.country_iso_code:
            from pipelines.carbon import grams_per_kwh

            try:
                grams_per_kwh(self.country_iso_code)
            except SettingsError as error:
                raise ValueError(f"country_iso_code: {error.message.rstrip('.')}") from None
        return self


class MetricsSettings(_Section):
    token: SecretStr = SecretStr("")


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
    privacy: PrivacySettings = PrivacySettings()
    score: ScoreSettings = ScoreSettings()
    energy: EnergySettings = EnergySettings()
    metrics: MetricsSettings = MetricsSettings()
    console: ConsoleSettings = ConsoleSettings()
    runtime: RuntimeSettings = RuntimeSettings()

    @model_validator(mode="after")
    def _ca_files_are_there(self) -> Settings:
        """Else the first connection would fail, with an error that names no setting."""
        for name, file in (("store", self.store.ca_file), ("broker", self.broker.ca_file)):
            if file and not (self.home / file).is_file():
                raise ValueError(f"{name}.ca_file: {self.home / file} not found. Expected a PEM file with the certificates of authorities")
        return self

    @property
    def students_folder(self) -> Path:
        return self.home / self.students.folder

    @property
    def runtime_folder(self) -> Path:
        return self.home / self.runtime.folder

    @property
    def key_file(self) -> Path | None:
        """The file that holds the master key; None: none is named."""
        return self.home / self.privacy.key_file if self.privacy.key_file else None

    @property
    def pack_folders(self) -> tuple[Path, ...]:
        return tuple(self.home / folder for folder in self.packs.folders)

    @property
    def data_root(self) -> Path | None:
        return self.home / self.data.root if self.data.root else None

    @property
    def store_url(self) -> str:
        """The store's URL, a relative SQLite file made absolute; with a `ca_file` the server's certificate and name are checked."""
        kind, _, name = self.store.url.partition(":///")
        if kind == "sqlite" and name and not name.startswith("/"):
            return f"sqlite:///{self.home / name}"
        if not self.store.ca_file:
            return self.store.url
        joint = "&" if "?" in self.store.url else "?"
        return f"{self.store.url}{joint}sslmode=verify-full&sslrootcert={quote(str(self.home / self.store.ca_file))}"

    @property
    def broker_ca_file(self) -> Path | None:
        """The authorities that the broker's certificate may come from; None: those of the system."""
        return self.home / self.broker.ca_file if self.broker.ca_file else None

    @property
    def query_url(self) -> str:
        """The URL by which the console reads all but texts: an analyst's login where one is set, else the store's own."""
        if not self.console.query_url:
            return self.store_url
        with_login = StoreSettings(url=self.console.query_url, ca_file=self.store.ca_file)
        return self.model_copy(update={"store": with_login}).store_url

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
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}. Let this user read it, or set {PREFIX}SETTINGS to another file.") from None
    except (ValueError, RecursionError) as error:  # TOMLDecodeError, UnicodeDecodeError, an integer of too many digits, and nesting without end
        raise SettingsError(f"{path}: not valid TOML: {error}") from None
    _require_sections(raw, str(path))
    if raw.get("privacy", {}).get("key"):
        raise SettingsError(f"{path}: privacy.key: the master key does not lie in the settings. Give a key_file, or {PREFIX}PRIVACY__KEY in the environment.")
    for name, value in environ.items():
        section, separator, key = name.removeprefix(PREFIX).lower().partition("__")
        if name.startswith(PREFIX) and separator:
            _require_sections({section: {}}, name)
            raw.setdefault(section, {})[key] = _parsed(value, Settings.model_fields.get(section), key)
    try:
        return Settings(home=path.resolve().parent, **raw)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            of: Any = Settings.model_fields[str(first["loc"][0])].annotation if len(first["loc"]) > 1 else Settings
            known = set(getattr(of, "model_fields", ())) - {"home"}
            raise SettingsError(f"Setting {place}: {unknown('setting', str(first['loc'][-1]), known)} See {path} and {PREFIX}* in the environment.") from None
        raise SettingsError(f"Setting {place}: {first['msg']}. See {path} and {PREFIX}* in the environment.") from None


def _require_sections(raw: Mapping[str, object], where: str) -> None:
    """Raises SettingsError where a section is none, or is `home`, which is no setting."""
    for section, values in raw.items():
        if section == "home" or not isinstance(values, dict):
            raise SettingsError(f"{where}: Setting {section[:40]}: not a section. Settings stand in sections, as [store] url; settings.toml holds them all.")


def _parsed(value: str, section: Any, key: str) -> Any:
    """A variable's value; lists are given with commas."""
    fields = section.annotation.model_fields if section is not None else {}
    if key in fields and str(fields[key].annotation).startswith("tuple"):
        return [part.strip() for part in value.split(",") if part.strip()]
    return value
