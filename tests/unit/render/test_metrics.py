"""Metrics say what a Watched says, in a bounded number of series, however hostile it is."""

from __future__ import annotations

import datetime
import math
import subprocess
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from prometheus_client.parser import text_string_to_metric_families

from portroom.model.advice.alert_table import RULES
from portroom.model.facts.answers import (
    Finding,
    Findings,
    SettingsAnswer,
    SettingState,
    Summary,
    TcpSummary,
    TransportCount,
    Transports,
)
from portroom.model.facts.config import Metrics
from portroom.model.facts.failure import FailureCounts
from portroom.model.facts.gaps import Gap, not_looked_at
from portroom.model.facts.sample import HIGH, NO_FORECAST, Forecast, Instant
from portroom.model.facts.snapshot import NetnsId
from portroom.model.facts.trial import PendingTrial
from portroom.model.facts.watched import FIRING, Alert, HistoryState, Known, Watched
from portroom.render.metric_table import COUNTER, METRICS, MOST_SERIES, TIGHTEST, full_name
from portroom.render.metrics import Destinations, as_text, remembered
from tests.unit.made_watched import AT, HOST, NOW, below_half, key, known, named, sample, watched

USUAL = Metrics()
DESTINATIONS = Metrics(destinations=True)

Told = dict[str, dict[tuple[str, ...], float]]

ROW = TransportCount(0, 0, 0)

SOME = settings.default.max_examples // 4
"""A Watched takes long to draw."""


def told(text: str) -> Told:
    """Return the series of metrics as Prometheus reads them, by name and label values."""
    found: Told = {}
    for family in text_string_to_metric_families(text):
        for one in family.samples:
            labels = tuple(value for _, value in sorted(one.labels.items()))
            series = found.setdefault(one.name.removeprefix("portroom_"), {})
            assert labels not in series
            series[labels] = one.value
    return found


def said(one: Watched, config: Metrics = USUAL, **others: Any) -> Told:
    """Return the series that are told of a Watched."""
    return told(as_text(one, config, **others))


def summary(**states: int) -> Summary:
    """Return sessions in numbers."""
    return Summary(
        sockets_total=sum(states.values()),
        bound_local_ports=7,
        tcp=TcpSummary(total=9, established=4, closed=1, orphaned=0, time_wait=3),
        transports=Transports(ROW, ROW, ROW, ROW, ROW),
        states=states,
        udp_states={"UNCONN": 2},
        system_wide=(),
    )


def everything() -> Watched:
    """Return a Watched of which every metric has something to tell."""
    forecast = Forecast(
        connects_per_s=8.0,
        time_wait_per_s=7.0,
        hold_time_s=60.0,
        max_connects_per_s=16.6,
        half_in_s=None,
        exhausted_in_s=120.0,
        confidence=HIGH,
    )
    row = SettingState("tcp_tw_reuse", 2, 2, 2, None, True, "", "namespace", "reuse")
    header = {"host": "web-1", "taken_at": AT, "netns": HOST}
    finding = Finding("warning", "drift", "seen", "do it")
    gap = Gap("owners", "no CAP_SYS_PTRACE", ("owners",))
    one = known(
        sample(key(900, doubtful=40), key(100, None), sessions=summary(), gaps=(gap,)),
        forecast,
        states=summary(ESTABLISHED=4, TIME_WAIT=3),
        states_at=AT,
        settings=SettingsAnswer(**header, settings=(row,)),
        findings=Findings(**header, findings=(finding,), checked=()),
    )
    alert = Alert("key_tight", "warning", "host", "it is full", FIRING, NOW)
    return watched(
        one,
        skipped_total=4,
        errors_total={"netlink": 2},
        history=HistoryState("ok", file="x", size_bytes=4096),
        failures=FailureCounts(
            **header, since=AT, failures_total=9, exhausted_total=5, lost_events=1, counts=()
        ),
        alerts=(alert,),
        trials=(PendingTrial(3, ("set",), "host", 55.5, True),),
    )


class TestNames:
    """Names, labels and kinds are public."""

    def test_every_metric_can_be_told(self):
        """
        A Watched that knows everything tells every metric of the table.
        """
        expected = {full_name(metric).removeprefix("portroom_") for metric in METRICS}

        assert expected == said(everything(), DESTINATIONS).keys()

    def test_counters_alone_end_in_total(self):
        """
        A counter ends in _total, and nothing else does.
        """
        for metric in METRICS:
            assert (metric.kind == COUNTER) == metric.name.endswith("_total")

    def test_promtool_has_nothing_to_say(self):
        """
        `promtool check metrics` of the real program finds no fault.
        """
        checked = subprocess.run(
            ["promtool", "check", "metrics"],
            input=as_text(everything(), DESTINATIONS).encode(),
            capture_output=True,
            check=False,
        )

        assert (0, b"", b"") == (checked.returncode, checked.stdout, checked.stderr)


class TestWorst:
    """The worst key stands without labels."""

    def test_it_is_the_fullest_of_all_namespaces(self):
        """
        Of keys of several namespaces the fullest is told, and the range of its namespace.
        """
        found = said(watched(sample(key(300)), sample(key(700, port=443), netns=named("blue"))))

        assert {(): 700} == found["worst_held_ports"]
        assert {(): 300} == found["worst_free_ports"]
        assert {(): 0.7} == found["worst_occupancy_ratio"]
        assert {(): 1000} == found["eligible_ports"]
        assert {(): 2} == found["keys"]
        assert {("host",): 0.3, ("blue",): 0.7} == found["netns_worst_occupancy_ratio"]

    def test_ports_in_doubt_are_not_held(self):
        """
        What the kernel does not tell is in the _max alone, be it of another key.
        """
        found = said(watched(sample(key(300, doubtful=10), key(200, port=443, doubtful=700))))

        assert {(): 0.3} == found["worst_occupancy_ratio"]
        assert {(): 690} == found["worst_free_ports"]
        assert {(): 700} == found["worst_free_ports_max"]
        assert {(): 0.9} == found["worst_occupancy_ratio_max"]

    def test_without_a_key_nothing_is_held(self):
        """
        A namespace that was looked at and has no key has all its ports free.
        """
        found = said(watched(sample()))

        assert {(): 0} == found["worst_occupancy_ratio"]
        assert {(): 1000} == found["worst_free_ports"]
        assert "worst_occupancy_ratio_max" not in found

    def test_keys_that_could_not_be_seen_are_absent(self):
        """
        Where a gap hides the keys, nothing is told of them: no zero.
        """
        found = said(watched(sample(gaps=(Gap("sock_diag", "no inet_diag", ("keys",)),))))

        assert not [name for name in found if name.startswith(("worst", "tightest"))]
        assert {("sock_diag",): 1} == found["gaps"]

    def test_below_half_is_absent_and_marked(self):
        """
        Of a sample below half no key is told, and a metric says that it was skipped.
        """
        found = said(watched(below_half()))

        assert not [name for name in found if name.startswith(("worst", "tightest", "keys"))]
        assert {(): 1} == found["namespaces_below_half"]
        assert {(): 1000} == found["eligible_ports"]
        assert "gaps" not in found

    @pytest.mark.parametrize(("held", "is_told"), [(499, False), (500, True)])
    def test_next_to_a_namespace_below_half_only_a_half_full_key_is_the_worst(self, held, is_told):
        """
        A key of the other namespace may be fuller, unless this one is half full.
        """
        found = said(watched(below_half(named("blue")), sample(key(held))))

        assert is_told == ("worst_held_ports" in found)
        assert {("1",): held} == found["tightest_held_ports"]

    def test_what_may_be_over_half_is_told_next_to_a_namespace_below_half(self):
        """
        No key there can be half full, ports in doubt included: so this one is the highest.
        """
        found = said(watched(below_half(named("blue")), sample(key(100, doubtful=800))))

        assert {(): 0.9} == found["worst_occupancy_ratio_max"]
        assert "worst_occupancy_ratio" not in found


class TestTightest:
    """The ten tightest keys are fixed series."""

    def test_there_are_ten_by_rank(self):
        """
        Ranks 1 to 10 are told, the tightest first, and no address.
        """
        text = as_text(watched(sample(*(key(held, port=held) for held in range(1, 31)))), Metrics())
        found = told(text)["tightest_held_ports"]

        assert {(str(rank),): 31 - rank for rank in range(1, TIGHTEST + 1)} == found
        assert "10.0.0." not in text

    def test_a_forecast_belongs_to_its_key(self):
        """
        What is not foreseen is infinite, what is not known is absent.
        """
        forecasts = (
            Forecast(exhausted_in_s=60.0, confidence=HIGH),
            Forecast(confidence=HIGH),
            Forecast(confidence=NO_FORECAST),
        )
        found = said(watched(known(sample(key(900), key(800, port=1), key(7, port=2)), *forecasts)))

        assert {("1",): 60.0, ("2",): math.inf} == found["tightest_exhaustion_seconds"]
        assert {(): 60.0} == found["exhaustion_seconds"]
        assert {(): 3} == found["exhaustion_confidence"]
        assert {(): math.inf} == found["half_seconds"]


class TestAge:
    """What is too old is absent, not stale."""

    def test_two_missed_samples_are_no_reason(self):
        """
        After two missed samples the keys are told as they were.
        """
        assert "worst_held_ports" in said(watched(sample(key(9), age_s=20), missed_samples=2))

    @pytest.mark.parametrize(
        ("made", "given"),
        [
            (watched(sample(key(9), age_s=30), missed_samples=3), {}),
            (watched(sample(key(9), age_s=31)), {}),
            (watched(sample(key(9))), {"age_s": 31.0}),
            (watched(sample(key(9), instant=Instant("boot-0", 1.0, AT))), {}),
        ],
        ids=["missed", "old", "nobody_samples", "other_boot"],
    )
    def test_after_three_missed_samples_keys_are_absent(self, made, given):
        """
        Nothing of keys is told then, but when the last sample was.
        """
        found = said(made, DESTINATIONS, **given)
        of_keys = ("worst", "tightest", "destination", "netns", "keys", "eligible", "connects")

        assert not [name for name in found if name.startswith(of_keys)]
        assert {(): 1} == found["namespaces_stale"]
        assert "last_sample_timestamp_seconds" in found

    def test_one_namespace_may_be_old(self):
        """
        A namespace that cannot be sampled any more is absent, the others are told.
        """
        found = said(watched(sample(key(900), age_s=100), sample(key(5), netns=named("blue"))))

        assert {(): 5} == found["worst_held_ports"]
        assert {("blue",): 5} == found["netns_worst_held_ports"]

    def test_a_sample_that_takes_long_is_not_old(self):
        """
        Where sampling takes longer than its interval, three times that is waited for.
        """
        assert "worst_held_ports" in said(watched(sample(key(9), age_s=50, duration_s=20.0)))

    def test_before_the_first_sample_there_is_no_key(self):
        """
        A daemon that has sampled nothing tells of itself alone.
        """
        found = said(watched())

        assert {(): 0} == found["namespaces"]
        assert "last_sample_timestamp_seconds" not in found


class TestDestinations:
    """Addresses are labels only if wanted, and few distinct ones a day."""

    def test_a_destination_adds_up_its_keys(self):
        """
        Keys to one destination from several addresses: counts are added, of ratios the highest.
        """
        keys = key(300), key(200, local_address="10.0.0.11"), key(100, None)
        found = said(watched(sample(*keys)), DESTINATIONS)

        assert {("10.0.0.20:5432", "tcp"): 500, ("any", "udp"): 100} == found[
            "destination_held_ports"
        ]
        assert {("10.0.0.20:5432", "tcp"): 0.3, ("any", "udp"): 0.1} == found[
            "destination_occupancy_ratio"
        ]

    def test_the_rest_is_other(self):
        """
        Above 50 destinations the tightest have names, and the others are one.
        """
        keys = [key(held, port=held) for held in range(1, 101)]
        found = said(watched(sample(*keys)), DESTINATIONS)

        held = found["destination_held_ports"]
        assert 51 == len(held)
        assert sum(range(1, 51)) == held["other", "other"]
        assert 0.05 == found["destination_occupancy_ratio"]["other", "other"]
        assert 100 == held["10.0.0.20:100", "tcp"]
        assert {(): 3 * 50 + 50} == found["truncated"]

    def test_a_day_has_fifty_distinct_ones(self):
        """
        However destinations come and go, within a day 50 are named; then places are free again.
        """
        seen: Destinations | None = None
        names: set[tuple[str, ...]] = set()
        for hour in range(24):
            one = self.at_hour(hour)
            names |= said(one, DESTINATIONS, seen=seen)["destination_held_ports"].keys()
            seen = remembered(seen, one, DESTINATIONS)

        assert 51 == len(names)
        late = said(self.at_hour(26), DESTINATIONS, seen=seen)["destination_held_ports"]
        assert 20 == len(late.keys() - names)

    @staticmethod
    def at_hour(hour: int) -> Watched:
        """Return what is known in an hour in which there are 20 destinations of its own."""
        now = Instant("boot-1", 3600.0 * hour, AT + datetime.timedelta(hours=hour))
        keys = [key(held, remote=f"10.1.{hour}.1", port=held) for held in range(1, 21)]
        return watched(sample(*keys, instant=now), now=now)


class TestAlerts:
    """Each rule of portroom's own is a series, whether it fires or not."""

    def test_a_rule_that_fires_is_1(self):
        """And every other one is 0."""
        found = said(everything())["alert_firing"]

        assert {(rule.name,): rule.name == "key_tight" for rule in RULES} == found

    def test_who_reads_once_judges_none(self):
        """Nothing lasted, so nothing is said of alerts."""
        assert "alert_firing" not in said(watched(sample(key(999)), interval_s=0.0))


class TestBounds:
    """Never more than 2,000 series, and a metric says what was left out."""

    def test_the_table_is_bounded(self):
        """
        All rows of the table together have room for less than 2,000 series.
        """
        assert sum(metric.most for metric in METRICS) < MOST_SERIES

    def test_namespaces_of_one_name_are_one_series(self):
        """
        Two namespaces may have one name: no series is told twice.
        """
        found = said(watched(sample(key(5), netns=named("a")), sample(key(7), netns=named("a", 9))))

        assert {("a",): 7 / 1000} == found["netns_worst_occupancy_ratio"]

    def test_thousands_of_namespaces_and_settings(self):
        """
        A host with thousands of namespaces, settings and gaps is told in 2,000 series.
        """
        rows = tuple(
            SettingState(f"s{n}", n, None, None, None, False, "", "", "") for n in range(3000)
        )
        header = {"host": "h", "taken_at": AT, "netns": HOST}
        gaps = tuple(Gap(f"source {n}", "broken", ()) for n in range(3000))
        first = known(
            sample(*(key(n % 1000, port=n) for n in range(3000)), gaps=gaps),
            settings=SettingsAnswer(**header, settings=rows),
        )
        others = [sample(key(1), netns=named(f"n{n}", n)) for n in range(3000)]
        text = as_text(watched(first, *others), DESTINATIONS)

        assert sum(not line.startswith("#") for line in text.splitlines()) <= MOST_SERIES
        assert told(text)["truncated"][()] > 10_000

    def test_nothing_is_left_out_of_a_usual_host(self):
        """
        Then the metric says 0.
        """
        assert {(): 0} == said(everything(), DESTINATIONS)["truncated"]


class TestHostile:
    """Text of other processes ends in labels, and nowhere else."""

    @pytest.mark.parametrize(
        "name",
        ['a"} 1\nportroom_x 1', "\\", "\udcff", "\x1b[2J", "x" * 100_000, "\u202e", "", "日本"],
    )
    def test_a_name_is_one_label(self, name):
        """
        Whatever a namespace is called, it is one label of one line, escaped and not long.
        """
        hostile = NetnsId(name, 1, 1, "named")
        text = as_text(
            watched(sample(key(5), netns=hostile, gaps=(Gap(name, name),)), version=name), Metrics()
        )
        found = told(text)

        assert [0.005] == list(found["netns_worst_occupancy_ratio"].values())
        assert "x" not in found
        assert max(map(len, text.splitlines())) < 500

    @settings(max_examples=SOME)
    @given(data=some.data())
    def test_any_watched_is_told(self, data):
        """
        Whatever is known, the metrics are bounded and Prometheus can read them.
        """
        text = as_text(data.draw(hostile_watched()), data.draw(configs()))

        told(text)
        assert sum(not line.startswith("#") for line in text.splitlines()) <= MOST_SERIES

    def test_what_nobody_looked_at_is_no_gap(self):
        """
        A choice not to look is not counted as something that could not be read.
        """
        assert "gaps" not in said(watched(sample(key(1), gaps=(not_looked_at("rows"),))))


def test_it_takes_a_few_milliseconds():
    """
    A hundred keys in each of five namespaces take a few ms: the best of some rounds under 20.
    """
    one = watched(
        *(
            sample(*(key(n, port=n) for n in range(100)), netns=named(f"n{place}", place))
            for place in range(5)
        )
    )
    rounds = []
    for _ in range(10):
        began = time.perf_counter()
        as_text(one, DESTINATIONS)
        rounds.append(time.perf_counter() - began)

    assert min(rounds) < 0.020


def configs() -> some.SearchStrategy[Metrics]:
    """Return configurations, those that the file would refuse too."""
    return some.builds(
        Metrics, destinations=some.booleans(), most_destinations=some.integers(0, 10**6)
    )


def hostile_watched() -> some.SearchStrategy[Watched]:
    """Return what no daemon would know: any names, any numbers, any order."""
    numbers = some.floats(allow_nan=True) | some.integers(-(2**70), 2**70)
    texts = some.text(max_size=30)
    forecasts = some.builds(
        Forecast,
        connects_per_s=some.none() | numbers,
        exhausted_in_s=some.none() | numbers,
        confidence=texts | some.just(HIGH),
    )
    keys = some.builds(
        lambda name, held, states: key(500, name, 1, held_ports=held, states=states),
        texts,
        numbers,
        some.dictionaries(texts, some.integers(), max_size=3),
    )
    samples = some.builds(
        lambda keys, name, gaps, depth: sample(
            *keys, netns=NetnsId(name, None, 0, name), gaps=gaps, depth=depth
        ),
        some.lists(keys, max_size=4),
        texts,
        some.lists(some.builds(Gap, texts, texts, some.tuples(texts)), max_size=4).map(tuple),
        texts | some.just("below_half"),
    )
    namespaces = some.builds(
        lambda one, forecasts, states: Known(
            sample=one, forecasts=forecasts, states=summary(**states), states_at=AT
        ),
        samples,
        some.lists(forecasts, max_size=4).map(tuple),
        some.dictionaries(texts, some.integers(), max_size=60),
    )
    return some.builds(
        lambda namespaces, errors, repeat: watched(*namespaces * repeat, errors_total=errors),
        some.lists(namespaces, max_size=4),
        some.dictionaries(texts, some.integers(), max_size=60),
        some.sampled_from([1, 1, 1, 400]),
    )
