"""What is written is what is read, and whatever becomes of the file, sampling goes on."""

import contextlib
import datetime
import os
import sqlite3
import threading
from pathlib import Path

import msgspec
import pytest

from portroom.history import schema
from portroom.history.database import BESIDE
from portroom.history.store import LOOKED_THROUGH_S, MOST_WAITING_ROWS, Store
from portroom.model.facts.config import HistoryKept
from portroom.model.facts.sample import BELOW_HALF
from portroom.model.facts.snapshot import NetnsId
from portroom.model.facts.watched import HistoryState, KeyName, Mark
from tests.kernel.harness import in_child
from tests.unit.made_history import (
    BOOT,
    ELIGIBLE,
    HOST,
    WEB,
    entry,
    fill,
    history,
    instant,
    key,
    store_in,
)


@pytest.fixture
def store(tmp_path):
    """Yield a store in an empty folder."""
    made = store_in(tmp_path)
    yield made
    made.close()


def test_nothing_is_kept_without_a_file():
    """A store without a file says that it is off."""
    nothing = Store("", HistoryKept())
    now = instant(100)

    state = nothing.add([entry(now, 5)], now)
    nothing.mark(Mark(now.at, "start", "portroom"), now)
    nothing.close()

    assert "off" == state.state
    assert state == nothing.state()


def test_a_sample_comes_back_as_it_was(store, tmp_path):
    """Every figure of the tightest key and of each key is that of the sample."""
    now = instant(100.25)
    state = store.add([entry(now, 20_000, 17, rate=12.5)], now)

    tightest, first, second = history(tmp_path, now).lines

    assert ("ok", "") == (state.state, state.reason)
    assert ("host", KeyName()) == (tightest.netns, tightest.key)
    assert KeyName("tcp", "connect", "10.0.0.1", "10.0.0.1", 443) == first.key
    (moment,) = first.moments
    expected = key(1, 20_000)

    assert expected.held_ports == moment.held_ports
    assert expected.free_ports == moment.free_ports
    assert expected.eligible_ports == moment.eligible_ports
    assert expected.occupancy_ratio == moment.occupancy_ratio
    assert expected.states["TIME_WAIT"] == moment.time_wait_sockets
    assert (12.5, None, 100.25, BOOT) == (
        moment.connects_per_s, moment.exhausted_in_s, moment.uptime_s, moment.boot_id,
    )  # fmt: skip
    assert now.at == moment.at
    assert tightest.moments == first.moments
    assert [17] == [one.held_ports for one in second.moments]


def test_only_the_tightest_keys_are_remembered(tmp_path):
    """No more than ``history.keys`` of a sample."""
    store = store_in(tmp_path, keys=2)
    now = instant(100)
    store.add([entry(now, 9, 8, 7, 6)], now)

    assert 1 + 2 == len(history(tmp_path, now).lines)
    store.close()


def test_below_half_is_no_zero(store, tmp_path):
    """A sample that did not look is there without counts, for each key as well."""
    for uptime_s, depth in ((100, "full"), (110, BELOW_HALF)):
        now = instant(uptime_s)
        store.add([entry(now, 20_000, depth=depth)], now)

    for line in history(tmp_path, now).lines:
        seen = [(one.below_half, one.held_ports, one.occupancy_ratio) for one in line.moments]

        assert [(False, 20_000, 0.708416), (True, None, None)] == seen


def test_no_key_at_all_is_all_free(store, tmp_path):
    """Where every socket was looked at and no key is there, the whole range is free."""
    now = instant(100)
    store.add([entry(now)], now)
    (line,) = history(tmp_path, now).lines

    assert [(ELIGIBLE, 0, 0.0)] == [
        (one.free_ports, one.held_ports, one.occupancy_ratio) for one in line.moments
    ]


def test_namespaces_have_lines_of_their_own(store, tmp_path):
    """The host's comes first, and one can be asked for."""
    now = instant(100)
    store.add([entry(now, 9, netns=WEB), entry(now, 5, netns=HOST)], now)

    assert ["host", "host", "web", "web"] == [one.netns for one in history(tmp_path, now).lines]
    assert {"web"} == {one.netns for one in history(tmp_path, now, netns="web").lines}


def test_a_name_that_is_no_text_is_kept(store, tmp_path):
    """A namespace may be called anything; lone surrogates are escaped."""
    now = instant(100)
    evil = msgspec.structs.replace(WEB, name="e\x1b[31m\udcff")
    state = store.add([entry(now, 9, netns=evil)], now)

    assert "ok" == state.state
    assert "e\x1b[31m\\udcff" == history(tmp_path, now).lines[0].netns


def test_marks_are_read_in_their_order(store, tmp_path):
    """With the moment that they tell, as far as it lies within the boot."""
    now = instant(100)
    store.mark(Mark(now.at, "start", "portroom 0.1"), now)
    store.mark(Mark(now.at - datetime.timedelta(seconds=40), "alert", "key_tight firing"), now)

    seen = [(one.kind, one.at) for one in history(tmp_path, now).marks]

    assert [("alert", now.at - datetime.timedelta(seconds=40)), ("start", now.at)] == seen


def test_a_clock_that_jumps_makes_no_moment_run_backwards(store, tmp_path):
    """A day forth and back: each sample is there once, in order, spaced as it was."""
    for uptime_s, off_s in ((100, 0), (110, 86_400), (120, -86_400), (130, 0)):
        fill(store, [uptime_s], 5, clock_off_s=off_s)
    now = instant(130)

    moments = history(tmp_path, now).lines[0].moments

    assert [100, 110, 120, 130] == [one.uptime_s for one in moments]
    assert [now.at - datetime.timedelta(seconds=ago) for ago in (30, 20, 10, 0)] == [
        one.at for one in moments
    ]


def test_a_clock_that_is_wrong_now_loses_nothing(store, tmp_path):
    """What was seen an hour ago is an hour ago, whatever day the clock shows."""
    fill(store, [100, 200], 5)

    for off_s in (-86_400, 86_400, -(10 * 365 * 86_400)):
        now = instant(300, clock_off_s=off_s)

        seen = {one.uptime_s for one in history(tmp_path, now, since_s=250).lines[0].moments}
        fill(store, [300], 5, clock_off_s=off_s)

        assert seen >= {100, 200}


def test_suspend_is_a_gap_and_no_negative_span(store, tmp_path):
    """Time goes on while the machine sleeps, and the silence is told."""
    fill(store, [100, 110, 120], 5)
    _, now = fill(store, [8 * 3600, 8 * 3600 + 10], 5)

    seen = history(tmp_path, now, since_s=9 * 3600)

    assert [100, 110, 120, 28_800, 28_810] == [one.uptime_s for one in seen.lines[0].moments]
    assert [("gap", "no samples for 7:58:00")] == [(one.kind, one.text) for one in seen.marks]


def test_a_boot_lies_before_the_next_one_whatever_its_clock_said(store, tmp_path):
    """A boot whose clock was a year ahead still lies before this one."""
    fill(store, [100, 110], 5, boot="first", clock_off_s=365 * 86_400)
    _, now = fill(store, [10, 20], 6, boot="second")

    moments = history(tmp_path, now, since_s=86_400).lines[0].moments

    assert [("first", 5), ("first", 5), ("second", 6), ("second", 6)] == [
        (one.boot_id, one.held_ports) for one in moments
    ]
    assert sorted(one.at for one in moments) == [one.at for one in moments]


def test_a_removed_file_is_made_anew(store, tmp_path):
    """Under the running daemon; the next sample is in the new file."""
    fill(store, [100], 5)
    for path in tmp_path.iterdir():
        path.unlink()

    state, now = fill(store, [110], 5)

    assert "ok" == state.state
    assert [110] == [one.uptime_s for one in history(tmp_path, now).lines[0].moments]


def test_a_removed_folder_is_made_anew(tmp_path):
    """The folder of the state, too."""
    store = store_in(tmp_path / "state")
    fill(store, [100], 5)
    for path in (tmp_path / "state").iterdir():
        path.unlink()
    (tmp_path / "state").rmdir()

    state, _ = fill(store, [110], 5)
    store.close()

    assert "ok" == state.state


def test_a_file_that_was_put_back_is_used(store, tmp_path):
    """An administrator restores an older copy while the daemon runs."""
    fill(store, [100], 5)
    store.close()
    saved = (tmp_path / "history.sqlite").read_bytes()
    fill(store, [110, 120], 5)
    (tmp_path / "copy").write_bytes(saved)
    (tmp_path / "copy").rename(tmp_path / "history.sqlite")

    state, now = fill(store, [130], 5)

    assert "ok" == state.state
    assert [100, 130] == [one.uptime_s for one in history(tmp_path, now).lines[0].moments]


DAMAGES = {
    "pages": lambda whole: whole[:4096] + os.urandom(len(whole) - 4096),
    "header": lambda whole: os.urandom(100) + whole[100:],
    "half": lambda whole: whole[: len(whole) // 2],
    "zeros": lambda whole: whole[:4096] + bytes(len(whole) - 4096),
    "text": lambda _: b"this is no database\n" * 1000,
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_set_aside(tmp_path, damage):
    """It is whole again at once, and what was there is not deleted."""
    before = store_in(tmp_path)
    fill(before, range(100, 4000, 10), *range(1000, 900, -5))
    before.close()
    file = tmp_path / "history.sqlite"
    damaged = DAMAGES[damage](file.read_bytes())
    file.write_bytes(damaged)

    store = store_in(tmp_path)
    state, now = fill(store, [4000], 5)
    store.close()

    assert ("ok", "") == (state.state, state.reason)
    (aside,) = state.set_aside
    assert Path(aside).name.startswith("history.sqlite.damaged-20260301T")
    assert damaged == Path(aside).read_bytes()
    assert [4000] == [one.uptime_s for one in history(tmp_path, now).lines[0].moments]


def test_a_page_that_is_damaged_later_is_found_when_it_is_needed(store, tmp_path):
    """The daemon goes on, and says what it did."""
    fill(store, range(100, 4000, 10), *range(1000, 900, -5))
    store.close()
    fill(store, [4000], 5)
    with (tmp_path / "history.sqlite").open("r+b") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(4096)
        file.write(os.urandom(size - 4096))

    # Without a new connection pages are read from the cache until others are needed.
    states = {fill(store, [uptime_s], 5)[0].state for uptime_s in range(4010, 8000, 10)}
    store.close()
    state, _ = fill(store, [8000], 5)

    assert states <= {"ok", "degraded"}
    assert ("ok", 1) == (state.state, len(state.set_aside))


MEDDLING = {
    "shorter file": lambda file: os.truncate(file, 0),
    "other beginning": lambda file: _overwrite(file, os.urandom(4096)),
    "no log": lambda file: file.with_name(f"{file.name}-wal").unlink(),
    "shorter log": lambda file: os.truncate(f"{file}-wal", 0),
    "no log, no index": lambda file: [file.with_name(file.name + one).unlink() for one in BESIDE],
}


def _overwrite(file, content):
    """Write over the beginning of a file that is in use."""
    with file.open("r+b") as opened:
        opened.write(content)


@pytest.mark.parametrize("meddling", MEDDLING)
def test_what_others_do_to_the_open_file_is_noticed_with_the_next_sample(store, tmp_path, meddling):
    """Whoever reads finds that sample; the database alone would go on writing for nobody."""
    fill(store, range(100, 200, 10), *range(100, 50, -5))
    MEDDLING[meddling](tmp_path / "history.sqlite")

    state, now = fill(store, [200], 5)

    assert "ok" == state.state
    assert 200 == history(tmp_path, now).lines[0].moments[-1].uptime_s


def test_a_page_that_is_damaged_in_place_is_found_within_the_hour(store, tmp_path):
    """Nobody needs the page, and no other file takes the place of this one."""
    fill(store, range(100, 4000, 10), *range(1000, 900, -5))
    store.close()
    fill(store, [4000], 5)
    with (tmp_path / "history.sqlite").open("r+b") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(4096)
        file.write(os.urandom(size - 4096))

    state, now = fill(store, [4000 + LOOKED_THROUGH_S], 5)

    assert ("ok", 1) == (state.state, len(state.set_aside))
    assert [now.uptime_s] == [one.uptime_s for one in history(tmp_path, now).lines[0].moments]


@pytest.mark.parametrize("content", [b"root:x:0:0::/root:/bin/sh\n" * 100, b"\0" * 8192])
def test_a_file_of_others_is_never_touched(tmp_path, content):
    """A name that somebody mistyped stays what it is, under any name but portroom's."""
    file = tmp_path / "passwd"
    file.write_bytes(content)
    store = Store(str(file), HistoryKept())

    state, _ = fill(store, [100, 110], 5)
    store.close()

    assert "degraded" == state.state
    assert content == file.read_bytes()
    assert {"passwd", "passwd.lock"} == {one.name for one in tmp_path.iterdir()}


def test_the_database_of_another_program_is_never_touched(tmp_path):
    """It has no mark of portroom."""
    file = tmp_path / "history.sqlite"
    with contextlib.closing(sqlite3.connect(file)) as other:
        other.execute("CREATE TABLE moz_places (id)")
        other.commit()
    content = file.read_bytes()
    store = store_in(tmp_path)

    state, _ = fill(store, [100], 5)
    store.close()

    assert "degraded" == state.state
    assert "another program" in state.reason
    assert content == file.read_bytes()


def test_a_later_version_is_left_as_it_is(tmp_path):
    """portroom was downgraded: nothing is written, and the reason is told."""
    store = store_in(tmp_path)
    fill(store, [100], 5)
    store.close()
    with contextlib.closing(sqlite3.connect(tmp_path / "history.sqlite")) as later:
        later.execute(f"PRAGMA user_version = {schema.VERSION + 1}")

    state, _ = fill(store, [110], 5)
    store.close()

    assert "degraded" == state.state
    assert f"version {schema.VERSION + 1} of a later portroom" in state.reason
    assert () == state.set_aside


def test_an_older_file_becomes_one_of_today(tmp_path):
    """Its samples stay, before and after the daemon has seen it."""
    _write_version_1(tmp_path / "history.sqlite")
    now = instant(110)

    before = history(tmp_path, now).lines[0].moments
    store = store_in(tmp_path)
    state, _ = fill(store, [110], 6)
    store.mark(Mark(now.at, "start", "portroom"), now)
    after = history(tmp_path, now)
    store.close()

    assert "ok" == state.state
    assert [5] == [one.held_ports for one in before]
    assert [5, 6] == [one.held_ports for one in after.lines[0].moments]
    assert ["start"] == [one.kind for one in after.marks]


def _write_version_1(path):
    """Write a file as the first version had it: without marks."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as old:
        for statement in schema.MIGRATIONS[0]:
            old.execute(statement)
        old.execute("PRAGMA user_version = 1")
        old.execute("INSERT INTO boots VALUES (1, ?, ?)", (BOOT, instant(0).at.timestamp()))
        old.execute("INSERT INTO namespaces VALUES (1, 'host', 'host', 0, 0, 1, 100000)")
        figures = (1, 100_000, 1, b"", 1, 0, ELIGIBLE, 5, 0, ELIGIBLE - 5, 177, 2, None, None)
        old.execute(f"INSERT INTO raw VALUES ({', '.join('?' * len(figures))})", figures)


def test_two_daemons_do_not_write_one_history(tmp_path):
    """The second goes on without, says who has it, and takes over at once when that ends."""
    first, second = store_in(tmp_path), store_in(tmp_path)
    fill(first, [100], 5)
    waiting, _ = fill(second, [101], 6)
    first.close()
    state, now = fill(second, [111], 6)
    second.close()

    assert "degraded" == waiting.state
    assert f"process {os.getpid()} writes there already" in waiting.reason
    assert "ok" == state.state
    assert [5, 6, 6] == [one.held_ports for one in history(tmp_path, now).lines[0].moments]


def test_what_could_not_be_written_waits_within_bounds(tmp_path):
    """Samples taken meanwhile are written later, the oldest of too many are dropped."""
    first, second = store_in(tmp_path), store_in(tmp_path)
    fill(first, [100], 5)
    held = tuple(range(1000, 980, -1))
    count = MOST_WAITING_ROWS // 21 + 10
    fill(second, range(200, 200 + count), *held)
    first.close()
    _, now = fill(second, [200 + count], *held)
    second.close()

    kept = [one.uptime_s for one in history(tmp_path, now).lines[0].moments]

    assert MOST_WAITING_ROWS // 21 + 1 == len(kept)
    assert list(range(200 + count, 200 + count + 1 - len(kept), -1)) == kept[:0:-1]


def test_what_was_written_once_is_not_written_again_after_the_boot_changed(tmp_path):
    """Samples that waited over a change of the boot id, as in a restored guest, are dropped."""
    first, second = store_in(tmp_path), store_in(tmp_path)
    fill(first, [100], 5)
    fill(second, [101], 6, boot="other")
    first.close()
    _, now = fill(second, [110], 7)
    second.close()

    assert [5, 7] == [one.held_ports for one in history(tmp_path, now).lines[0].moments]


def test_a_fifo_is_no_history(tmp_path):
    """Nothing waits for somebody at its other end."""
    os.mkfifo(tmp_path / "history.sqlite")
    store = store_in(tmp_path)

    state, _ = fill(store, [100], 5)
    store.close()

    assert "degraded" == state.state
    assert "no regular file" in state.reason


def test_others_may_not_read_it(tmp_path):
    """Whatever the umask: addresses are nobody else's business."""

    def write():
        """Write with a umask that lets everybody in."""
        os.umask(0)
        store = store_in(tmp_path / "state")
        fill(store, [100], 5)
        modes = {
            one.name: one.stat().st_mode & 0o777
            for one in [tmp_path / "state", *(tmp_path / "state").iterdir()]
        }
        store.close()
        return modes

    modes = in_child(write)

    assert 0o700 == modes.pop("state")
    assert {0o600} == set(modes.values())


@pytest.mark.parametrize("content", [b"", b"this is another file\n" * 500])
def test_no_descriptor_is_left(tmp_path, content):
    """Written, closed and opened again, or refused again and again."""
    (tmp_path / "seen.sqlite").write_bytes(content)
    store = Store(f"{tmp_path}/seen.sqlite", HistoryKept())
    fill(store, [100], 5)
    store.close()
    before = len(list(Path("/proc/self/fd").iterdir()))
    for uptime_s in range(110, 500, 10):
        fill(store, [uptime_s], 5)
        store.close()

    assert before == len(list(Path("/proc/self/fd").iterdir()))


def test_threads_may_ask_at_once(store):
    """The state is told, and marks are made, while another thread writes."""

    def mark():
        """Make marks and ask for the state."""
        for uptime_s in range(50):
            now = instant(100 + uptime_s)
            store.mark(Mark(now.at, "alert", f"{uptime_s}"), now)
            seen.add(store.state().state)

    seen: set[str] = set()
    others = [threading.Thread(target=mark) for _ in range(2)]
    for one in others:
        one.start()
    fill(store, range(100, 150), 5)
    for one in others:
        one.join()

    assert seen <= {"ok", "off"}
    assert isinstance(store.state(), HistoryState)


def test_a_namespace_without_a_name_is_one_line_after_a_restart(tmp_path):
    """It is called by whichever process is found in it; its cookie stays."""
    for place, pid in enumerate((7, 8)):
        store = store_in(tmp_path)
        now = instant(10 * place)
        store.add([entry(now, 5, netns=NetnsId(f"pid:{pid} (web)", 12, 34, "process", pid))], now)
        store.close()

    lines = history(tmp_path, instant(20)).lines

    assert {"netns:12"} == {line.netns for line in lines}
    assert [2] * len(lines) == [len(line.moments) for line in lines]
