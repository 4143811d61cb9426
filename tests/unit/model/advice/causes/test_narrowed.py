"""Fewer ports than the range has: the list that reserves them, or the program's own window."""

import msgspec
import pytest

from portroom.model.facts.explanation import FOUND, POSSIBLE, RULED_OUT, UNKNOWN
from portroom.model.facts.gaps import Gap
from portroom.model.facts.scene import ProcessSeen, Window
from portroom.model.facts.sockets import Protocol, TcpState
from portroom.model.facts.surroundings import OpenFiles
from tests.unit.made_causes import AGAIN, IN_USE, PORTS, WEB, of
from tests.unit.made_change import HOST
from tests.unit.made_groups import FORGETS, table

NAME = "narrowed_range"


def seen(*windows, **changes):
    """Return the process with sockets in these windows."""
    process = ProcessSeen(
        owner=WEB, netns=HOST, open_files=OpenFiles(WEB, 10, 1024), windows=windows
    )
    return msgspec.structs.replace(process, **changes)


def window(first, last):
    """Return four sockets with this option."""
    return Window(first=first, last=last, sockets=4)


@pytest.mark.parametrize("error", ["EADDRNOTAVAIL", "EADDRINUSE", "EAGAIN"])
def test_all_ports_reserved_is_found_whatever_looks_for_one(error):
    """And no pool of ports is said to be full: there is none."""
    case = of(error=error, settings={"reserved": "40000-40009"})

    assert [NAME] == case.found()
    assert "whole range 40000-40009 is reserved" in case.causes()[NAME].sentence
    assert "portroom settings reserved" == case.causes()[NAME].command


def test_most_ports_reserved_and_the_rest_held_names_the_list_too():
    """Nine of ten: the connection that has the tenth is not the trouble."""
    case = of(table(PORTS[9]), settings={"reserved": "40000-40008"})

    assert NAME in case.found()
    assert "9 of the 10 ports of the range 40000-40009 (90 %)" in case.causes()[NAME].sentence


def test_most_ports_reserved_and_one_free_is_no_cause():
    """It may be unwise, and nothing fails."""
    assert RULED_OUT == of(settings={"reserved": "40000-40008"}, process=seen()).verdict(NAME)


def test_few_ports_reserved_do_not_narrow_a_full_range():
    """One of ten: the range is used up."""
    case = of(table(*PORTS[1:]), settings={"reserved": "40000"})

    assert ["key_full"] == case.found()
    assert "used up" in case.causes()[NAME].sentence


def test_a_full_window_of_the_process_is_found():
    """Four ports, all held; six others are free, and of no use to it."""
    case = of(table(*PORTS[2:6]), process=seen(window(40002, 40005)))
    cause = case.causes()[NAME]

    assert [NAME] == case.found()
    assert "web (pid 4711) sets IP_LOCAL_PORT_RANGE on 4 sockets" in cause.sentence
    assert "40002-40005" in cause.sentence
    assert 4 == cause.numbers["window_ports"]


@pytest.mark.parametrize(
    ("ports", "asked_for"),
    [(PORTS[2:5], (40002, 40005)), (PORTS[:4], (50000, 50005)), (PORTS[:4], (0, 0))],
)
def test_a_window_with_room_or_without_effect_is_ruled_out(ports, asked_for):
    """One port is free in it, or it lies outside the range and counts for nothing."""
    assert RULED_OUT == of(table(*ports), process=seen(window(*asked_for))).verdict(NAME)


def test_a_window_with_ports_in_doubt_is_possible_until_the_probe_settled_them():
    """Connections to elsewhere may have bound first."""
    elsewhere = table(*PORTS[2:6], remote=("198.51.100.2", 80))
    mine = seen(window(40002, 40005))

    assert POSSIBLE == of(elsewhere, process=mine).verdict(NAME)
    assert FOUND == of(elsewhere, process=mine, held=set(PORTS[2:6])).verdict(NAME)
    assert RULED_OUT == of(elsewhere, process=mine, free={PORTS[2]}).verdict(NAME)


def test_a_window_counts_for_udp_and_for_bind0_as_well():
    """Four UDP sockets in a window of four; four TCP sockets for bind() to port 0."""
    mine = seen(window(40002, 40005))
    udp = table(*PORTS[2:6], local="0.0.0.0", protocol=Protocol.UDP)

    assert FOUND == of(udp, error=AGAIN, to=None, process=mine).verdict(NAME)
    assert FOUND == of(table(*PORTS[2:6]), error=IN_USE, to=None, process=mine).verdict(NAME)


def test_a_window_whose_ports_are_reserved_is_full():
    """The list counts inside it, too."""
    case = of(process=seen(window(40002, 40003)), settings={"reserved": "40002-40003"})

    assert FOUND == case.verdict(NAME)


def test_what_a_window_is_cannot_be_known_without_the_process():
    """Not named, not seen, or not to be asked: each says what to do."""
    unnamed = of().causes()[NAME]
    unseen = of(process=Gap("process", "gone")).causes()[NAME]
    hidden = of(process=seen(windows=Gap("pidfd_getfd", "needs CAP_SYS_PTRACE"))).causes()[NAME]

    assert {UNKNOWN} == {one.verdict for one in (unnamed, unseen, hidden)}
    assert "--pid PID --remote 198.51.100.1:443" in unnamed.command
    assert "gone" in unseen.sentence
    assert "CAP_SYS_PTRACE" in hidden.sentence


def test_other_errnos_of_the_protocol_are_not_about_ports():
    """UDP has no EADDRNOTAVAIL of want of a port, TCP no EAGAIN."""
    assert None is of(asked={"protocol": Protocol.UDP}).verdict(NAME)
    assert None is of(error=AGAIN, asked={"protocol": Protocol.TCP}).verdict(NAME)


def test_a_named_port_is_looked_for_nowhere():
    """The window does not matter then."""
    case = of(
        table(*PORTS, state=TcpState.ESTABLISHED),
        process=seen(window(40002, 40005)),
        asked={"from_port": 40001},
    )

    assert RULED_OUT == case.verdict(NAME)


def test_no_program_narrows_the_range_where_sockets_have_no_window():
    """Nobody has to be named to know that."""
    without = msgspec.structs.replace(FORGETS, range_option=False)
    cause = of(features=without).causes()[NAME]

    assert RULED_OUT == cause.verdict
    assert "no socket has a window of its own: this kernel has no such option" in cause.sentence
