"""What becomes of a key: forecasts of workloads whose end is known."""

from __future__ import annotations

import datetime
import math
from random import Random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as some

from portroom.model.facts.sample import HIGH, LOW, MEDIUM, NO_FORECAST, Flow, Forecast, Sample
from portroom.model.laws.forecast import forecasts
from tests.unit.made_churn import (
    BOOT,
    EPOCH,
    OTHER_BOOT,
    by_chance,
    churn,
    evenly,
    key,
    sample,
)

DAY = datetime.timedelta(days=1)
RATES = ("connects_per_s", "time_wait_per_s", "hold_time_s", "max_connects_per_s")
TIMES = ("half_in_s", "exhausted_in_s")

WITHIN = {HIGH: 0.25, MEDIUM: 0.5}
"""How far a time may be off, by its confidence: the later by the earlier, less one whole."""


def at(seconds, past, eligible):
    """Return the forecast of a workload from twelve samples, the last at a time."""
    samples = [past.sample(seconds - 10 * back, eligible) for back in range(11, -1, -1)]
    (found,) = forecasts([one for one in samples if one.instant.uptime_s > 0])
    return found


def numbers(forecast: Forecast) -> list[float]:
    """Return all numbers of a forecast that are known."""
    told = (getattr(forecast, name) for name in (*RATES, *TIMES))
    return [number for number in told if number is not None]


def moved(one: Sample, **instant: object) -> Sample:
    """Return a sample with another instant."""
    return msgspec.structs.replace(one, instant=msgspec.structs.replace(one.instant, **instant))


# Constant rates.


@pytest.mark.parametrize("life_s", [0.005, 1.0, 5.0])
@pytest.mark.parametrize("now_s", [25.0, 35.0, 45.0])
def test_a_key_that_fills_at_a_constant_rate(life_s, now_s):
    """200 connections a second fill 10,000 ports in 50 s: foreseen to the second."""
    past = churn(evenly(200, 120), lambda: life_s)

    found = at(now_s, past, 10_000)

    assert found.exhausted_in_s == pytest.approx(past.full_at_s(10_000) - now_s, abs=1.0)
    assert found.connects_per_s == pytest.approx(200, rel=0.02)
    assert found.confidence in (MEDIUM, HIGH)


def test_a_key_that_never_fills_is_not_foretold_to():
    """200 connections a second hold 12,400 ports for ever: 15,000 are enough, and surely."""
    past = churn(evenly(200, 400), lambda: 2.0)

    found = [at(now_s, past, 15_000) for now_s in range(30, 300, 10)]

    assert {None} == {one.exhausted_in_s for one in found}
    assert HIGH == found[-1].confidence
    assert found[-1].max_connects_per_s == pytest.approx((15_000 - 400) / 60, rel=0.01)


@pytest.mark.parametrize("per_s", [2, 10, 50])
def test_connections_that_are_never_closed_fill_a_key(per_s):
    """A leak has no TIME_WAIT, and ends where its ports do."""
    past = churn(evenly(per_s, 3000), lambda: 1e6)

    found = at(200.0, past, 20 * per_s * 60)

    assert found.exhausted_in_s == pytest.approx(20 * 60 - 200, rel=0.02)
    assert 0.0 == found.time_wait_per_s
    assert found.connects_per_s == pytest.approx(per_s, rel=0.05)


def test_half_comes_before_the_end():
    """Half of 10,000 ports at 200 a second is 25 s after the first."""
    found = at(15.0, churn(evenly(200, 120), lambda: 1.0), 10_000)

    assert found.half_in_s == pytest.approx(10, abs=0.5)
    assert found.exhausted_in_s == pytest.approx(35, abs=0.5)


@given(
    seed=some.integers(0, 1_000),
    load=some.floats(0.5, 2.0),
    life_s=some.sampled_from([0.05, 1.0, 5.0]),
    eligible=some.sampled_from([500, 2_000]),
    interval_s=some.sampled_from([5.0, 10.0, 30.0]),
)
def test_a_time_is_as_right_as_its_confidence_says(seed, load, life_s, eligible, interval_s):
    """
    Connections by chance: nine of ten times are right within what is stated.

    Each run may have some that are not, as chance has it.
    """
    random = Random(seed)
    rate = eligible * load / (life_s + 60)
    past = churn(by_chance(rate, 200, random), lambda: random.expovariate(1 / life_s))
    full_s = past.full_at_s(eligible)
    wrong = {HIGH: 0, MEDIUM: 0}
    samples = []
    now_s = interval_s * random.random()
    while now_s < (full_s or 150):
        samples.append(past.sample(now_s, eligible))
        (found,) = forecasts(samples[-12:])
        if found.confidence in WITHIN and found.exhausted_in_s is not None and full_s:
            told, true = found.exhausted_in_s, full_s - now_s
            off = abs(told - true) / max(told, true)
            wrong[found.confidence] += off > WITHIN[found.confidence] and abs(told - true) > 2
        now_s += interval_s

    assert wrong[HIGH] <= max(1, len(samples) / 5)
    assert wrong[MEDIUM] <= max(2, len(samples) / 5)


# What time does.


def any_flow(draw, held):
    """Return any flow of a key that holds so many ports."""
    ends = draw(some.just(()) | some.lists(some.integers(0, 30), min_size=60, max_size=60))
    waiting = sum(ends) or draw(some.integers(0, 5))
    return Flow(
        alive_sockets=draw(some.integers(0, held + 5)),
        time_wait_sockets=waiting,
        ends=tuple(ends),
        hold_time_s=draw(some.sampled_from([0.0, 0.1, 1.0, 5.0, 60.0])),
    )


@some.composite
def any_samples(draw):
    """Return samples whose time goes anywhere, and whose numbers are anything."""
    uptime_s, boot, found = draw(some.floats(0, 1e6)), BOOT, []
    for _ in range(draw(some.integers(1, 12))):
        step = draw(some.sampled_from([10.0, 1.0, 0.0, -5.0, 36_000.0, 1e-9]))
        uptime_s += step
        boot = draw(some.sampled_from([BOOT, BOOT, BOOT, OTHER_BOOT]))
        keys, flows = [], []
        for port in range(draw(some.integers(0, 2))):
            eligible = draw(some.sampled_from([1, 100, 28_232]))
            held = draw(some.integers(0, eligible))
            keys.append(key(held, eligible, remote_port=443 + port))
            flows.append(any_flow(draw, held))
        jump = draw(some.sampled_from([DAY * 0, DAY, -DAY]))
        told = flows if draw(some.booleans()) else ()
        found.append(sample(uptime_s, keys, told, boot_id=boot, at=EPOCH + jump))
    return found


@given(any_samples())
def test_no_number_is_ever_negative(samples):
    """Over clock jumps, suspend, restart and new boots: not below zero, and finite."""
    found = forecasts(samples)

    assert len(samples[-1].keys) == len(found)
    assert all(0 <= n < math.inf for one in found for n in numbers(one))


@given(any_samples(), some.integers(-400, 400))
def test_the_wall_clock_decides_nothing(samples, days):
    """Samples whose clock showed another day give the same forecasts."""
    elsewhen = [moved(one, at=one.instant.at + days * DAY) for one in samples]

    assert forecasts(samples) == forecasts(elsewhen)


def test_after_another_boot_all_starts_anew():
    """What was before the boot is of another system, though its uptime would fit."""
    past = churn(evenly(100, 100), lambda: 1.0)
    before = [past.sample(at_s, 10_000, boot_id=OTHER_BOOT) for at_s in (10.0, 20.0, 30.0)]
    newest = past.sample(40.0, 10_000)

    assert forecasts([newest]) == forecasts([*before, newest])


def test_after_a_time_that_goes_backwards_all_starts_anew():
    """Uptime never does; a mixed-up past tells nothing."""
    past = churn(evenly(100, 100), lambda: 1.0)
    newest = past.sample(40.0, 10_000)

    assert forecasts([newest]) == forecasts([past.sample(50.0, 10_000), newest])


def test_after_suspend_all_starts_anew():
    """Ten hours asleep are no ten hours without connections."""
    past = churn(evenly(100, 100), lambda: 1.0)
    before = [past.sample(at_s, 10_000) for at_s in (10.0, 20.0, 30.0)]
    slept = [moved(past.sample(at_s, 10_000), uptime_s=at_s + 36_000) for at_s in (40.0, 50.0)]

    assert forecasts(slept) == forecasts([*before, *slept])


def test_after_the_range_changed_all_starts_anew():
    """A port that is held because the range became wider was not taken."""
    past = churn(evenly(100, 100), lambda: 1.0)
    newest = past.sample(40.0, 10_000)

    assert forecasts([newest]) == forecasts([past.sample(30.0, 5_000), newest])


# What is not known.


def test_no_sample_has_no_forecast():
    """Nothing in, nothing out."""
    assert () == forecasts([])


def test_one_sample_without_time_wait_foresees_nothing():
    """Not known is not «never»: the confidence is none."""
    (found,) = forecasts([sample(10.0, [key(5, 10)], [Flow(5, 0, (), 60.0)])])

    assert (None, NO_FORECAST) == (found.exhausted_in_s, found.confidence)
    assert found.connects_per_s is None
    assert 0.0 == found.half_in_s


def test_one_sample_with_time_wait_foresees_something():
    """Their ages tell the rate of the last seconds, but not whether it lasts."""
    past = churn(evenly(200, 120), lambda: 0.1)

    (found,) = forecasts([past.sample(25.0, 10_000)])

    assert found.exhausted_in_s == pytest.approx(25, rel=0.1)
    assert LOW == found.confidence


def test_a_full_key_needs_no_forecast():
    """It is full now, and that is sure."""
    (found,) = forecasts([sample(10.0, [key(10, 10)])])

    assert (0.0, 0.0, HIGH) == (found.half_in_s, found.exhausted_in_s, found.confidence)


def test_without_flows_the_held_ports_tell_a_little():
    """What grows by ten a second is foreseen, with low confidence."""
    samples = [sample(10.0 * n, [key(100 * n, 2_000)]) for n in range(1, 11)]

    (found,) = forecasts(samples)

    assert found.exhausted_in_s == pytest.approx(100, rel=0.05)
    assert LOW == found.confidence
    assert found.hold_time_s is None
    assert found.max_connects_per_s is None


def test_a_key_that_was_not_looked_at_has_no_past():
    """It was not among the tightest before: what it held then is not known."""
    past = churn(evenly(100, 100), lambda: 1.0)
    newest = past.sample(40.0, 10_000)
    others = sample(30.0, [key(5, 10_000, remote_port=80)], [Flow(5, 0, (), 60.0)])

    assert forecasts([newest]) == forecasts([others, newest])


def test_reuse_that_is_not_sure_makes_a_forecast_less_so():
    """Whether the other side lets a TIME_WAIT be taken over is known on loopback alone."""
    ends = (0,) * 59 + (50,)
    flow = Flow(0, 50, ends, 1.0)
    samples = {
        address: [
            sample(10.0 * n, [key(50, 1_000, local_address=address)], [flow]) for n in range(9)
        ]
        for address in ("192.0.2.1", "127.0.0.1")
    }

    found = {address: forecasts(told)[0] for address, told in samples.items()}

    assert {None} == {one.exhausted_in_s for one in found.values()}
    assert MEDIUM == found["192.0.2.1"].confidence
    assert HIGH == found["127.0.0.1"].confidence


def test_ports_in_doubt_make_a_forecast_less_sure():
    """Where they may be gone in half the time, nobody can be sure of the whole."""
    doubtful = {"doubtful_ports": 2_000, "free_ports": 200}

    def samples(**fields):
        """Return samples of a key that grows."""
        return [
            sample(10.0 * n, [key(1_000 + 100 * n, 4_000, **fields)], [Flow(9, 0, (), 60.0)])
            for n in range(9)
        ]

    sure, in_doubt = forecasts(samples())[0], forecasts(samples(**doubtful))[0]

    assert (HIGH, LOW) == (sure.confidence, in_doubt.confidence)
