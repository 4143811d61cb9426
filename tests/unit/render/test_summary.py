"""Sessions in numbers say what `ss -s` says, and which figures are system-wide."""

from portroom.model.facts.snapshot import Gap
from portroom.render import summary
from portroom.render.units import Style, columns
from tests.unit.render import examples


def test_the_figures_of_ss_are_there_and_marked():
    """The line TCP, Total, and the ports in use; a star where the system counts."""
    actual = summary.totals(examples.SUMMARY).replace("\u00a0", " ")

    assert actual == (
        "ss -s: TCP total 43,915*, estab 2,655, closed 41,080*, orphaned 159*, "
        "timewait 41,080; Total 2,933; 30,347 local ports in use (*: whole system)"
    )


def test_at_80_columns_all_stands_side_by_side():
    """By state for TCP and UDP, beside the transport table."""
    actual = summary.as_lines(examples.SUMMARY, Style(width=80))

    assert actual[0] == ("TCP BY STATE  43,756   UDP BY STATE  12   TRANSPORT  TOTAL   IPv4  IPv6")
    assert all(columns(line) <= 80 for line in actual)


def test_at_40_columns_all_is_still_there():
    """Blocks go below each other and nothing is wider than the terminal."""
    actual = summary.as_lines(examples.SUMMARY, Style(width=40))

    assert all(columns(line) <= 40 for line in actual)
    assert {line.split()[0] for line in actual if line} >= {"TCP", "UDP", "INET"}


def test_states_that_could_not_be_read_are_not_told_as_none():
    """Without the sockets the blocks by state are left out; the counters stay."""
    gap = Gap("groups", "refused", ("sessions.states", "sessions.udp_states"))

    actual = summary.as_lines(examples.EMPTY_SUMMARY, Style(width=80), gaps=[gap])

    assert not any("BY STATE" in line for line in actual)
    assert actual[0].startswith("TRANSPORT")


def test_no_star_without_a_system_wide_figure():
    """Where every figure is of this namespace, nothing is explained."""
    import msgspec

    local = msgspec.structs.replace(examples.SUMMARY, system_wide=())

    actual = summary.as_lines(local, Style(width=0))

    assert not any("*" in line for line in actual)
