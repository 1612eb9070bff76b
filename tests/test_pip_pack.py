"""A pack in a pip package: built, installed, found, read with, removed; never run unless it is trusted."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

import pytest

from .test_tutorial import blocks

ROOT = Path(__file__).parents[1]
TITLE = "A pack in a pip package"
HOOKS = "def clean(text):\n    return text\n"


class Site:
    """An environment beside the tests' own: whatever that one has, and what is installed here."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.python = folder / "venv" / "bin" / "python"
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder / "venv")], check=True)
        (own,) = (folder / "venv").glob("lib/python*/site-packages")
        (own / "outer.pth").write_text(f"{sysconfig.get_path('purelib')}\n", encoding="utf-8")
        (folder / "settings.toml").write_text('[students]\nfolder = "students"\n', encoding="utf-8")

    def pip(self, *arguments: str) -> None:
        """Runs pip on this environment, without a network."""
        subprocess.run([sys.executable, "-m", "pip", "-qq", "--python", str(self.python), *arguments], check=True, timeout=300)

    def manage(self, *arguments: str, expected: int = 0, **settings: str) -> tuple[dict[str, object], str]:
        """Runs manage.py with --json; gives its answer and its words."""
        env = {**os.environ, "STILLHOUSE_SETTINGS": str(self.folder / "settings.toml"), **settings}
        command = [str(self.python), str(ROOT / "manage.py"), *arguments, "--json"]
        done = subprocess.run(command, capture_output=True, text=True, env=env, timeout=300, check=False)
        assert done.returncode == expected, done.stderr
        return json.loads(done.stdout), done.stderr

    def packs(self) -> dict[str, str]:
        """The packs that are found, with their origins."""
        data = self.manage("packs")[0]["data"]
        assert isinstance(data, dict)
        return {pack["pack"]: pack["origin"] for pack in data["packs"]}


@pytest.fixture(scope="module")
def toy(tiny_encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small pack as a newcomer's file gives it, but with an encoder that trains in a moment."""
    folder = tmp_path_factory.mktemp("own")
    rows = [
        {"text": f"The {thing} near the {place} was seen {n} times.", "label": place}
        for n in range(1, 7)
        for thing in ("dog", "cat", "storm", "fog")
        for place in ("zoo", "sky")
    ]
    (folder / "notes.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    command = [sys.executable, str(ROOT / "manage.py"), "new-pack", "housing", "--from", str(folder / "notes.jsonl"), "--folder", str(folder)]
    subprocess.run(command, check=True, capture_output=True)
    manifest = folder / "housing" / "pack.toml"
    student = f'\n[student]\nsource = "path:{tiny_encoder}"\nlayers = "all"\n\n[[task]]\n'
    manifest.write_text(manifest.read_text(encoding="utf-8").replace("\n[[task]]\n", student, 1), encoding="utf-8")
    return folder / "housing"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return Site(tmp_path_factory.mktemp("site"))


@pytest.fixture
def wheel(toy: Path, tmp_path: Path) -> Callable[..., Path]:
    """Builds the wheel of the docs' pyproject.toml around the toy pack; `change` may alter the pack's folder first."""

    def build(change: Callable[[Path], object] = lambda folder: None) -> Path:
        project = tmp_path / "housing-tickets"
        package = project / "housing_tickets"
        shutil.copytree(toy, package / "housing")
        # imported, it would leave a mark and fail
        (package / "__init__.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w').close()\nraise RuntimeError\n", encoding="utf-8")
        ((pyproject),) = [content for language, _, content in blocks(TITLE) if language == "toml"]
        (project / "pyproject.toml").write_text(pyproject, encoding="utf-8")
        change(package / "housing")
        command = [sys.executable, "-m", "pip", "-qq", "wheel", "--no-build-isolation", "--no-index", "--no-deps", "-w", str(tmp_path / "dist"), str(project)]
        subprocess.run(command, check=True, timeout=300)
        (built,) = (tmp_path / "dist").glob("*.whl")
        return built

    return build


@pytest.fixture
def installed(site: Site, wheel: Callable[..., Path], tmp_path: Path) -> object:
    """Installs the wheel for one test, and takes it out again; what the package would do when it is imported must not have happened."""

    def install(change: Callable[[Path], object] = lambda folder: None) -> Site:
        site.pip("install", "--no-index", "--no-deps", str(wheel(change)))
        return site

    yield install
    site.pip("uninstall", "-y", "housing-tickets")
    assert not (tmp_path / "ran").exists()


@pytest.mark.slow
def test_a_pip_pack_from_wheel_to_findings(installed: Callable[..., Site], tmp_path: Path) -> None:
    """The wheel of the docs' pyproject.toml is installed, found, checked, fine-tuned and read with; nothing of its code is imported."""
    site = installed()
    assert site.packs()["housing"] == "pip:housing"
    assert site.manage("check", "housing")[0]["data"] == {"housing": []}
    site.manage("finetune", "housing", "--epochs", "1")
    site.manage("release", "housing", "--experimental", expected=0)
    (tmp_path / "a.jsonl").write_text(json.dumps({"id": "a", "text": "The fog near the zoo was seen twice."}) + "\n", encoding="utf-8")
    data = site.manage("predict", "housing", str(tmp_path / "a.jsonl"))[0]["data"]
    assert isinstance(data, dict)
    ((finding,),) = [row["findings"] for row in data["documents"]]
    assert finding["task"] == "label" and finding["label"] in ("zoo", "sky")


def test_a_removed_pip_pack_is_gone(installed: Callable[..., Site], site: Site) -> None:
    """After `pip uninstall` the pack is not found, by name neither, and the others are what they were."""
    before = site.packs()
    assert "housing" not in before
    assert installed().packs().items() > before.items()
    site.pip("uninstall", "-y", "housing-tickets")
    assert site.packs() == before
    answer, words = site.manage("check", "housing", expected=2)
    assert answer["error"]["code"] == "no_pack" and "Known: " in words  # type: ignore[index]
    assert site.manage("check", "finance")[0]["data"] == {"finance": []}


def test_a_broken_pip_pack_is_set_aside(installed: Callable[..., Site], site: Site) -> None:
    """A package whose manifest cannot be read is listed as broken with its reason, `check` says what is wrong, and the others go on."""
    before = site.packs()
    installed(lambda folder: (folder / "pack.toml").write_text('name = "housing"\ntitel = "x"\n', encoding="utf-8"))
    data = site.manage("packs")[0]["data"]
    assert isinstance(data, dict)
    assert [(b["pack"], b["origin"]) for b in data["broken"]] == [("housing", "pip:housing")]
    assert "titel" in str(data["broken"]) or "version" in str(data["broken"])
    assert site.packs() == before
    problems = site.manage("check", "housing", expected=1)[0]["data"]["housing"]  # type: ignore[index]
    assert any("pack.toml:2: titel: unknown key. Did you mean 'title'?" in problem for problem in problems)
    assert site.manage("check", "finance")[0]["data"] == {"finance": []}


def test_hooks_of_a_pip_pack_wait_for_trust(installed: Callable[..., Site], tmp_path: Path) -> None:
    """Hooks that came by pip do not run, and the error names the setting; where it names the pack, they run."""
    mark = tmp_path / "hooked"
    site = installed(lambda folder: (folder / "hooks.py").write_text(f"open({str(mark)!r}, 'w').close()\n{HOOKS}", encoding="utf-8"))
    site.packs()
    problems = site.manage("check", "housing", expected=1)[0]["data"]["housing"]  # type: ignore[index]
    assert any("trust_hooks in settings.toml" in problem for problem in problems)
    answer, _ = site.manage("finetune", "housing", "--epochs", "1", expected=2)
    assert answer["error"]["code"] == "hooks_untrusted"  # type: ignore[index]
    assert not mark.exists()
    assert site.manage("check", "housing", STILLHOUSE_PACKS__TRUST_HOOKS="housing")[0]["data"] == {"housing": []}
    assert mark.exists()


def test_two_packs_of_one_name_name_both_places(installed: Callable[..., Site], toy: Path) -> None:
    """A pip pack and a folder of the same name are an error that says where both are."""
    site = installed()
    answer, words = site.manage("packs", expected=2, STILLHOUSE_PACKS__FOLDERS=str(toy.parent))
    assert answer["error"]["code"] == "pack_clash"  # type: ignore[index]
    assert str(toy) in words and "housing_tickets" in words
