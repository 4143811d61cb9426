"""What the kernel makes of a written text is foretold: count, errno and value.

PORTROOM_TESTS=full writes twelve times as many random texts.
"""

from __future__ import annotations

import errno
import functools
import itertools
import os
from pathlib import Path
from random import Random

import pytest

from portroom.kernel.sysctl import read_value, sysctl_path
from portroom.model.facts.settings import SETTINGS, Scope
from portroom.model.laws.acceptance import (
    KNOWN,
    RANGE_KEY,
    RESERVED_KEY,
    START_KEY,
    USUAL_BUILD,
    canonical,
    write_once,
    write_whole,
)
from tests.kernel import harness, needs
from tests.kernel.written_bytes import any_bytes
from tests.unit.written_values import FIN_TIMEOUT, NEW, PARTS, ROWS, WHOLE_ROWS

WRITES = needs.rounds(2_000, full=24_000, in_guest=250)

OF_A_NAMESPACE = [row.key for row in SETTINGS if row.scope is Scope.NAMESPACE]
SYSTEM_WIDE = [row.key for row in SETTINGS if row.scope is Scope.SYSTEM]


@pytest.fixture(scope="module", autouse=True)
def system_stays_as_it_is():
    """Fail if a sysctl of the whole system is not what it was."""
    paths = [Path(sysctl_path(key)) for key in SYSTEM_WIDE]
    before = [path.read_text() for path in paths if path.exists()]
    yield
    after = [path.read_text() for path in paths if path.exists()]

    assert before == after


class Descriptor:
    """A sysctl that is open for writing; each write goes on where the last one ended."""

    def __init__(self, key):
        self.handle = os.open(sysctl_path(key), os.O_WRONLY)
        self.offset = 0

    def write(self, data):
        """Write once and return the count and, if it is refused, the name of the errno."""
        try:
            count = os.pwrite(self.handle, data, self.offset)
        except OSError as error:
            return 0, errno.errorcode[error.errno]
        self.offset += count
        return count, ""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.close(self.handle)


def write(key, data, offset=0):
    """Write once at an offset: count, value afterwards, errno."""
    with Descriptor(key) as descriptor:
        descriptor.offset = offset
        count, refusal = descriptor.write(data)
    return count, held(key), refusal


def go_on(key, data):
    """Write all of *data* as a Python loop does: count, value afterwards, errno."""
    with Descriptor(key) as descriptor:
        while True:
            count, refusal = descriptor.write(data)
            data = data[count:]
            if refusal or not data:
                return descriptor.offset, held(key), refusal


def held(key):
    """Return what a sysctl holds, read whole by one read of 1 MiB."""
    return canonical(read_value(key))


def put(state):
    """Make the sysctls hold *state*, whatever they hold now."""
    # The range may begin anywhere while the start is 0, and the start comes last.
    for key, value in [(START_KEY, "0"), *state.items(), (START_KEY, state[START_KEY])]:
        go_on(key, f"{value}\n".encode())


@functools.cache
def told_short():
    """
    Return the sysctls of which this kernel tells a shorter count than the law's.

    Where something follows the number, the count ends before it: so it is of more
    sysctls on earlier kernels than 6.18, and on later ones. The value is the same.
    """

    def job():
        found = []
        for key in filter(lambda key: Path(sysctl_path(key)).exists(), OF_A_NAMESPACE):
            data = f"{held(key)} junk".encode()
            if write(key, data)[0] < write_once(key, data, {key: held(key)}).consumed_bytes:
                found.append(key)
        return found

    return () if harness.refusal() else tuple(harness.in_namespace(job))


def tells_rest(row):
    """Return a row of the law with the shorter count."""
    return row._replace(shape=row.shape._replace(tells_rest=True))


@pytest.fixture(autouse=True)
def counts_as_here(monkeypatch):
    """Let the law tell the counts of this kernel."""
    for key in told_short():
        monkeypatch.setitem(KNOWN, key, tells_rest(KNOWN[key]))


@functools.cache
def build():
    """Return what the kernel was built with, as one may ask it in a namespace."""
    page_bytes = os.sysconf("SC_PAGE_SIZE")
    for ticks_per_s in (1000, 300, 250, 100):
        # The highest number of seconds of which an int can count the ticks.
        if write(FIN_TIMEOUT, b"%d" % ((2**31 - 1) // ticks_per_s + 1))[2]:
            write(FIN_TIMEOUT, b"60")
            return USUAL_BUILD._replace(page_bytes=page_bytes, ticks_per_s=ticks_per_s)
    raise AssertionError("tcp_fin_timeout has no limit here")


@functools.cache
def answers():
    """Return what the kernel answers to each row, and what it holds before: one namespace."""
    if reason := harness.refusal():
        pytest.skip(f"no private network namespace: {reason}")

    def job():
        found = {}
        for rows, doing in ((ROWS, write), (WHOLE_ROWS, go_on)):
            for row in rows:
                put(row.state)
                before = {key: held(key) for key in row.state}
                found[doing.__name__, row.id] = before, doing(row.key, row.data)
        return found

    return harness.in_namespace(job)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_one_write_does_what_the_row_says(row):
    """Count, value and errno of one write(2) are those of the row, and of the law."""
    before, answer = answers()["write", row.id]
    foretold = write_once(row.key, row.data, before)[:3]
    consumed_bytes = foretold[0] if row.key in told_short() else row.consumed_bytes

    assert row.state == before
    assert (consumed_bytes, row.value, row.refusal) == answer
    assert foretold == answer


@pytest.mark.parametrize("row", WHOLE_ROWS, ids=lambda row: row.id)
def test_a_writer_that_goes_on_does_what_the_row_says(row):
    """Count, value and errno of a loop of writes are those of the row, and of the law."""
    before, answer = answers()["go_on", row.id]

    assert row.state == before
    assert (row.consumed_bytes, row.value, row.refusal) == answer
    assert write_whole(row.key, row.data, before)[:3] == answer


@pytest.mark.parametrize(("key", "parts", "value"), PARTS)
def test_a_later_write_adds_to_a_list_and_changes_no_number(netns, key, parts, value):
    """Several writes on one descriptor: only a list takes more than the first."""

    def job():
        with Descriptor(key) as descriptor:
            for part in parts:
                descriptor.write(part)
        return held(key)

    assert value == netns(job)


@pytest.mark.parametrize("seed", range(4))
def test_random_bytes_are_taken_as_foretold(netns, seed):
    """Whatever is written to a sysctl of a namespace, at any offset, in any state."""
    differences, refusals = netns(write_random_bytes, Random(seed))

    assert [] == differences
    assert WRITES / 5 < refusals < WRITES * 4 / 5


@pytest.mark.parametrize("seed", range(2))
def test_random_bytes_are_written_whole_as_foretold(netns, seed):
    """The same, for a writer that goes on after a short count."""
    differences, refusals = netns(write_random_bytes, Random(seed + 100), True)

    assert [] == differences
    assert WRITES / 5 < refusals < WRITES * 4 / 5


def write_random_bytes(random, whole=False):
    """
    Write random texts to random sysctls and return where the law was wrong.

    Also returned is how many were refused: texts of which nearly all, or nearly
    none are would say little.
    """
    keys = [key for key in OF_A_NAMESPACE if Path(sysctl_path(key)).exists()]
    often = [RANGE_KEY, RESERVED_KEY, START_KEY] * 6
    state = {key: held(key) for key in keys}
    differences, refusals = [], 0
    for number in range(WRITES):
        if number % 10 == 0:
            put(random_state(random))
            state = {key: held(key) for key in keys}
        key = random.choice(keys + often)
        deciding = [int(word) for word in f"{state[RANGE_KEY]} {state[START_KEY]}".split()]
        data = any_bytes(random, deciding, is_list=key == RESERVED_KEY)
        offset = 0 if whole else random.choice((0,) * 9 + (1, 5, 4_095))
        if whole:
            foretold, answer = write_whole(key, data, state, build=build()), go_on(key, data)
        else:
            foretold = write_once(key, data, state, offset=offset, build=build())
            answer = write(key, data, offset)
        if foretold[:3] != answer or (foretold.refusal and not foretold.reason):
            differences.append((key, data, offset, state[key], foretold, answer))
        refusals += bool(answer[2])
        state[key] = answer[1]
    return differences[:5], refusals


def random_state(random):
    """Return a range, a start below it and a few reserved ports."""
    start = random.choice((0, 80, 1024, 15_000, random.randrange(32_768)))
    first = max(1, start + random.choice((0, 1, random.randrange(20_000))))
    last = random.choice((first, 60_999, 65_535, random.randrange(first, 65_536)))
    runs = random.choice(("", "8080", "0-3,7000", "1024,65535"))
    return {RANGE_KEY: f"{first} {max(first, last)}", RESERVED_KEY: runs, START_KEY: str(start)}


@pytest.mark.parametrize("key", SYSTEM_WIDE)
def test_a_system_wide_sysctl_takes_what_it_holds(monkeypatch, key):
    """
    The value that is there is taken, with junk behind it too; junk alone is refused.

    Nothing else may be written: it would change the host. Without a right to
    write, or without the sysctl, there is nothing to compare. Another kernel may
    tell shorter counts, throughout.
    """
    path = Path(sysctl_path(key))
    if not os.access(path, os.W_OK):
        return
    value = held(key)
    junk = itertools.product((value, "", "x" + value), ("", "\n", " junk", "junk", ";"))
    texts = [f"{start}{end}".encode() for start, end in junk]
    foretold = [write_once(key, data, {key: value})[:3] for data in texts]
    monkeypatch.setitem(KNOWN, key, tells_rest(KNOWN[key]))
    earlier = [write_once(key, data, {key: value})[:3] for data in texts]

    assert {value} == {one[1] for one in foretold}
    assert [one[1:] for one in foretold] == [one[1:] for one in earlier]
    assert [write(key, data) for data in texts] in (foretold, earlier)


def test_every_sysctl_that_the_law_knows_is_tried():
    """Each is written at random, or is system-wide and written as it is."""
    assert set(KNOWN) == {*OF_A_NAMESPACE, *SYSTEM_WIDE}
    assert set(NEW) <= set(OF_A_NAMESPACE)
