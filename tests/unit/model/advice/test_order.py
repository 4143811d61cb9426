"""Settings are written in an order in which the kernel takes each step, both ways."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as some

from portroom.model.advice.collisions import Choice
from portroom.model.advice.draft import choice
from portroom.model.advice.order import (
    first_blocked,
    in_file_order,
    ordered,
    state_of,
    steps_between,
)
from portroom.model.facts.change import inverse
from portroom.model.facts.ports import LAST_PORT, PortRange, PortSet
from portroom.model.facts.settings import kernel_text, parse_value, setting_named
from portroom.model.facts.snapshot import Settings
from portroom.model.laws.acceptance import RANGE_KEY, RESERVED_KEY, START_KEY, write_whole
from tests.unit.made_change import HOST, LISTS, NEW, values


def state(first, last, reserved="", start=1024):
    """Return settings that depend on each other."""
    return Settings(
        {RANGE_KEY: PortRange(first, last), RESERVED_KEY: PortSet.parse(reserved), START_KEY: start}
    )


def written(steps, before):
    """Return the states after each step, as the kernel would have them; none may be refused."""
    held = state_of(before)
    states = []
    for step in steps:
        assert step.before == held[step.key]
        done = write_whole(step.key, f"{step.after}\n".encode(), held)
        assert ("", step.after) == (done.refusal, done.value)
        held[step.key] = done.value
        states.append(dict(held))
    return states


@given(values(), values())
def test_each_step_is_taken_and_leads_to_what_is_wanted(before, after):
    """From any valid state to any other, the kernel takes each write in turn."""
    steps = steps_between(HOST, before, after)

    assert None is first_blocked(steps, before)
    assert state_of(after) == [state_of(before), *written(steps, before)][-1]


@given(values(), values())
def test_the_way_back_is_taken_too_and_leaves_nothing(before, after):
    """The inverse steps, the last one first, are taken as well, and restore all of it."""
    steps = steps_between(HOST, before, after)
    states = written(inverse(steps), after)

    assert state_of(before) == [state_of(after), *states][-1]


@given(values())
def test_what_does_not_change_is_not_written(before):
    """There is no step from a state to itself."""
    assert () == steps_between(HOST, before, before)


@given(values(), values())
def test_a_setting_is_written_once(before, after):
    """Each setting that differs has one step, no other has any."""
    keys = ordered(before, after)

    assert {key for key in before.values if before.values[key] != after.values[key]} == set(keys)
    assert len(keys) == len(set(keys))


@some.composite
def smaller_and_larger(draw):
    """Return two states: in one the range is larger, and at least as much is reserved."""
    small = draw(values())
    first = draw(some.integers(1, small.ephemeral.first))
    last = draw(some.integers(small.ephemeral.last, LAST_PORT))
    reserved = PortSet([*small.reserved.runs, *draw(LISTS).runs])
    changed = {
        RANGE_KEY: PortRange(first, last),
        RESERVED_KEY: reserved,
        START_KEY: draw(some.integers(0, first)),
    }
    return small, Settings(small.values | changed)


@given(smaller_and_larger(), some.booleans())
def test_no_port_is_free_for_a_moment_while_the_range_grows_or_shrinks(both, grows):
    """
    Between two writes nothing can be chosen that cannot be before or after.

    So it is where the smaller range lies inside the larger one, and its
    reserved ports among those of the other.
    """
    before, after = both if grows else both[::-1]
    steps = steps_between(HOST, before, after)
    for held in (*written(steps, before), *written(inverse(steps), after)):
        between = Choice(PortRange.parse(held[RANGE_KEY]), PortSet.parse(held[RESERVED_KEY]))

        assert set(between.ports) <= set(choice(before).ports) | set(choice(after).ports)


@pytest.mark.parametrize(
    ("before", "after", "keys"),
    [
        (state(32768, 60999), state(15000, 64001, "20000"), [RESERVED_KEY, RANGE_KEY]),
        (state(15000, 64001, "20000"), state(32768, 60999), [RANGE_KEY, RESERVED_KEY]),
        (state(32768, 60999), state(80, 64001, "443", 80), [START_KEY, RESERVED_KEY, RANGE_KEY]),
        (state(80, 64001, "443", 80), state(32768, 60999), [RANGE_KEY, RESERVED_KEY, START_KEY]),
        (state(2000, 3000), state(4000, 5000, start=3500), [RANGE_KEY, START_KEY]),
    ],
)
def test_the_order_of_those_that_depend_on_each_other(before, after, keys):
    """Reserved before a wider range and after a narrower one; the start first down, last up."""
    assert keys == list(ordered(before, after))


def test_a_range_below_the_unprivileged_ports_is_blocked_by_them():
    """The step and the setting in its way are named."""
    before, after = state(32768, 60999), state(80, 60999)
    blocked = first_blocked(steps_between(HOST, before, after), before)

    assert (RANGE_KEY, START_KEY) == (blocked.key, blocked.by)
    assert f"the first port 80 lies below {START_KEY}, 1024" == blocked.reason


def test_unprivileged_ports_above_the_range_are_blocked_by_it():
    """It is so the other way round."""
    before, after = state(32768, 60999), state(32768, 60999, start=40000)
    blocked = first_blocked(steps_between(HOST, before, after), before)

    assert (START_KEY, RANGE_KEY) == (blocked.key, blocked.by)


def test_a_value_that_the_kernel_never_takes_is_blocked_by_nothing_else():
    """No other setting is blamed for a value that is out of bounds."""
    key = setting_named("tcp_tw_reuse").key
    before, after = Settings({**NEW, key: 2}), Settings({**NEW, key: 9})
    blocked = first_blocked(steps_between(HOST, before, after), before)

    assert (key, "") == (blocked.key, blocked.by)


@given(values())
def test_a_boot_can_write_the_lines_of_a_file_in_their_order(after):
    """Each line is taken by a kernel that just booted, whatever the file holds."""
    lines = in_file_order(after.values, Settings(NEW))
    held = state_of(Settings(NEW))
    for key, text in lines.items():
        done = write_whole(key, f"{text}\n".encode(), held)
        assert ("", text) == (done.refusal, done.value)
        held[key] = done.value

    assert {key: kernel_text(value) for key, value in after.values.items()} == lines


def test_a_file_has_what_is_the_default_too():
    """A value is a line also where the kernel has it anyway: another file may say otherwise."""
    lines = in_file_order({START_KEY: 1024, RANGE_KEY: PortRange(32768, 60999)}, Settings(NEW))

    assert {START_KEY: "1024", RANGE_KEY: "32768 60999"} == lines
    assert PortRange(32768, 60999) == parse_value(setting_named("range").type, lines[RANGE_KEY])
