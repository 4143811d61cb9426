"""
The history survives what kills programs and fills disks; the reader tells what is there.

PORTROOM_TESTS=full kills the writer a hundred times.
"""

import contextlib
import os
import random
import shutil
import signal
import sqlite3
import tempfile
import time
from pathlib import Path

import pytest

from portroom.history.store import Store
from portroom.model.facts.config import HistoryKept
from tests.e2e.faults import (
    MS_RDONLY,
    MS_REMOUNT,
    NOBODY,
    ask,
    mount,
    needs_root,
    private_mounts,
    refused,
)
from tests.kernel.harness import in_child
from tests.unit.made_history import entry, fill, history, instant, store_in

KILLS = 100 if os.environ.get("PORTROOM_TESTS") == "full" else 6

RESTART_S = 2.0


def write_until_killed(folder, begin_s, acknowledged):
    """Write samples without a pause, and tell each that is written by one byte."""
    store = Store(f"{folder}/history.sqlite", HistoryKept(raw_s=300.0))
    for number in range(1_000_000):
        now = instant(begin_s + number * 10)
        state = store.add([entry(now, *range(1000, 980, -1))], now)
        assert state.state == "ok", state
        os.write(acknowledged, b".")


def kill_while_writing(folder, begin_s, after):
    """Let a process write, kill it after so many samples, and return how many it told of."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(reading)
        with contextlib.suppress(BaseException):
            write_until_killed(folder, begin_s, writing)
        os._exit(1)
    os.close(writing)
    told = 0
    while told < after:
        part = os.read(reading, after - told)
        assert part, "the writer ended by itself"
        told += len(part)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    while part := os.read(reading, 65_536):
        told += len(part)
    os.close(reading)
    return told


def read_raw(folder):
    """Return whether the file is whole, and when its samples were."""
    with contextlib.closing(sqlite3.connect(folder / "history.sqlite")) as connection:
        (whole,) = connection.execute("PRAGMA integrity_check").fetchone()
        rows = connection.execute("SELECT start_ms FROM raw WHERE key = x'' ORDER BY start_ms")
        return whole, [start_ms // 1000 for (start_ms,) in rows]


def test_kill_nine_loses_no_sample_that_was_written(tmp_path):
    """Again and again on one file: it is whole, and the next daemon writes within two seconds."""
    chance, begin_s, slowest_s = random.Random(7), 0, 0.0
    for _ in range(KILLS):
        told = kill_while_writing(tmp_path, begin_s, chance.randrange(1, 80))
        whole, seen = read_raw(tmp_path)
        last_s = begin_s + (told - 1) * 10

        assert "ok" == whole
        # One more may be written and not told of; of those told, none is missing.
        assert seen[-1] in {last_s, last_s + 10}
        assert list(range(seen[0], seen[-1] + 10, 10)) == seen
        begin_s = seen[-1] + 10
        began = time.monotonic()
        store = store_in(tmp_path, raw_s=300.0)
        state, _ = fill(store, [begin_s], 5)
        slowest_s = max(slowest_s, time.monotonic() - began)
        store.close()
        begin_s += 10

        assert ("ok", ()) == (state.state, state.set_aside)

    assert slowest_s < RESTART_S


@needs_root
def test_a_full_disk_is_told_and_passes(tmp_path):
    """Sampling goes on, the reason is told, and what waited is written once there is room."""

    def on_a_small_disk():
        """Fill the disk, take samples, make room, take another one."""
        private_mounts()
        mount("tmpfs", str(tmp_path), "tmpfs", options="size=1m")
        store = store_in(tmp_path)
        states = [fill(store, range(0, 100, 10), 5)[0]]
        with contextlib.suppress(OSError), (tmp_path / "others").open("wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))
        held = range(1000, 980, -1)
        states.append(fill(store, range(100, 700, 10), *held)[0])
        (tmp_path / "others").unlink()
        state, now = fill(store, [700], *held)
        store.close()
        whole, seen = read_raw(tmp_path)
        return [one.state for one in [*states, state]], states[1].reason, whole, seen, now

    states, reason, whole, seen, _ = in_child(on_a_small_disk)

    assert ["ok", "degraded", "ok"] == states
    assert "full" in reason
    assert "ok" == whole
    assert list(range(0, 710, 10)) == seen


@needs_root
def test_a_read_only_disk_is_told_and_passes(tmp_path):
    """Nothing can be made there at first; then the administrator mounts it writable."""

    def on_a_read_only_disk():
        """Take a sample on a file system that takes nothing, and one after that."""
        private_mounts()
        mount("tmpfs", str(tmp_path), "tmpfs")
        mount("tmpfs", str(tmp_path), "tmpfs", MS_RDONLY | MS_REMOUNT)
        store = store_in(tmp_path)
        first, _ = fill(store, [100], 5)
        mount("tmpfs", str(tmp_path), "tmpfs", MS_REMOUNT)
        second, now = fill(store, [110], 6)
        store.close()
        return first, second, [one.held_ports for one in history(tmp_path, now).lines[0].moments]

    first, second, held = in_child(on_a_read_only_disk)

    assert "degraded" == first.state
    assert "Read-only file system" in first.reason
    assert ("ok", [5, 6]) == (second.state, held)


@pytest.fixture
def state_of_nobody():
    """Yield a folder of a user without rights, in one that everybody may pass."""
    with tempfile.TemporaryDirectory() as folder:
        state = Path(folder, "state")
        state.parent.chmod(0o755)
        state.mkdir(0o700)
        shutil.chown(state, NOBODY, NOBODY)
        yield state


@needs_root
def test_a_read_only_file_is_told_and_passes(state_of_nobody):
    """The daemon without rights meets a file that it may not write."""

    def as_nobody():
        """Take away the right to write, and give it back."""
        os.setgroups([])
        os.setresuid(NOBODY, NOBODY, NOBODY)
        store = store_in(state_of_nobody)
        states = [fill(store, [100], 5)[0].state]
        store.close()
        (state_of_nobody / "history.sqlite").chmod(0o400)
        states.append(fill(store, [110], 6)[0].state)
        (state_of_nobody / "history.sqlite").chmod(0o600)
        state, now = fill(store, [120], 7)
        store.close()
        moments = history(state_of_nobody, now).lines[0].moments
        return [*states, state.state], [one.held_ports for one in moments]

    assert (["ok", "degraded", "ok"], [5, 6, 7]) == in_child(as_nobody)


def test_the_command_tells_that_there_is_no_history(tmp_path):
    """One sentence, exit status 3."""
    refused(ask("history", "--history", f"{tmp_path}/none"), 3, "no history", "portroom serve")


def test_the_command_tells_of_a_damaged_history(tmp_path):
    """One sentence, exit status 3, and the file stays."""
    store = store_in(tmp_path)
    fill(store, range(0, 1000, 10), *range(1000, 980, -1))
    store.close()
    file = tmp_path / "history.sqlite"
    damaged = file.read_bytes()[:4096] + os.urandom(file.stat().st_size - 4096)
    file.write_bytes(damaged)

    refused(ask("history", "--history", str(file), "--since", "90d"), 3, "cannot be read")

    assert damaged == file.read_bytes()


@pytest.mark.parametrize("file", ["/dev/zero", "/proc/self/mem", "/"])
def test_a_file_that_is_no_history_is_refused(file):
    """Whatever it is, nothing waits for it and nothing is read without an end."""
    refused(ask("history", "--history", file), 3, "cannot be read")


def test_a_fifo_is_no_history_and_nobody_waits_for_it(tmp_path):
    """Of one that nobody writes nothing ever comes."""
    os.mkfifo(tmp_path / "fifo")

    refused(ask("history", "--history", f"{tmp_path}/fifo"), 3, "it is no regular file")
