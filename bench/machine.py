"""Tell on what machine, with which versions, and when figures were taken."""

import importlib.metadata
import os
import platform
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

PYTHON_PEERS = ("psutil", "pyroute2")


def describe() -> str:
    """Return one sentence: date, processor, memory, kernel and versions."""
    now = datetime.now(tz=UTC)
    versions = [f"Python {platform.python_version()}", iproute_version()]
    versions += [f"{name} {version}" for name in PYTHON_PEERS if (version := _of(name))]
    return (
        f"{now:%Y-%m-%d}: {os.cpu_count()} × {processor()}, "
        f"{memory_gib()} GiB, {platform.system()} {platform.release()}; "
        f"{', '.join(versions)}; portroom {_of('portroom') or '(source)'}."
    )


def processor() -> str:
    """Return the processor's name, or the machine type where there is none."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    names = [line.partition(":")[2] for line in lines if line.startswith("model name")]
    return " ".join(names[0].split()) if names else platform.machine()


def memory_gib() -> int:
    """Return the machine's memory, rounded."""
    return round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / (1 << 30))


def iproute_version() -> str:
    """Return the version of ``ss``."""
    if not shutil.which("ss"):
        return "no ss"
    done = subprocess.run(["ss", "-V"], capture_output=True, text=True, check=False)
    return done.stdout.strip().replace("ss utility, ", "").replace("-", " ", 1)


def _of(package: str) -> str:
    """Return the version of an installed package, or ""."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""
