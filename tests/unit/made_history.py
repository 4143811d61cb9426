"""Samples made by hand, as the tests of history write them."""

import datetime

import msgspec

from portroom.history.reading import read_history
from portroom.history.store import Store
from portroom.model.facts.answers import Key, RangeUse
from portroom.model.facts.config import HistoryKept
from portroom.model.facts.questions import HistoryQuestion
from portroom.model.facts.sample import BELOW_HALF, FULL, Forecast, Instant, Sample
from portroom.model.facts.snapshot import NetnsId

BOOTED = datetime.datetime(2026, 3, 1, tzinfo=datetime.UTC)

HOST = NetnsId("host", 1, 4026531840, "host")
WEB = NetnsId("web", 7, 4026532007, "named")

ELIGIBLE = 28_232

BOOT = "5c2e4f1c-6f5b-4a53-9a0f-000000000001"


def instant(uptime_s, boot=BOOT, clock_off_s=0.0, booted=BOOTED):
    """Return a moment, the wall clock being wrong by some seconds."""
    at = booted + datetime.timedelta(seconds=uptime_s + clock_off_s)
    return Instant(boot, float(uptime_s), at)


def key(number, held, doubtful=0, eligible=ELIGIBLE):
    """Return a key whose figures add up, to 10.0.0.NUMBER:443."""
    return Key(
        protocol="tcp",
        operation="connect",
        local_address="10.0.0.1",
        remote_address=f"10.0.0.{number}",
        remote_port=443,
        eligible_ports=eligible,
        held_ports=held,
        doubtful_ports=doubtful,
        free_ports=eligible - held - doubtful,
        free_ports_max=eligible - held,
        occupancy_ratio=round(held / eligible, 6),
        occupancy_ratio_max=round((held + doubtful) / eligible, 6),
        exhausted=held == eligible,
        states={"TIME_WAIT": held // 2, "ESTABLISHED": held - held // 2},
    )


def sample(now, *held, netns=HOST, depth=FULL):
    """Return a sample whose keys hold so many ports, the tightest first."""
    keys = tuple(key(number, ports) for number, ports in enumerate(held, 1))
    below = depth == BELOW_HALF
    return Sample(
        host="web1",
        taken_at=now.at,
        netns=netns,
        instant=now,
        depth=depth,
        range=RangeUse(32768, 60999, ELIGIBLE, 0, ELIGIBLE),
        keys=() if below else keys,
        keys_total=None if below else len(keys),
    )


def entry(now, *held, rate=None, **others):
    """Return a sample with the forecasts of its keys."""
    taken = sample(now, *held, **others)
    return taken, tuple(Forecast(connects_per_s=rate) for _ in taken.keys)


def fill(store, uptimes, *held, boot=BOOT, clock_off_s=0.0, booted=BOOTED):
    """Write a sample at each of some uptimes, and return the last state and moment."""
    state, now = store.state(), None
    for uptime_s in uptimes:
        now = instant(uptime_s, boot, clock_off_s, booted)
        state = store.add([entry(now, *held)], now)
    return state, now


def store_in(folder, **kept):
    """Return a store in a folder, with its file there."""
    return Store(f"{folder}/history.sqlite", msgspec.structs.replace(HistoryKept(), **kept))


def history(folder, now, since_s=3600.0, **asked):
    """Return what a reader sees of the store in a folder; no journal is told."""
    question = HistoryQuestion(since_s=since_s, **asked)
    return read_history(f"{folder}/history.sqlite", question, now, "web1", HOST, ())
