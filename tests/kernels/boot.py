"""Boot one kernel, wait until it ends, and take what it found."""

from __future__ import annotations

import base64
import io
import shutil
import subprocess
import tarfile
import time
from pathlib import Path
from typing import NamedTuple

QEMU = "qemu-system-x86_64"

MEMORY_MIB = 1536
"""Some 200 MiB are the first file system; the rest is for tests with many sockets."""

LIMIT_S = 1800.0
"""A guest that has not ended by then is ended."""

COMMAND_LINE = (
    "console=ttyS0 quiet panic=-1 mitigations=off random.trust_cpu=on no_timer_check rdinit=/init "
    "tsc=unstable clocksource=hpet"
)
"""
``panic=-1`` ends the guest at once; ``no_timer_check`` keeps it from doing so where a busy
host lets a tick wait. An emulated TSC that was measured meanwhile makes a clock that runs
many times too fast, and tests of time worthless: the HPET needs no measuring. The others
make an emulated guest faster.
"""


_RUNNING: set[subprocess.Popen[bytes]] = set()


class Guest(NamedTuple):
    """One guest: what it boots with, and where its results go."""

    kernel: Path
    archives: tuple[Path, ...]
    job: str
    settings: str
    results: Path


class Ended(NamedTuple):
    """How a guest ended: whether it sent anything, after how long, and the console's last words."""

    sent: bool
    seconds: float
    last_words: str


def boot(guest: Guest) -> Ended:
    """
    Boot a guest, wait for its end, and unpack what it found into its folder of results.

    The console is left there as ``console.txt``.

    Raises:
        FileNotFoundError: There is no qemu.
    """
    shutil.rmtree(guest.results, ignore_errors=True)
    guest.results.mkdir(parents=True)
    initial, console, sent = (guest.results / name for name in ("initrd", "console.txt", "sent"))
    with initial.open("wb") as file:
        for archive in guest.archives:
            file.write(archive.read_bytes())
    begun = time.monotonic()
    try:
        _run(guest, initial, console, sent)
    finally:
        initial.unlink()
    arrived = _unpack(sent, guest.results)
    words = console.read_text("utf-8", "replace") if console.exists() else ""
    return Ended(arrived, time.monotonic() - begun, words[-2000:])


def _run(guest: Guest, initial: Path, console: Path, sent: Path) -> None:
    """Run qemu until the guest switches off, or its time is over."""
    line = f"{COMMAND_LINE} portroom.job={guest.job} {guest.settings}"
    command = (
        *(QEMU, "-machine", "q35", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "1"),
        *("-m", str(MEMORY_MIB), "-nodefaults", "-no-user-config", "-display", "none"),
        *("-nic", "none", "-no-reboot", "-kernel", str(guest.kernel), "-initrd", str(initial)),
        *("-append", line, "-serial", f"file:{console}", "-serial", f"file:{sent}"),
    )
    with (guest.results / "qemu.txt").open("wb") as said:
        qemu = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=said, stderr=said)
        _RUNNING.add(qemu)
        try:
            qemu.wait(LIMIT_S)
        except subprocess.TimeoutExpired:
            said.write(f"ended after {LIMIT_S:.0f} s\n".encode())
        finally:
            qemu.kill()
            qemu.wait()
            _RUNNING.discard(qemu)


def end_all() -> None:
    """End every guest that runs now; each ends without a result."""
    for qemu in tuple(_RUNNING):
        qemu.kill()


def _unpack(sent: Path, folder: Path) -> bool:
    """Unpack what a guest sent; say whether it was whole."""
    if not sent.exists():
        return False
    try:
        content = base64.b64decode(sent.read_bytes())
        with tarfile.open(fileobj=io.BytesIO(content)) as archive:
            archive.extractall(folder, filter="data")
    except (ValueError, EOFError, tarfile.TarError, OSError):
        return False
    sent.unlink()
    return True
