"""Who may import whom: the table of docs/architecture.md, walked by `ast`."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from suites.discover import Pack

if TYPE_CHECKING:
    from pipelines.student import Student

ROOT = Path(__file__).parents[1]
OURS = ("suites", "pipelines", "workers")
TRAINING = {"torch", "transformers", "sklearn", "matplotlib"}
SERVERS = {"celery", "kombu", "redis", "sqlalchemy", "alembic"}
# what a pack's hooks and their siblings may be made of: well-kept libraries of the domain
OF_DOMAINS = {"Crypto", "confusable_homoglyphs", "dateutil", "phonenumbers", "pint", "publicsuffixlist", "stdnum"}
PACK_CODE = frozenset((ROOT / "suites").glob("*/*.py"))
INFERENCE = (
    *("predict", "cache", "engine", "engines", "int8_engine", "int8_kernel", "openvino_engine", "processor", "encode", "heads", "lexicon", "rules"),
    *("rule_matcher", "rule_walk", "rule_words"),
    *("view", "rule_regex", "context", "panel", "shares", "joined", "following", "pairs", "policy"),
    *("student", "compress", "gate", "release", "sources", "progress", "skeleton", "signals"),
    *("energy", "powercap", "watts", "nvml", "carbon"),
)


@cache
def modules() -> dict[str, Path]:
    """Our modules by dotted name; a pack's code is no module of ours."""
    found = {"manage": ROOT / "manage.py"}
    for path in sorted(p for layer in OURS for p in (ROOT / layer).rglob("*.py") if p not in PACK_CODE):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def nodes(tree: ast.AST, *, top_level: bool) -> Iterator[ast.AST]:
    """The nodes that run; with `top_level` those that run at import: no function bodies, no TYPE_CHECKING blocks."""
    for child in ast.iter_child_nodes(tree):
        if top_level and isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if top_level and isinstance(child, ast.If) and isinstance(child.test, ast.Name) and child.test.id == "TYPE_CHECKING":
            continue
        yield child
        yield from nodes(child, top_level=top_level)


@cache
def imports(path: Path, *, top_level: bool = False) -> frozenset[str]:
    """Dotted names that a file imports; `from package import module` counts as the module."""
    found: set[str] = set()
    for node in nodes(ast.parse(path.read_text(encoding="utf-8")), top_level=top_level):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: a relative import"
            assert node.module
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                found.add(full if full in modules() else node.module)
    return frozenset(found)


def roots(path: Path) -> set[str]:
    return {name.split(".")[0] for name in imports(path)}


def of_layer(layer: str) -> list[str]:
    return [name for name in modules() if name == layer or name.startswith(layer + ".")]


def reached(name: str) -> set[str]:
    """Everything that importing one of our modules imports in turn."""
    seen: set[str] = set()
    rest = [name]
    while rest:
        if (module := rest.pop()) not in seen:
            seen.add(module)
            rest += imports(modules()[module], top_level=True) if module in modules() else ()
    return {module.split(".")[0] for module in seen}


@pytest.mark.parametrize("name", of_layer("suites"))
def test_the_contract_imports_only_the_standard_library_and_pydantic(name: str) -> None:
    """A contract module imports nothing but the standard library, pydantic and the contract."""
    assert roots(modules()[name]) <= sys.stdlib_module_names | {"pydantic", "suites"}


@pytest.mark.parametrize("path", sorted(PACK_CODE), ids=lambda p: f"{p.parent.name}/{p.name}")
def test_packs_import_nothing_of_ours(path: Path) -> None:
    """A pack's hooks import the standard library, libraries of their domain, and files beside them; nothing of ours."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    relative = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.level == 1]
    beside = {name for node in relative for name in ([node.module] if node.module else [alias.name for alias in node.names])}
    assert all((path.parent / f"{name}.py").exists() for name in beside)
    assert not any(isinstance(node, ast.ImportFrom) and node.level > 1 for node in ast.walk(tree))
    named = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    named |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module}
    assert {name.split(".")[0] for name in named} <= sys.stdlib_module_names | OF_DOMAINS


@pytest.mark.parametrize("name", of_layer("pipelines"))
def test_pipelines_know_no_workers(name: str) -> None:
    """A pipelines module imports neither workers nor a queue or a database."""
    assert roots(modules()[name]).isdisjoint({"workers", "manage", *SERVERS})


@pytest.mark.parametrize("name", [*of_layer("workers"), "manage"])
def test_workers_know_no_training_library(name: str) -> None:
    """A workers module never imports torch, transformers or scikit-learn, not even inside a function."""
    assert roots(modules()[name]).isdisjoint(TRAINING)


@pytest.mark.parametrize("name", INFERENCE)
def test_inference_modules_reach_no_training_library(name: str) -> None:
    """An inference module imports no training library, and none of the modules it imports does."""
    module = f"pipelines.{name}"
    assert roots(modules()[module]).isdisjoint(TRAINING)
    assert reached(module).isdisjoint(TRAINING)


def test_the_walk_sees_training_libraries() -> None:
    """The walk finds torch where it is: the tests above can fail."""
    assert "torch" in reached("pipelines.finetune")
    assert "sklearn" in roots(modules()["pipelines.baselines"])
    assert "spacy" in roots(modules()["pipelines.rules"])


def test_manage_imports_workers_alone() -> None:
    """manage.py imports the standard library and workers."""
    assert roots(ROOT / "manage.py") <= sys.stdlib_module_names | {"workers"}


def test_bench_alone_reaches_the_tests() -> None:
    """One verb imports from tests/, `bench`, and only when it runs: what it measures for a user is what docs/results is measured with."""
    assert [name for name, path in modules().items() if "tests" in roots(path)] == ["workers.verbs.bench"]
    assert "tests" not in reached("workers.verbs.bench")


def test_no_import_cycle() -> None:
    """Our modules can be put in an order in which each imports only earlier ones."""
    graph = {name: imports(path, top_level=True) & modules().keys() - {name} for name, path in modules().items()}
    order = list(TopologicalSorter(graph).static_order())
    assert sorted(order) == sorted(modules())


PREDICT = """
import sys
from pathlib import Path
from pipelines.predict import make_predictor
from pipelines.student import load_student
from suites.discover import find_pack
from suites.types import Document

packs, student = map(Path, sys.argv[1:])
predictor = make_predictor(find_pack("toy", [packs]), load_student(student))
(reading,) = predictor.predict([Document("1", "The storm near the zoo was awful under QRX123.")])
assert {"topic", "codes"} <= {f.task for f in reading.findings}, reading
print(sorted({"torch", "transformers", "sklearn"} & sys.modules.keys()))
"""


def test_a_prediction_loads_no_torch(toy_folder: Path, toy_student: tuple[Path, Student]) -> None:
    """A fresh process that reads a document has imported neither torch nor transformers."""
    command = [sys.executable, "-c", PREDICT, str(toy_folder), str(toy_student[1].folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr


def test_the_toy_pack_lies_outside_the_repository(toy_pack: Pack) -> None:
    """A pack works from any folder: the toy pack is not under suites/."""
    assert not toy_pack.folder.is_relative_to(ROOT)
