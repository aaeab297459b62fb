"""Joules of this machine while something runs: the energy counters of NVIDIA boards or of x86 packages.

A window is as long as the counter needs: NVIDIA's is refreshed about every 100 ms, which is 2 % of 5 s and
0.4 % of 30 s; instantaneous power is polled beside it, and a disagreement of more than 5 % is flagged
[Yang et al. 2023, arXiv:2312.02741; Zeus, ml.energy]. Where there is no counter nothing is reported, never 0.
"""

import abc
import dataclasses
import statistics
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax

RAPL = Path("/sys/class/powercap")
_POLL = 0.1  # s
_DISAGREEMENT = 0.05
_MILLI, _MICRO = 1e-3, 1e-6


class AbstractMeter(abc.ABC):
    """A counter of energy, and what else its board says."""

    @abc.abstractmethod
    def joules(self) -> float:
        """Energy since some fixed time (J)."""

    @abc.abstractmethod
    def watts(self) -> float | None:
        """Power now (W); None where only energy is known."""

    @abc.abstractmethod
    def state(self) -> Mapping[str, Any]:
        """Clocks, limits and temperature, as far as the board says."""


class BoardMeter(AbstractMeter):
    """The first visible NVIDIA board, through nvidia-ml-py (`pynvml`)."""

    def __init__(self, nvml: Any, index: int = 0):
        nvml.nvmlInit()
        self._nvml, self._board = nvml, nvml.nvmlDeviceGetHandleByIndex(index)
        self.joules()  # a board without a counter says so here

    def joules(self) -> float:
        """Energy since the driver was loaded (J)."""
        return self._nvml.nvmlDeviceGetTotalEnergyConsumption(self._board) * _MILLI

    @property
    def in_use(self) -> bool:
        """Whether any process, this one or another, has a context on the board."""
        return bool(self._nvml.nvmlDeviceGetComputeRunningProcesses(self._board))

    def watts(self) -> float | None:
        """Instantaneous power, not the one-second mean that newer boards report by default (W)."""
        (field,) = self._nvml.nvmlDeviceGetFieldValues(self._board, [self._nvml.NVML_FI_DEV_POWER_INSTANT])
        if field.nvmlReturn != self._nvml.NVML_SUCCESS:
            return None
        return field.value.uiVal * _MILLI

    def state(self) -> Mapping[str, Any]:
        """Clocks (MHz), temperature (C), power limit (W), why clocks are held back, driver."""
        nvml, board = self._nvml, self._board
        return {
            "sm_mhz": nvml.nvmlDeviceGetClockInfo(board, nvml.NVML_CLOCK_SM),
            "memory_mhz": nvml.nvmlDeviceGetClockInfo(board, nvml.NVML_CLOCK_MEM),
            "celsius": nvml.nvmlDeviceGetTemperature(board, nvml.NVML_TEMPERATURE_GPU),
            "limit_w": nvml.nvmlDeviceGetEnforcedPowerLimit(board) * _MILLI,
            "throttle_reasons": nvml.nvmlDeviceGetCurrentClocksThrottleReasons(board),
            "driver": str(nvml.nvmlSystemGetDriverVersion()),
        }


class PackageMeter(AbstractMeter):
    """The packages of this machine, through the kernel's RAPL files; counters that wrap are unwrapped."""

    def __init__(self, folder: Path = RAPL):
        self._packages = [
            zone
            for zone in sorted(folder.glob("intel-rapl:*"))
            if zone.name.count(":") == 1 and (zone / "name").read_text().startswith("package")
        ]
        self._last = [self._read(zone, "energy_uj") for zone in self._packages]
        self._total, self._lock = 0.0, threading.Lock()  # polls come from a thread of their own
        if not self._packages:
            raise OSError(f"{folder}: no package counters")

    @staticmethod
    def _read(zone: Path, name: str) -> int:
        return int((zone / name).read_text())

    def joules(self) -> float:
        """Energy of all packages since this meter was made (J); read at least once per wrap, about a minute."""
        with self._lock:
            for i, zone in enumerate(self._packages):
                now = self._read(zone, "energy_uj")
                passed = now - self._last[i]
                self._total += passed if passed >= 0 else passed + self._read(zone, "max_energy_range_uj")
                self._last[i] = now
            return self._total * _MICRO

    def watts(self) -> float | None:
        """Nothing: there is only the counter."""
        self.joules()  # keeps up with a counter that wraps
        return None

    def state(self) -> Mapping[str, Any]:
        """How many packages are counted."""
        return {"packages": len(self._packages)}


def find_meter() -> AbstractMeter | None:
    """A meter of the default accelerator, or None: no library, no counter, no permission."""
    if jax.default_backend() == "cpu":
        try:
            return PackageMeter()
        except OSError:
            return None
    return _board_meter()


def _board_meter() -> BoardMeter | None:
    try:
        import pynvml  # pyright: ignore[reportMissingImports]
    except ImportError:
        return None
    try:
        return BoardMeter(pynvml)
    except pynvml.NVMLError:
        return None


@dataclasses.dataclass(frozen=True)
class Reading:
    """Mean power over windows of one activity."""

    watts: float  # median of the windows, by the counter
    instant_watts: float | None  # mean of the polls
    spread: float  # (largest - least window) / median
    seconds: float  # of all windows
    runs: int  # of the activity in all windows
    flagged: bool  # counter and polls disagree
    state: Mapping[str, Any]

    @property
    def joules_per_run(self) -> float:
        """Energy of one run of the activity (J)."""
        return self.watts * self.seconds / self.runs


def measure(
    meter: AbstractMeter,
    run: Callable[[], Any],
    window: float,
    repeats: int = 1,
    finish: Callable[[Any], Any] = jax.block_until_ready,
) -> Reading:
    """Power while `run` repeats for `window` seconds, several windows; `finish` waits for what it started."""
    finish(run())
    windows, polls, runs, total = [], [], 0, 0.0
    for _ in range(repeats):
        with _Polling(meter) as polled:
            start, before, count = time.perf_counter(), meter.joules(), 0
            while time.perf_counter() - start < window:
                finish(run())
                count += 1
            after, end = meter.joules(), time.perf_counter()
        windows.append((after - before) / (end - start))
        polls += polled.watts
        runs, total = runs + count, total + end - start
    return _reading(windows, polls, total, runs, meter.state())


def idle_reading(window: float, repeats: int) -> Reading | None:
    """Power of the first board while no process has a context on it; None without a board, or where one has."""
    meter = _board_meter()
    if meter is None or meter.in_use:
        return None
    return measure(meter, lambda: time.sleep(_POLL), window, repeats, _nothing)


def _nothing(_: Any) -> None:
    """Wait for nothing: to ask jax whether something is ready wakes the board."""


def _reading(
    windows: Sequence[float], polls: Sequence[float], total: float, runs: int, state: Mapping[str, Any]
) -> Reading:
    watts = statistics.median(windows)
    instant = statistics.fmean(polls) if polls else None
    apart = instant is not None and abs(instant - watts) > _DISAGREEMENT * watts
    spread = (max(windows) - min(windows)) / watts if watts else 0.0
    return Reading(watts, instant, spread, total, runs, apart, state)


class _Polling:
    """Power polled from a thread of its own while the body runs."""

    def __init__(self, meter: AbstractMeter):
        self._meter, self._done = meter, threading.Event()
        self._thread = threading.Thread(target=self._poll, daemon=True)
        self.watts: list[float] = []

    def __enter__(self) -> "_Polling":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _poll(self) -> None:
        while not self._done.wait(_POLL):
            now = self._meter.watts()
            if now is not None:
                self.watts.append(now)
