"""`portroom check --rate` reads what a daemon remembered."""

from __future__ import annotations

import datetime

import msgspec

from portroom.history.store import Store
from portroom.kernel.namespaces import identify
from portroom.kernel.sampling import read_instant
from portroom.model.facts.config import HistoryKept
from portroom.model.facts.sample import HIGH, Forecast
from tests.e2e.faults import ask
from tests.kernel.sockets import connected, listener
from tests.unit.made_watched import key, sample

SERVER = ("127.0.0.1", 9000)


def remember(file, held, age_s):
    """Write one sample of this namespace into a history, *age_s* ago, as a daemon does."""
    now = read_instant()
    taken = msgspec.structs.replace(
        now, uptime_s=now.uptime_s - age_s, at=now.at - datetime.timedelta(seconds=age_s)
    )
    one = sample(key(held, "127.0.0.1", 9000), netns=identify(), instant=taken, taken_at=taken.at)
    forecast = Forecast(connects_per_s=8.5, exhausted_in_s=120.0, confidence=HIGH)
    store = Store(str(file), HistoryKept())
    store.add([(one, (forecast,))], taken)
    store.close()


def test_what_was_seen_lately_is_told(netns, tmp_path):
    """The rate of the tightest key, or of the one that was asked about; others have none."""

    def job():
        """Remember a sample, and ask."""
        remember(tmp_path / "history.sqlite", 100, age_s=5)
        listener(*SERVER)
        held = [connected(SERVER) for _ in range(3)]
        words = ("check", "--rate", "--history", str(tmp_path / "history.sqlite"))
        keys = ("127.0.0.1:9000", "127.0.0.1:9001")
        return [ask(*words), *(ask(*words, "--key", one) for one in keys)], len(held)

    (tightest, same, other), _ = netns(job)

    for ended in (tightest, same):
        assert (0, "") == (ended.status, ended.told), ended
        assert "8.5 connects/s, full in 2 min" in ended.answer
        assert ended.answer.endswith(" connects_per_s=8.5;;;0\n")
    assert (0, False) == (other.status, "connects" in other.answer)


def test_what_was_seen_long_ago_is_not(netns, tmp_path):
    """A daemon that ended an hour ago knows no rate."""

    def job():
        """Remember a sample of an hour ago, and ask."""
        remember(tmp_path / "history.sqlite", 100, age_s=3600)
        return ask("check", "--rate", "--history", str(tmp_path / "history.sqlite"))

    ended = netns(job)

    assert 3 == ended.status
    assert ended.answer.startswith(
        "UNKNOWN: the history has nothing of this namespace within 300 s, "
    )
