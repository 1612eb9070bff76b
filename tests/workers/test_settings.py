"""Settings: a file, overridden by the environment, with errors that name the key."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from suites.errors import SettingsError
from workers.broker import socket_path
from workers.fleet import start_worker
from workers.settings import Settings, load_settings

ROOT = Path(__file__).parent.parent.parent


def test_the_shipped_file_holds_the_defaults() -> None:
    """Every value of settings.toml is the default, and every setting stands in it."""
    raw = tomllib.loads((ROOT / "settings.toml").read_text())
    assert load_settings(ROOT / "settings.toml", environ={}) == Settings(home=ROOT)
    assert {s: set(v) for s, v in raw.items()} == {
        name: set(field.annotation.model_fields)
        for name, field in Settings.model_fields.items()
        if name != "home"  # type: ignore[union-attr]
    }


def test_the_environment_overrides_the_file() -> None:
    """STILLHOUSE_SECTION__KEY wins over the file, numbers and lists included."""
    environ = {"STILLHOUSE_WORKER__CHUNK": "7", "STILLHOUSE_STORE__URL": "postgresql://x/y", "STILLHOUSE_PACKS__TRUST_HOOKS": "a,b"}
    settings = load_settings(ROOT / "settings.toml", environ=environ)
    assert (settings.worker.chunk, settings.store_url, settings.packs.trust_hooks) == (7, "postgresql://x/y", ("a", "b"))


@pytest.mark.parametrize(
    ("text", "environ", "named"),
    [
        ("[worker]\nchunck = 3", {}, "worker.chunck: .*Did you mean 'chunk'"),
        ("[worker]\nlease_s = -1", {}, "worker.lease_s"),
        ("[nonsense]", {}, "nonsense"),
        ("", {"STILLHOUSE_PRIVACY__DEIDENTIFY": "labl"}, "privacy.deidentify: .*'off', 'mask', 'label'"),
        ("[worker", {}, "not valid TOML"),
        ('[broker]\nurl = "kafka://x"', {}, "url is neither embedded, none, nor of one of these"),
        ("", {"STILLHOUSE_WORKER__CHUNK": "many"}, "worker.chunk"),
        ("", {"STILLHOUSE_WORKR__CHUNK": "1"}, "workr: .*Did you mean 'worker'"),
        ('[energy]\ncountry_iso_code = "DE"', {}, "energy: .*country_iso_code: no grid of 'DE' is known.*three capital letters"),
        ("", {"STILLHOUSE_ENERGY__WATTS_PER_CORE": "-1"}, "energy.watts_per_core"),
    ],
)
def test_a_bad_setting_is_named(tmp_path: Path, text: str, environ: dict[str, str], named: str) -> None:
    """A typo or a bad value is an error that names the key."""
    (tmp_path / "settings.toml").write_text(text)
    with pytest.raises(SettingsError, match=named):
        load_settings(tmp_path / "settings.toml", environ=environ)


def test_a_settings_file_that_is_none_is_named(tmp_path: Path) -> None:
    """A folder, or a path that leads nowhere, is an error that says what to do; an empty variable is none at all."""
    for path in (tmp_path, tmp_path / "none.toml"):
        with pytest.raises(SettingsError, match="STILLHOUSE_SETTINGS"):
            load_settings(environ={"STILLHOUSE_SETTINGS": str(path)})
    assert load_settings(environ={"STILLHOUSE_SETTINGS": ""}).home == ROOT


def test_a_deep_home_still_gives_a_usable_socket(tmp_path: Path) -> None:
    """A socket's path holds about 100 bytes; a deeper home gets a short private one."""
    deep = tmp_path / ("x" * 60) / ("y" * 60)
    deep.mkdir(parents=True)
    (deep / "settings.toml").write_text("")
    assert len(str(socket_path(load_settings(deep / "settings.toml", environ={})))) <= 100


def test_a_worker_finds_a_relative_settings_file(home: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """STILLHOUSE_SETTINGS relative to our folder leads the worker, which runs in another, to the same file: it misses the broker (1), not the file (2)."""
    monkeypatch.chdir(home.home.parent)
    monkeypatch.setenv("STILLHOUSE_SETTINGS", f"{home.home.name}/settings.toml")
    assert start_worker(load_settings(), 1).wait(timeout=60) == 1
