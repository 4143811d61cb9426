"""Random histories: whatever has happened, the prediction holds.

Every comparison predicts without and with the probe, then does it until the
kernel refuses, and takes it back. PORTROOM_TESTS=full plays four times more.
"""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.kernel import needs
from tests.kernel.histories import PLACES, SOURCES, History

HISTORIES = needs.rounds(60, full=240, in_guest=15)

STEPS = 40
LEAST_STEPS = HISTORIES * STEPS * 5 // 6
COMPARE_EVERY = 5


def step(name, *parts):
    """Return a strategy for one kind of step."""
    return st.tuples(st.just(name), *parts)


SERVER = st.integers(0, 1)
OFFSET = st.integers(0, 7)
ANY_PORT = st.none() | OFFSET
PICK = st.integers(0, 30)
PLACE = st.sampled_from(PLACES)
SOURCE = st.sampled_from((None, None, *SOURCES, "::1"))
BOUND_SOURCE = st.sampled_from((*SOURCES, "::1"))
YES_NO = st.booleans()

ANY_STEP = st.one_of(
    step("connect", SOURCE, SERVER, YES_NO),
    step("connect", SOURCE, SERVER, YES_NO),
    step("connect_bound", BOUND_SOURCE, SERVER, ANY_PORT, YES_NO),
    step("bind", PLACE, ANY_PORT, YES_NO, YES_NO, YES_NO),
    step("listen", st.none() | PLACE, ANY_PORT, YES_NO),
    step("listen_bound", PICK),
    step("inbound", PICK, YES_NO, YES_NO),
    step("close", PICK),
    step("reset", PICK),
    step("finish", PICK, YES_NO),
    step("finish", PICK, YES_NO),
    step("dissolve", PICK),
    step("reserve", st.frozensets(OFFSET, max_size=2)),
)

RANGES = st.sampled_from((4, 6, 8, 4, 6, 8, 5, 7))
REUSE = st.sampled_from((0, 0, 2))
HISTORY = st.lists(ANY_STEP, min_size=STEPS, max_size=STEPS)


def played_out(history, steps):
    """Play a history; return what was not foretold, or "", and how often was compared."""
    return history.play(steps, COMPARE_EVERY), history.comparisons


def test_every_history_is_foretold(netns, record_property):
    """
    At every point of a random history the kernel does as predicted.

    With the probe to the very port, but for a same-parity range, which may
    lose one, and for TIME_WAIT that can be reused, which a probe would eat. Where the
    kernel cannot tell of each port, or lists no bound socket, the span holds.
    """
    played = histories = comparisons = 0
    settles_all = needs.settles_all()

    @settings(
        max_examples=HISTORIES,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
    @given(ports=RANGES, reuse=REUSE, steps=HISTORY)
    def every_history(ports, reuse, steps):
        nonlocal played, histories, comparisons
        exact = settles_all and ports % 2 == 0 and reuse == 0
        found, compared = netns(
            lambda: played_out(History(ports, exact=exact), steps),
            ip_local_port_range=f"40000 {40000 + ports - 1}",
            tcp_tw_reuse=reuse,
        )
        played += len(steps)
        histories += 1
        comparisons += compared

        assert not found, found

    try:
        every_history()
    finally:
        record_property("histories", histories)
        record_property("comparisons", comparisons)

    assert played >= LEAST_STEPS
