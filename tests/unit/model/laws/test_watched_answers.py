"""What the daemon answers is what the commands answer, of the newest sample."""

import msgspec
import pytest

from portroom.model.facts.answers import Headroom, Sessions, Status
from portroom.model.facts.gaps import Gap
from portroom.model.facts.sample import BELOW_HALF, IN_RANGE, Charge
from portroom.model.facts.watched import Alert
from portroom.model.laws import watched_answers as law
from tests.unit.daemon import made_web
from tests.unit.daemon.made_web import AT, EARLIER, KEYS, NOW, SUMMARY
from tests.unit.render.examples import netns


def asked(known, **changes):
    """Return a Watched of one namespace, and the namespace."""
    return made_web.watched(known, **changes), known


def test_of_a_full_sample_the_status_is_that_of_the_command():
    """Field by field, gaps included."""
    watched, known = asked(made_web.known())

    actual = law.status(watched, known)

    for name in Status.__struct_fields__:
        assert getattr(known.status, name) == getattr(actual, name), name


def test_a_newer_sample_brings_its_keys_and_leaves_the_findings():
    """With the time at which these were found, and the gaps that concern them."""
    known = made_web.known(IN_RANGE, keys=KEYS[:2])
    watched, _ = asked(known)

    actual = law.status(watched, known)

    assert (AT, EARLIER) == (actual.taken_at, actual.full_at)
    assert KEYS[:2] == actual.tightest
    assert known.status.findings == actual.findings
    assert [Gap("boot", "unreadable", ("drift",))] == list(actual.gaps)
    assert {} == actual.sessions.states


def test_below_half_nothing_is_zero():
    """Keys that nobody looked at are not counted, and a gap says why there are none."""
    known = made_web.known(BELOW_HALF)
    watched, _ = asked(known)

    status = law.status(watched, known)
    headroom = law.headroom(watched, known, 100)
    (line,) = law.namespaces(watched, 10).namespaces

    assert (None, ()) == (status.keys_total, status.tightest)
    assert (None, None, ()) == (headroom.keys_total, headroom.keys_omitted, headroom.keys)
    assert (None, None) == (line.tightest, line.keys_total)
    for answer in (status, headroom, line):
        assert Gap("keys", "below half", ("keys",)) in answer.gaps


def test_before_the_first_full_sample_a_status_has_no_findings_and_says_so():
    """There is no time at which they were looked for."""
    known = made_web.known(IN_RANGE, status=None)
    watched, _ = asked(known)

    actual = law.status(watched, known)

    assert (None, ()) == (actual.full_at, actual.findings)
    assert any("findings" in gap.affects for gap in actual.gaps)


def test_headroom_is_told_in_pages():
    """Each key with its own forecast and charges, and how many are left out."""
    sample = made_web.sample()
    charges = tuple((Charge(None, number, "unknown"),) for number in range(len(KEYS)))
    known = made_web.known(sample=msgspec.structs.replace(sample, charges=charges))
    watched, _ = asked(known)

    page = law.headroom(watched, known, 2, 1)

    assert KEYS[1:3] == page.keys
    assert known.forecasts[1:3] == page.forecasts
    assert charges[1:3] == page.charges
    assert (len(KEYS) + 2, len(KEYS)) == (page.keys_total, page.keys_omitted)


def test_all_keys_are_told_where_no_limit_is():
    """A limit of 0 is none."""
    watched, known = asked(made_web.known())

    assert KEYS == law.headroom(watched, known, 0).keys


@pytest.mark.parametrize(("depth", "is_counted"), [("full", True), (IN_RANGE, False)])
def test_states_are_of_a_full_sample_alone(depth, is_counted):
    """The last one's are there with their time; the newest has them or a gap."""
    watched, known = asked(made_web.known(depth))

    actual = law.sessions(watched, known)

    assert is_counted == bool(actual.summary.states)
    assert is_counted == (law.UNCOUNTED not in actual.gaps)
    assert SUMMARY == actual.counted
    assert known.states_at == actual.counted_at


def test_missed_samples_are_a_gap_of_every_answer():
    """An answer of an older sample says that it is."""
    known = made_web.known()
    watched, _ = asked(known, missed_samples=2, error="no netlink")
    gap = Gap("sample", "the last 2 samples could not be taken: no netlink")

    answers = (
        law.status(watched, known),
        law.headroom(watched, known, 1),
        law.sessions(watched, known),
        law.told_with_misses(watched, known.findings),
    )

    assert [gap] * 4 == [answer.gaps[0] for answer in answers]


def test_a_namespace_is_found_by_name_cookie_or_inode():
    """The first is the daemon's own; a name that is not there is none."""
    one, other = made_web.known(), made_web.known(where=netns("db", 7))
    watched = made_web.watched(one, other)

    found = [law.known_as(watched, name) for name in (None, "db", "7", "4026532007", "nowhere")]

    assert [one, other, other, other, None] == found


def test_namespaces_are_told_in_pages():
    """A line each, with the tightest key and how many findings."""
    names = [netns(f"n{number}", number) for number in range(5)]
    watched = made_web.watched(*(made_web.known(where=name) for name in names))

    page = law.namespaces(watched, 2, 1)

    assert names[1:3] == [line.netns for line in page.namespaces]
    assert (5, 3) == (page.namespaces_total, page.namespaces_omitted)
    assert (KEYS[0], {"critical": 1}, 60.0) == (
        page.namespaces[0].tightest,
        page.namespaces[0].findings,
        page.namespaces[0].exhausted_in_s,
    )


def test_how_watching_goes_is_told_with_the_status():
    """Counts, alerts, and what the trace service tells or why it does not."""
    alert = Alert("tight", "warning", "host", "All is held.", "firing", NOW)
    gap = Gap("trace", "not running")
    watched = made_web.watched(alerts=(alert,), failures=gap, errors_total={"A": 1})

    state = law.watch_state(watched)

    assert ((alert,), None, gap, {"A": 1}, 1) == (
        state.alerts,
        state.failures,
        state.failures_gap,
        state.errors_total,
        state.namespaces_total,
    )


@pytest.mark.parametrize(
    ("answer", "command"),
    [
        (law.status, Status),
        (law.sessions, Sessions),
        (lambda watched, known: law.headroom(watched, known, 1), Headroom),
    ],
)
def test_every_field_of_the_command_is_there(answer, command):
    """What only the daemon tells comes besides."""
    watched, known = asked(made_web.known())

    assert set() == set(command.__struct_fields__) - set(
        msgspec.to_builtins(answer(watched, known))
    )
