"""What ran a training: versions of the libraries and the machine, for the results and the bundle."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch

import backend
from backend.config import Settings
from backend.engine.arithmetic import choose_device, has_fast_bfloat16

LIBRARIES = ("torch", "torchvision", "timm", "numpy", "scikit-learn", "pillow")


def versions() -> dict[str, str]:
    """Versions of Sightglass, Python and the libraries that a result depends on."""
    found = {"sightglass": backend.__version__, "python": platform.python_version()}
    return found | {name: _version(name) for name in LIBRARIES}


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def environment(settings: Settings) -> dict[str, Any]:
    """The machine and how it computes; plain JSON."""
    device = choose_device()
    return {
        "device": device.type,
        "device_name": _device_name(device),
        "torch_threads": torch.get_num_threads(),
        "bfloat16": has_fast_bfloat16(device.type),
        "offline": settings.offline,
        "system": f"{platform.system()} {platform.machine()}",
        "versions": versions(),
    }


def devices() -> list[str]:
    """Everything that torch can compute on here, in words."""
    found = [f"processor: {_device_name(torch.device('cpu'))}, {torch.get_num_threads()} threads"]
    for number in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        facts = torch.cuda.get_device_properties(number)
        found.append(f"cuda:{number}: {facts.name}, {facts.total_memory / 1024**3:.1f} GiB")
    if torch.backends.mps.is_available():
        found.append("mps: Apple's graphics")
    return found


def knows_graphics_cards() -> bool:
    """Whether this torch was built to compute on graphics cards; many builds know processors only."""
    return torch.version.cuda is not None or torch.version.hip is not None or torch.backends.mps.is_built()


def _device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return str(torch.cuda.get_device_name(device))
    return str(torch.cpu.get_capabilities().get("cpu_name", platform.processor() or platform.machine()))
