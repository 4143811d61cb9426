"""Spans are made of samples, what is old goes, and no more is kept than was allowed."""

import contextlib
import sqlite3

import hypothesis
import hypothesis.strategies as st
import pytest

from portroom.history import upkeep
from portroom.history.schema import HOUR, LEVELS, MINUTE, RAW
from portroom.model.facts.config import HistoryKept
from portroom.model.facts.watched import Mark
from tests.unit.made_history import entry, fill, history, instant, store_in

DAY_S = 86_400


def count(folder, table):
    """Return how many rows a table has."""
    with contextlib.closing(sqlite3.connect(folder / "history.sqlite")) as connection:
        (rows,) = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
        return rows


def spans(folder, level):
    """Return start, samples and held of the spans of the tightest key."""
    with contextlib.closing(sqlite3.connect(folder / "history.sqlite")) as connection:
        return connection.execute(
            f"SELECT start_ms, samples, held, free FROM {level.table} WHERE key = x''"
            " ORDER BY boot, start_ms"
        ).fetchall()


@pytest.fixture
def store(tmp_path):
    """Yield a store in an empty folder."""
    made = store_in(tmp_path)
    yield made
    made.close()


def test_a_minute_has_its_tightest_figures(store, tmp_path):
    """The most held, the fewest free, and how many samples it is of."""
    for uptime_s, held in ((60, 5), (70, 900), (80, 7), (119.9, 8), (120, 1)):
        fill(store, [uptime_s], held)

    assert [(60_000, 4, 900, 28_232 - 900)] == spans(tmp_path, MINUTE)


def test_hours_are_made_of_minutes_and_lose_no_sample(store, tmp_path):
    """Once an hour is over, every sample of it is in it."""
    fill(store, range(3600, 7300, 10), 5)

    assert [(3_600_000, 360, 5)] == [row[:3] for row in spans(tmp_path, HOUR)]
    assert 61 == len(spans(tmp_path, MINUTE))


def test_an_hour_of_changing_keys_keeps_those_that_were_tightest(tmp_path):
    """However many keys come and go, a span has no more of them than a sample."""
    store = store_in(tmp_path, keys=3)
    for place, uptime_s in enumerate(range(3600, 7300, 100)):
        now = instant(uptime_s)
        store.add([entry(now, *([1] * (place % 30)), place + 1)], now)
    store.close()

    assert 1 + 3 == count(tmp_path, "hour")


def test_minutes_of_an_earlier_boot_are_made_by_the_next(store, tmp_path):
    """A boot that ended within a minute loses nothing of it."""
    fill(store, [3700, 3710, 3725], 5, boot="first")
    fill(store, range(10, 100, 10), 6, boot="second")

    assert (3_660_000, 2, 5) in [row[:3] for row in spans(tmp_path, MINUTE)]
    assert (3_600_000, 3, 5) in [row[:3] for row in spans(tmp_path, HOUR)]


def test_each_level_is_kept_for_its_time(tmp_path):
    """Samples, minutes and hours go when they are older than that, not before."""
    store = store_in(tmp_path, raw_s=600.0, minute_s=7200.0, hour_s=4 * 3600.0)
    fill(store, range(0, 8 * 3600, 30), 5)
    store.close()
    now_ms = 8 * 3600 * 1000 - 30_000

    for level, kept_ms in ((RAW, 600_000), (MINUTE, 7_200_000), (HOUR, 4 * 3_600_000)):
        oldest = spans(tmp_path, level)[0][0]

        assert kept_ms - max(level.span_ms, 60_000) <= now_ms - oldest <= kept_ms + 60_000, level


def test_a_clock_that_is_wrong_deletes_nothing(tmp_path):
    """Not of this boot and not of an earlier one: age is what boots lasted."""
    store = store_in(tmp_path, raw_s=3600.0)
    fill(store, range(100, 200, 10), 5, boot="first")
    for off_s in (-DAY_S, DAY_S, 365 * DAY_S):
        fill(store, range(100 + off_s % 1000, 200 + off_s % 1000, 10), 5, clock_off_s=off_s)

    assert 40 == len(spans(tmp_path, RAW))


def test_an_earlier_boot_grows_old_with_the_time_since(tmp_path):
    """Its samples go once boots have lasted for so long."""
    store = store_in(tmp_path, raw_s=1000.0)
    fill(store, range(100, 200, 10), 5, boot="first")
    fill(store, [900], 6, boot="second")
    before = len(spans(tmp_path, RAW))
    fill(store, [950], 6, boot="second")
    middle = len(spans(tmp_path, RAW))
    fill(store, [1500], 6, boot="second")

    assert (11, 12 - 5) == (before, middle)
    assert [900_000, 950_000, 1_500_000] == [row[0] for row in spans(tmp_path, RAW)]
    store.close()


def test_no_more_is_kept_than_is_allowed(tmp_path):
    """The file stays below its limit, however much is written, and the latest is there."""
    most = 1 << 20
    store = store_in(tmp_path, most_bytes=most)
    held = tuple(range(1000, 980, -1))
    state, now = fill(store, range(0, 1500 * 10, 10), *held)
    store.close()

    assert (tmp_path / "history.sqlite").stat().st_size <= most + (256 << 10)
    assert "ok" == state.state
    moments = history(tmp_path, now).lines[0].moments

    assert 361 == sum(one.samples for one in moments)


def test_a_smaller_limit_makes_the_file_smaller(tmp_path):
    """Free pages go back to the disk, some with each sample."""
    store = store_in(tmp_path)
    fill(store, range(0, 10_000, 8), *range(1000, 980, -1))
    before = store.state().size_bytes
    store.kept = HistoryKept(most_bytes=1 << 20)
    fill(store, range(10_000, 20_000, 10), 5)
    store.close()

    after = (tmp_path / "history.sqlite").stat().st_size

    assert after < before * 0.8


def test_what_no_row_belongs_to_goes(tmp_path):
    """Boots and namespaces that nothing is left of leave nothing behind."""
    store = store_in(tmp_path, raw_s=60.0, minute_s=60.0, hour_s=3600.0)
    for boot in range(5):
        fill(store, range(0, 200, 20), 5, boot=f"boot{boot}")
    fill(store, range(0, 12_000, 50), 5, boot="last")
    store.mark(Mark(instant(12_000).at, "stop", "portroom"), instant(12_000, "last"))
    store.close()

    assert 1 == count(tmp_path, "boots")
    assert 1 == count(tmp_path, "namespaces")


@hypothesis.given(
    st.lists(st.tuples(st.integers(1, 7200), st.integers(0, 28_000)), min_size=1, max_size=60)
)
def test_a_span_is_as_tight_as_its_tightest_sample(steps):
    """Whatever the samples: minutes and hours have the same highest figure, and every sample."""
    with contextlib.closing(_memory()) as connection:
        uptime_ms, rows = 0, []
        for step_s, held in steps:
            uptime_ms += step_s * 1000
            rows.append((1, uptime_ms, 1, b"", 1, 0, 28_232, held, 0, 28_232 - held, 0, 0, None))
        connection.executemany(f"INSERT INTO raw VALUES ({'?, ' * 13}NULL)", rows)
        while upkeep.make_spans(connection, 1, 1 << 62, 20):
            pass
        totals = [
            connection.execute(
                f"SELECT sum(samples), max(held), min(free) FROM {level.table}"
            ).fetchone()
            for level in LEVELS
        ]

    assert totals[0] == totals[1] == totals[2]


def _memory():
    """Return a database in memory with the tables of history."""
    from portroom.history.schema import migrate

    connection = sqlite3.connect(":memory:", isolation_level=None)
    migrate(connection)
    return connection
