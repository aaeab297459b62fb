"""What a benchmark ran on below Python: driver, CUDA, board and clocks, as far as the machine tells.

Asked of nvidia-ml-py where it is installed, of the driver's own command otherwise; a processor has none of it.
"""

import importlib.metadata
import itertools
import subprocess
from typing import Any

import jax

_FIELDS = {
    "board": "name",
    "driver": "driver_version",
    "sm_mhz": "clocks.sm",
    "sm_max_mhz": "clocks.max.sm",
    "memory_mhz": "clocks.mem",
    "power_limit_w": "power.limit",
    "celsius": "temperature.gpu",
}
"""What is recorded, and what the driver's command calls it."""
_MILLI = 1e-3
_WAIT = 10.0  # s


def driver() -> dict[str, Any]:
    """Versions and state of the first board; on a processor the version of jaxlib alone."""
    found: dict[str, Any] = {"jaxlib": importlib.metadata.version("jaxlib")}
    if jax.default_backend() != "gpu":
        return found
    return found | {"cuda": cuda_version(jax.devices()[0].client.platform_version)} | board()


def cuda_version(platform: str) -> str | None:
    """`12.8` from what jax says of its platform, such as `PJRT C API / cuda 12080`; None if it does not say."""
    words = platform.split()
    number = next((after for word, after in itertools.pairwise(words) if word == "cuda"), "")
    if not number.isdigit():
        return None
    major, rest = divmod(int(number), 1000)
    return f"{major}.{rest // 10}"


def board() -> dict[str, Any]:
    """The first NVIDIA board; empty where neither library nor command is there."""
    try:
        import pynvml  # pyright: ignore[reportMissingImports]
    except ImportError:
        return from_command()
    try:
        return from_library(pynvml)
    except pynvml.NVMLError:
        return from_command()


def from_library(nvml: Any) -> dict[str, Any]:
    """The board as NVML describes it."""
    nvml.nvmlInit()
    first = nvml.nvmlDeviceGetHandleByIndex(0)
    return {
        "board": str(nvml.nvmlDeviceGetName(first)),
        "driver": str(nvml.nvmlSystemGetDriverVersion()),
        "sm_mhz": nvml.nvmlDeviceGetClockInfo(first, nvml.NVML_CLOCK_SM),
        "sm_max_mhz": nvml.nvmlDeviceGetMaxClockInfo(first, nvml.NVML_CLOCK_SM),
        "memory_mhz": nvml.nvmlDeviceGetClockInfo(first, nvml.NVML_CLOCK_MEM),
        "power_limit_w": nvml.nvmlDeviceGetEnforcedPowerLimit(first) * _MILLI,
        "celsius": nvml.nvmlDeviceGetTemperature(first, nvml.NVML_TEMPERATURE_GPU),
    }


def from_command() -> dict[str, Any]:
    """The board as `nvidia-smi` describes it."""
    command = ["nvidia-smi", f"--query-gpu={','.join(_FIELDS.values())}", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_WAIT, check=True)
    except (OSError, subprocess.SubprocessError):
        return {}
    return from_line(done.stdout.partition("\n")[0])


def from_line(line: str) -> dict[str, Any]:
    """One line of the command's answer; what the board does not tell is None."""
    return {name: _value(text.strip()) for name, text in zip(_FIELDS, line.split(","), strict=False)}


def _value(text: str) -> str | float | None:
    if not text or text.startswith("["):  # [N/A], [Not Supported]
        return None
    try:
        return float(text)
    except ValueError:
        return text
