"""What a process is answerable for: counters of the processor shared out, estimates on stated figures, memory, accelerators, CodeCarbon's names."""

from __future__ import annotations

import ast
import json
import mmap
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import fields
from importlib import util
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pynvml
import pytest

from pipelines.carbon import WORLD, country_name, design_watts, grams_per_kwh
from pipelines.energy import JOULES_A_KWH, WATTS_A_GB, Meter, Rates, Spent, held_gb
from pipelines.powercap import Packages, busy_seconds, counters, joules_between, read_counters
from pipelines.watts import WATTS_OF_A_VCPU, watts_of_a_core
from suites.errors import SettingsError

ROOT = Path(__file__).parents[1]
NOWHERE = Path("/nonexistent")
WRAPS_AT = 262_143_328_850


def package(folder: Path, name: str = "intel-rapl:0", called: str = "package-0", wraps_at: int = WRAPS_AT) -> Path:
    """A counter as powercap shows it; gives its file."""
    (folder / name).mkdir(parents=True)
    (folder / name / "name").write_text(f"{called}\n")
    (folder / name / "max_energy_range_uj").write_text(f"{wraps_at}\n")
    file = folder / name / "energy_uj"
    file.write_text("0\n")
    return file


def stat(proc: Path, busy_s: float) -> None:
    """A machine that has worked so long, as /proc/stat tells it: a third in each of user, system and softirq; idle, iowait and steal are no work."""
    proc.mkdir(exist_ok=True)
    third = round(busy_s * 100 / 3)
    (proc / "stat").write_text(f"cpu  {third} 0 {third} 900000 5000 0 {round(busy_s * 100) - 2 * third} 4000 0 0\ncpu0 1 1 1 1\n")


def burn(cpu_s: float) -> None:
    until = time.process_time() + cpu_s
    while time.process_time() < until:
        sum(range(1000))


# --- the processor's counter


def test_packages_are_counted_and_nothing_twice(tmp_path: Path) -> None:
    """Each package counts once: not its parts, nor the whole board, which count it too; and a counter that began anew is seen."""
    file = package(tmp_path, wraps_at=9_999_999)
    package(tmp_path, "intel-rapl:0:0", "core")
    package(tmp_path, "intel-rapl:1", "psys")
    file.write_text("5000000\n")
    (found,) = counters(tmp_path)
    assert read_counters([found]) == [5_000_000]
    assert joules_between([found], [5_000_000], [7_500_000]) == pytest.approx(2.5)
    assert joules_between([found], [9_000_000], [1_000_000]) == pytest.approx(2.0)
    assert counters(tmp_path / "none") == []
    package(tmp_path, "intel-rapl:2", "package-1")
    assert len(counters(tmp_path)) == 2


def test_a_process_has_its_part_of_all_work(tmp_path: Path) -> None:
    """Joules times the process's processor seconds over the machine's; all of them at most, where ticks say that it worked more than the machine."""
    file, proc = package(tmp_path / "powercap"), tmp_path / "proc"
    stat(proc, 1000.0)
    packages = Packages(counters(tmp_path / "powercap"), proc)
    file.write_text("100000000\n")
    stat(proc, 1008.0)
    assert packages.share(2.0) == pytest.approx(25.0)
    file.write_text("140000000\n")
    assert packages.share(0.004) == pytest.approx(40.0)
    assert packages.share(0.0) == 0.0
    assert busy_seconds(proc) == pytest.approx(1008.0)


CHILD = """
import sys
from pathlib import Path
from pipelines.energy import JOULES_A_KWH, Meter
from tests.test_energy import burn

meter = Meter(powercap=Path(sys.argv[1]))
before = meter.total()
for line in sys.stdin:
    if line.strip() == "burn":
        burn(0.4)
    else:
        spent = meter.total() - before
        before = before + spent
        print(meter.method, spent.cpu_energy * JOULES_A_KWH, spent.cpu_seconds, flush=True)
        continue
    print("burned", flush=True)
"""


@pytest.fixture
def workers(tmp_path: Path) -> Iterator[list[subprocess.Popen[str]]]:
    """Four processes with a meter each, of one counter that the test moves."""
    package(tmp_path)
    command = [sys.executable, "-c", CHILD, str(tmp_path)]
    started = [subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    yield started
    for process in started:
        assert process.stdin
        process.stdin.close()
        process.wait(30)


def say(processes: list[subprocess.Popen[str]], what: str) -> list[list[str]]:
    """Tells all at once, and gives what each answers."""
    for process in processes:
        assert process.stdin
        process.stdin.write(f"{what}\n")
        process.stdin.flush()
    return [process.stdout.readline().split() for process in processes if process.stdout]


def test_processes_on_one_machine_add_up_to_it(workers: list[subprocess.Popen[str]], tmp_path: Path) -> None:
    """Four processes beside each other have together what their work is of the machine's, lap after lap, and never four times it."""
    say(workers, "lap")  # all have started
    file = tmp_path / "intel-rapl:0" / "energy_uj"
    for lap in range(1, 4):
        before = busy_seconds()
        say(workers, "burn")
        file.write_text(f"{lap * 80_000_000}\n")
        told = say(workers, "lap")
        all_work = busy_seconds() - before
        joules, own = [float(t[1]) for t in told], [float(t[2]) for t in told]
        assert {t[0] for t in told} == {"rapl"} and min(own) > 0.39
        # each process's lap begins and ends a moment apart from the others'
        assert sum(joules) == pytest.approx(80 * sum(own) / max(all_work, sum(own)), rel=0.15)
        assert sum(joules) < 80 * 1.1 and max(joules) < 40


def test_what_is_read_now_and_then_sees_every_new_beginning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A counter that begins anew several times within a run is counted whole, if progress is reported in between."""
    monkeypatch.setattr("pipelines.energy.LOOK_S", 0.0)
    file, proc = package(tmp_path / "powercap", wraps_at=9_999_999), tmp_path / "proc"
    stat(proc, 1.0)
    meter = Meter(powercap=tmp_path / "powercap", proc=proc)
    reports: list[int] = []
    look = meter.watched(lambda what, done, total: reports.append(done))
    for turn in range(1, 5):  # 6 J each, the counter holds 10; all of it this process's, for the machine has not worked else
        burn(0.01)
        file.write_text(f"{turn * 6_000_000 % 10_000_000}\n")
        look("train", turn, 4)
    assert reports == [1, 2, 3, 4]
    assert meter.total().cpu_energy * JOULES_A_KWH == pytest.approx(24.0)


def test_a_counter_that_is_taken_away_leaves_an_estimate(tmp_path: Path) -> None:
    """What was counted stays, what follows is estimated, and the method says so; nothing is raised."""
    file, proc = package(tmp_path / "powercap"), tmp_path / "proc"
    stat(proc, 1.0)
    meter = Meter(Rates(watts_per_core=5.0), powercap=tmp_path / "powercap", proc=proc)
    assert (meter.method, meter.cpu_power) == ("rapl", 0.0)
    burn(0.01)
    file.write_text("7000000\n")
    counted = meter.total()
    assert counted.cpu_energy * JOULES_A_KWH == pytest.approx(7.0)
    file.unlink()
    burn(0.05)
    spent = meter.total() - counted
    assert spent.cpu_energy * JOULES_A_KWH == pytest.approx(5.0 * spent.cpu_seconds)
    assert (meter.method, meter.cpu_power) == ("estimate", 5.0)


# --- the estimate


def test_the_estimate_is_arithmetic_on_stated_figures() -> None:
    """Processor seconds of all threads times watts; kWh times the grid's grams; energies add up, as laps do."""
    meter = Meter(Rates("DEU", 7.5), powercap=NOWHERE)
    before = meter.total()
    burn(0.1)
    between = meter.total()
    time.sleep(0.05)
    first, second = between - before, meter.total() - between
    assert 0.1 <= first.cpu_seconds < 0.3 and second.cpu_seconds < 0.02 and second.duration >= 0.05
    assert first.cpu_energy == pytest.approx(7.5 * first.cpu_seconds / 3.6e6)
    told = meter.told(first + second)
    assert told["energy_consumed"] == pytest.approx(sum(told[name] for name in ("cpu_energy", "gpu_energy", "ram_energy")))
    assert told["emissions"] == pytest.approx(told["energy_consumed"] * grams_per_kwh("DEU") / 1000)
    assert (told["method"], told["cpu_power"], told["country_iso_code"], told["gpu_energy"]) == ("estimate", 7.5, "DEU", 0.0)
    assert Meter(powercap=NOWHERE).country_iso_code == WORLD


EPYC, GOLD = "AMD EPYC 7763 64-Core Processor", "Intel(R) Xeon(R) Gold 6148 CPU @ 2.40GHz"


@pytest.mark.parametrize(
    ("told", "watts", "by"),
    [
        ({"model name": GOLD, "siblings": "40", "flags": "sse2"}, 150 / 40, "150 W by 40 threads"),
        ({"model name": "Intel(R) Core(TM) i7-8700 CPU @ 3.20GHz", "siblings": "12", "flags": ""}, 65 / 12, "65 W by 12 threads"),
        ({"model name": "11th Gen Intel(R) Core(TM) i7-1165G7 @ 2.80GHz", "siblings": "8"}, 28 / 8, "28 W by 8 threads"),
        ({"model name": "AMD Ryzen 7 PRO 4750U with Radeon Graphics", "siblings": "16"}, 15 / 16, "15 W by 16 threads"),
        # a virtual machine of two cores: the model names its own, or a vCPU's average stands
        ({"model name": EPYC, "siblings": "2", "flags": "sse2 hypervisor"}, 280 / 128, "280 W by 128 threads"),
        ({"model name": GOLD, "siblings": "2", "flags": "hypervisor"}, WATTS_OF_A_VCPU, "Cloud Carbon Footprint"),
        ({"model name": "AMD EPYC", "siblings": "2", "flags": "hypervisor"}, WATTS_OF_A_VCPU, "Cloud Carbon Footprint"),
        ({"model name": "Some Processor 3000", "siblings": "8", "flags": ""}, WATTS_OF_A_VCPU, "Cloud Carbon Footprint"),
        ({}, WATTS_OF_A_VCPU, "Cloud Carbon Footprint"),
    ],
)
def test_the_watts_of_a_core_come_from_its_model(told: dict[str, str], watts: float, by: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The package's design power shared by its threads, so that a machine busy on all of them takes just that; what the settings say comes first."""
    monkeypatch.setattr("pipelines.processor._told", lambda: told)
    found = watts_of_a_core()
    assert found.value == pytest.approx(watts, abs=1e-3) and by in found.source
    assert watts_of_a_core(9.0).value == 9.0


def test_the_tables_are_codecarbons(monkeypatch: pytest.MonkeyPatch) -> None:
    """Grams a kWh and watts are the figures of CodeCarbon's own files; a country without any has the world's, and one that is none is an error."""
    spec = util.find_spec("codecarbon")
    assert spec and spec.submodule_search_locations
    data = Path(spec.submodule_search_locations[0]) / "data"
    mix = json.loads((data / "private_infra" / "global_energy_mix.json").read_text(encoding="utf-8"))
    world = json.loads((data / "private_infra" / "carbon_intensity_per_source.json").read_text(encoding="utf-8"))["world_average"]
    assert grams_per_kwh() == grams_per_kwh(WORLD) == world == 475
    assert len(mix) > 200
    for code, row in mix.items():
        assert grams_per_kwh(code) == (row["carbon_intensity"] or world) and country_name(code) == row["country_name"]
    assert design_watts("AMD EPYC 9654 96-Core Processor") == 360 and design_watts("") is None
    with pytest.raises(SettingsError, match=r"no grid of 'DE' is known.*three capital letters"):
        Meter(Rates("DE"))


def test_the_names_are_codecarbons() -> None:
    """All that a meter tells has the name that it has in CodeCarbon's rows, but processor seconds and method, which CodeCarbon does not tell."""
    spec = util.find_spec("codecarbon")
    assert spec and spec.submodule_search_locations
    tree = ast.parse((Path(spec.submodule_search_locations[0]) / "output_methods" / "emissions_data.py").read_text(encoding="utf-8"))
    (row,) = (node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "EmissionsData")
    theirs = {node.target.id for node in row.body if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)}
    meter = Meter()
    assert meter.told(meter.total()).keys() - theirs == {"cpu_seconds", "method"}
    assert {f.name for f in fields(Spent)} - theirs == {"cpu_seconds"}


# --- memory

HOLDER = """
import mmap, sys
from pipelines.energy import held_gb

before = held_gb()
file = open(sys.argv[1], "rb")
mapped = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
sum(mapped[i] for i in range(0, len(mapped), 4096))
print("mapped", flush=True)
sys.stdin.readline()
print(held_gb() - before, flush=True)
sys.stdin.readline()
"""


def test_shared_pages_are_counted_once(tmp_path: Path) -> None:
    """Two processes that read the same mapped file hold half of it each."""
    (tmp_path / "weights").write_bytes(b"w" * (64 << 20))
    command = [sys.executable, "-c", HOLDER, str(tmp_path / "weights")]
    both = [subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert [process.stdout.readline() for process in both if process.stdout] == ["mapped\n"] * 2
    grown = [float(answer[0]) for answer in say(both, "")]
    for process in both:
        process.communicate("\n", timeout=30)
    assert sum(grown) == pytest.approx((64 << 20) / 1e9, rel=0.1) and min(grown) == pytest.approx(max(grown), rel=0.2)


def test_memory_is_watts_a_gigabyte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the process holds is looked at now and then; between two looks it is the mean of both. Where the kernel tells nothing, the most ever held."""
    monkeypatch.setattr("pipelines.energy.MEMORY_S", 0.0)
    (tmp_path / "self").mkdir()
    rollup = tmp_path / "self" / "smaps_rollup"
    rollup.write_text(f"55a862e54000-7ffe16705000 ---p 0 [rollup]\nRss: 9999999 kB\nPss: {2_000_000_000 // 1024} kB\nPss_Dirty: 1 kB\n")
    meter = Meter(powercap=NOWHERE, proc=tmp_path)
    rollup.write_text(f"Pss: {4_000_000_000 // 1024} kB\n")
    time.sleep(0.02)
    spent = meter.total()
    assert spent.ram_energy * JOULES_A_KWH == pytest.approx(3.0 * WATTS_A_GB * spent.duration, rel=1e-4)
    assert WATTS_A_GB == 0.375
    with mmap.mmap(-1, 1 << 20):
        assert held_gb(tmp_path / "none") > 0.005


# --- accelerators


class Nvml:
    """NVML, as nvidia-ml-py binds it, with two boards whose counters the test moves. It refuses once it is `lost`."""

    def __init__(self) -> None:
        self.millijoules = {"GPU-a": 1_000_000, "GPU-b": 5_000}
        self.lost = False

    def nvmlInit(self) -> None:
        """The driver is there."""

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> SimpleNamespace:
        if uuid not in self.millijoules:
            raise RuntimeError("Not Found")
        return SimpleNamespace(uuid=uuid)

    def nvmlDeviceGetName(self, handle: SimpleNamespace) -> str:
        return f"board {handle.uuid[-1]}"

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: SimpleNamespace) -> int:
        if self.lost:
            raise RuntimeError("GPU is lost")
        return self.millijoules[handle.uuid]


def test_accelerators_that_are_used_count_by_their_counters() -> None:
    """From when they are named on, in joules of their counters, beside processor and memory; one that refuses now is counted at the next call."""
    nvml, meter = Nvml(), Meter(powercap=NOWHERE)
    before = meter.total()
    nvml.millijoules["GPU-a"] += 999_000_000
    meter.add_accelerators(["GPU-a", "GPU-b"], nvml)
    meter.add_accelerators(["GPU-a", "GPU-b"], nvml)  # a teacher's training named them already
    nvml.millijoules["GPU-a"] += 30_000
    nvml.millijoules["GPU-b"] += 6_000
    first = meter.total() - before
    assert first.gpu_energy == pytest.approx(36 / JOULES_A_KWH)
    assert first.energy_consumed == pytest.approx(first.cpu_energy + first.gpu_energy + first.ram_energy)
    told = meter.told(first)
    assert (told["method"], told["gpu_model"]) == ("estimate+nvml", "board a, board b")
    nvml.lost = True
    nvml.millijoules["GPU-a"] += 4_000
    assert (meter.total() - before).gpu_energy == first.gpu_energy
    nvml.lost = False
    assert (meter.total() - before).gpu_energy == pytest.approx(40 / JOULES_A_KWH)


def test_without_accelerators_nvml_is_not_asked(caplog: pytest.LogCaptureFixture) -> None:
    """A training on the processor never touches NVML; where NVML cannot tell, the training goes on without and a line says so."""
    refuses: Any = SimpleNamespace()  # whatever is asked of it is an error
    meter = Meter(powercap=NOWHERE)
    meter.add_accelerators([], refuses)
    assert (meter.method, caplog.records) == ("estimate", [])
    meter.add_accelerators(["GPU-c"], Nvml())
    meter.add_accelerators(["GPU-a"], refuses)
    meter.add_accelerators(["GPU-00000000-0000-0000-0000-000000000000"])  # the real library: without a driver, or without such a board
    assert (meter.method, len(caplog.records)) == ("estimate", 3) and meter.total().gpu_energy == 0.0


def test_the_library_has_what_is_asked_of_it() -> None:
    """Each function that the one above stands in for is one of nvidia-ml-py's."""
    asked = [name for name in vars(Nvml) if name.startswith("nvml")]
    assert len(asked) == 4 and all(callable(getattr(pynvml, name)) for name in asked)
