"""What is read is what was asked for, as fine as there is room for, without holes or doubles."""

import contextlib
import datetime
import math
import os
import sqlite3
import stat
import time

import pytest

from portroom.errors import HistoryError, InvalidRequestError
from portroom.history.reading import read_history
from portroom.model.facts.questions import HistoryQuestion
from portroom.model.facts.sockets import Protocol
from portroom.model.facts.watched import KeyName
from tests.e2e.faults import NOBODY, needs_root
from tests.kernel.harness import in_child
from tests.unit.change.made_entries import entry as made_entry
from tests.unit.made_history import BOOTED, HOST, fill, history, instant, store_in


@pytest.fixture
def store(tmp_path):
    """Yield a store in an empty folder."""
    made = store_in(tmp_path)
    yield made
    made.close()


@pytest.mark.parametrize("points", [1, 7, 60, 500])
def test_no_line_has_more_moments_than_asked(tmp_path, store, points):
    """And every sample is in one of them."""
    _, now = fill(store, range(0, 3 * 3600, 30), 5)

    seen = history(tmp_path, now, since_s=2 * 3600, points=points)
    moments = seen.lines[0].moments

    assert 1 <= len(moments) <= points + 1
    assert 200 <= sum(one.samples for one in moments) <= 241 + 120
    assert (seen.step_s == 0) == (points == 500)


def test_time_before_the_first_sample_makes_no_span_longer(tmp_path, store):
    """A daemon that began ten minutes ago is told as finely in the last day as in the last hour."""
    _, now = fill(store, range(0, 600, 1), 5)

    hour, day = (
        history(tmp_path, now, since_s=since_s, points=100).step_s for since_s in (3600, 86_400)
    )

    assert 10.0 == hour == day


def test_spans_follow_each_other(tmp_path, store):
    """Minutes, and the samples of the minute that is not over."""
    _, now = fill(store, range(0, 3700, 10), 5)

    moments = history(tmp_path, now, since_s=3700, points=100).lines[0].moments
    ends = [one.uptime_s + one.span_s for one in moments[:-1]]

    assert 60.0 == moments[0].span_s
    assert ends == [one.uptime_s for one in moments[1:]]
    assert 370 == sum(one.samples for one in moments)


def test_what_is_no_longer_there_one_by_one_is_told_in_spans(tmp_path):
    """Old minutes, and the latest samples, in one line without doubles."""
    store = store_in(tmp_path, raw_s=600.0)
    _, now = fill(store, range(0, 7200, 30), 5)
    store.close()

    moments = history(tmp_path, now, since_s=7200, points=1000).lines[0].moments

    assert 240 == sum(one.samples for one in moments)
    assert sorted({one.uptime_s for one in moments}) == [one.uptime_s for one in moments]


def test_one_key_one_port_one_protocol(tmp_path, store):
    """Keys are found by address, prefix and port; without a remote only if all are asked for."""
    _, now = fill(store, [100], 9, 8, 7)

    def found(key, **asked):
        """Return the remotes of the lines."""
        return [one.key.remote_address for one in history(tmp_path, now, key=key, **asked).lines]

    assert ["10.0.0.2"] == found("10.0.0.2:443")
    assert ["10.0.0.2"] == found("10.0.0.2")
    assert [] == found("10.0.0.2:444")
    assert ["10.0.0.1", "10.0.0.2", "10.0.0.3"] == found("10.0.0.0/24")
    assert ["10.0.0.1", "10.0.0.2", "10.0.0.3"] == found(None, protocol=Protocol.TCP)
    assert [] == found(None, protocol=Protocol.UDP)


def test_the_limit_leaves_the_less_tight_out(tmp_path, store):
    """The line of the tightest at each moment is beside it, and the rest is counted."""
    _, now = fill(store, [100], 9, 8, 7, 6)

    seen = history(tmp_path, now, limit=2)

    assert [None, "10.0.0.1", "10.0.0.2"] == [one.key.remote_address for one in seen.lines]
    assert 2 == seen.lines_omitted
    assert KeyName() == seen.lines[0].key


def test_both_ends_are_included(tmp_path, store):
    """The samples at the first and at the last moment are told."""
    _, now = fill(store, [100, 200, 300, 400], 5)

    seen = history(tmp_path, now, since_s=200.0, until_s=100.0)

    assert [200, 300] == [one.uptime_s for one in seen.lines[0].moments]
    assert (now.at - datetime.timedelta(seconds=200)) == seen.since


def test_an_empty_time_has_no_lines(tmp_path, store):
    """That is an answer and no error."""
    fill(store, [100], 5)

    assert () == history(tmp_path, instant(90_000)).lines


@pytest.mark.parametrize(
    "asked",
    [
        {"since_s": 0.0},
        {"since_s": -5.0},
        {"since_s": 10.0, "until_s": 20.0},
        {"since_s": math.inf},
        {"since_s": math.nan},
        {"since_s": 1e15},
        {"until_s": -1.0},
        {"points": 0},
        {"limit": -1},
        {"key": "no such thing"},
    ],
)
def test_what_cannot_be_asked_is_refused(tmp_path, store, asked):
    """Whoever asks, by option or by HTTP."""
    fill(store, [100], 5)

    with pytest.raises(InvalidRequestError):
        history(tmp_path, instant(200), **asked)


def test_no_history_is_an_error_that_says_so(tmp_path):
    """With what keeps one."""
    with pytest.raises(HistoryError, match=r"no history at .* keeps one"):
        history(tmp_path, instant(200))


@pytest.mark.parametrize("content", [b"", b"x" * 5000, b"SQLite format 3\0" + bytes(5000)])
def test_what_is_no_history_is_an_error(tmp_path, content):
    """Empty, foreign or damaged; the file stays as it is."""
    (tmp_path / "history.sqlite").write_bytes(content)

    with pytest.raises(HistoryError, match="cannot be read"):
        history(tmp_path, instant(200))

    assert content == (tmp_path / "history.sqlite").read_bytes()


def test_reading_disturbs_no_writing(tmp_path, store):
    """A reader in the middle of its reading, and the writer goes on; each sees what is whole."""
    fill(store, [100], 5)
    with contextlib.closing(sqlite3.connect(tmp_path / "history.sqlite")) as reader:
        reader.execute("BEGIN")
        before = reader.execute("SELECT count(*) FROM raw").fetchone()
        state, now = fill(store, range(110, 500, 10), 5)
        after = reader.execute("SELECT count(*) FROM raw").fetchone()

    assert "ok" == state.state
    assert before == after
    assert 40 == len(history(tmp_path, now).lines[0].moments)


def test_reading_leaves_nothing(tmp_path, store):
    """No file is made beside the history, and its own stay those of its owner."""
    _, now = fill(store, [100], 5)
    store.close()
    before = {one.name: one.stat().st_mtime_ns for one in tmp_path.iterdir()}

    history(tmp_path, now)

    assert before == {one.name: one.stat().st_mtime_ns for one in tmp_path.iterdir()}


@needs_root
def test_who_may_only_read_can(tmp_path, store):
    """A folder where the reader may make nothing: no log is needed while nobody writes."""
    _, now = fill(store, [100], 5)
    store.close()
    tmp_path.chmod(0o755)
    (tmp_path / "history.sqlite").chmod(0o644)

    def read():
        """Read as somebody without rights."""
        os.setgroups([])
        os.setresuid(NOBODY, NOBODY, NOBODY)
        return len(history(tmp_path, now).lines[0].moments)

    assert 1 == in_child(read)


@needs_root
def test_who_may_not_read_is_told(tmp_path, store):
    """In one sentence."""
    fill(store, [100], 5)
    store.close()
    tmp_path.chmod(0o755)

    def read():
        """Read as somebody without rights, and return what was told."""
        os.setgroups([])
        os.setresuid(NOBODY, NOBODY, NOBODY)
        with pytest.raises(HistoryError) as caught:
            history(tmp_path, instant(200))
        return str(caught.value)

    assert "cannot be read" in in_child(read)


def test_changes_of_the_journal_are_marks(tmp_path, store):
    """With what was asked for, and how it stands where it is not done."""
    import msgspec

    _, now = fill(store, [100], 5)
    journal = tmp_path / "journal"
    journal.mkdir()
    at = BOOTED + datetime.timedelta(seconds=50)
    for number, phase in ((1, "done"), (2, "put_back")):
        made = msgspec.structs.replace(
            made_entry(), number=number, started_at=at, phase=phase, ended_at=at, outcome="So."
        )
        path = journal / f"{number:010d}.json"
        path.write_bytes(msgspec.json.encode(made))
        path.chmod(stat.S_IRUSR | stat.S_IWUSR)
    (journal / "0000000003.json").write_bytes(b"no entry")

    seen = read_history(
        f"{tmp_path}/history.sqlite", HistoryQuestion(), now, "web1", HOST, (str(journal),)
    )
    words = " ".join(made_entry().request.words)

    assert [("change", f"1: {words}"), ("change", f"2: {words} (put back)")] == [
        (one.kind, one.text) for one in seen.marks
    ]


def test_a_month_is_read_fast(tmp_path):
    """An hour, a day, a month: nobody waits for the answer."""
    store = store_in(tmp_path)
    _, now = fill(store, range(0, 86_400, 240), *range(1000, 980, -1))
    store.close()
    began = time.perf_counter()

    for since_s in (3600.0, 86_400.0, 30 * 86_400.0):
        history(tmp_path, now, since_s=since_s)

    assert time.perf_counter() - began < 3.0
