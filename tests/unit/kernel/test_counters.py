"""sockstat, sockstat6 and snmp become Counters, or an error that says what is off."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from portroom.errors import KernelDataError
from portroom.kernel.counters import parse_counters, parse_established, read_counters
from portroom.model.facts.snapshot import Counters

COUNTERS = st.builds(
    Counters, **{name: st.integers(0, 2**31) for name in Counters.__struct_fields__}
)

SOCKSTAT = """\
sockets: used 57
TCP: inuse 25 orphan 2 tw 7 alloc 46 mem 14
UDP: inuse 6 mem 0
UDPLITE: inuse 1
RAW: inuse 3
FRAG: inuse 4 memory 5000
"""
SOCKSTAT6 = """\
TCP6: inuse 9
UDP6: inuse 4
UDPLITE6: inuse 8
RAW6: inuse 10
FRAG6: inuse 11 memory 9000
"""
SNMP = """\
Ip: Forwarding DefaultTTL
Ip: 2 64
Tcp: RtoAlgorithm RtoMin RtoMax MaxConn ActiveOpens CurrEstab InSegs
Tcp: 1 200 120000 -1 33 24 5000
"""
RECORDED = Counters(
    sockets_used=57,
    tcp_inuse=25,
    tcp_orphan=2,
    tcp_tw=7,
    tcp_alloc=46,
    udp_inuse=6,
    udplite_inuse=1,
    raw_inuse=3,
    frag_inuse=4,
    tcp6_inuse=9,
    udp6_inuse=4,
    udplite6_inuse=8,
    raw6_inuse=10,
    frag6_inuse=11,
    tcp_curr_estab=24,
)


def kernel_files(counters):
    """Return the three files as the kernel prints *counters*."""
    sockstat = (
        f"sockets: used {counters.sockets_used}\n"
        f"TCP: inuse {counters.tcp_inuse} orphan {counters.tcp_orphan} "
        f"tw {counters.tcp_tw} alloc {counters.tcp_alloc} mem 1\n"
        f"UDP: inuse {counters.udp_inuse} mem 2\nUDPLITE: inuse {counters.udplite_inuse}\n"
        f"RAW: inuse {counters.raw_inuse}\nFRAG: inuse {counters.frag_inuse} memory 3\n"
    )
    sockstat6 = (
        f"TCP6: inuse {counters.tcp6_inuse}\nUDP6: inuse {counters.udp6_inuse}\n"
        f"UDPLITE6: inuse {counters.udplite6_inuse}\nRAW6: inuse {counters.raw6_inuse}\n"
        f"FRAG6: inuse {counters.frag6_inuse} memory 4\n"
    )
    snmp = f"Tcp: MaxConn CurrEstab\nTcp: -1 {counters.tcp_curr_estab}\n"
    return sockstat, sockstat6, snmp


def write_files(root, **files):
    """Write *files* below *root* where the calling thread would find them."""
    folder = root / "thread-self/net"
    folder.mkdir(parents=True)
    for name, text in files.items():
        (folder / name).write_text(text)


def test_each_count_is_read_from_its_place():
    """
    Every count comes from its own line and word.
    """
    assert RECORDED == parse_counters(SOCKSTAT, SOCKSTAT6, SNMP)


@given(COUNTERS)
def test_counters_survive_the_kernel_form(counters):
    """
    Parsing what the kernel prints of counters gives those counters.
    """
    assert counters == parse_counters(*kernel_files(counters))


def test_a_kernel_without_udplite_has_none():
    """
    Newer kernels have no UDP-Lite, no line for it and no such socket.
    """
    four = SOCKSTAT.replace("UDPLITE: inuse 1\n", "")
    six = SOCKSTAT6.replace("UDPLITE6: inuse 8\n", "")

    counters = parse_counters(four, six, SNMP)

    assert msgspec.structs.replace(RECORDED, udplite_inuse=0, udplite6_inuse=0) == counters


def test_a_missing_line_is_an_error():
    """
    A count that is not there is named and never 0.
    """
    with pytest.raises(KernelDataError, match=r"sockstat: expected a line TCP: with inuse"):
        parse_counters(SOCKSTAT.replace("TCP:", "XYZ:"), SOCKSTAT6, SNMP)


@pytest.mark.parametrize("line", ["TCP: inuse many", "TCP: inuse", "TCP: inuse 1 tw"])
def test_a_line_out_of_form_is_quoted(line):
    """
    Words without numbers are an error that quotes the line.
    """
    with pytest.raises(KernelDataError) as caught:
        parse_counters(line, SOCKSTAT6, SNMP)

    assert f"sockstat: expected words and numbers by turns, got {line!r}." == str(caught.value)


@pytest.mark.parametrize(
    "snmp", ["", "Tcp: CurrEstab\n", "Tcp: A\nTcp: 1\n", "Tcp: A CurrEstab\nTcp: 1\n"]
)
def test_snmp_without_the_count_is_an_error(snmp):
    """
    Without CurrEstab there is an error that says so.
    """
    with pytest.raises(KernelDataError, match="expected two lines Tcp: with CurrEstab"):
        parse_established(snmp)


def test_the_files_of_the_thread_are_read(tmp_path):
    """
    The files lie below thread-self, so that a thread reads its own namespace.
    """
    write_files(tmp_path, sockstat=SOCKSTAT, sockstat6=SOCKSTAT6, snmp=SNMP)

    assert RECORDED == read_counters(str(tmp_path))


def test_with_ipv6_off_there_are_no_ipv6_sockets(tmp_path):
    """
    A kernel that lists no IPv6 address at all can have no IPv6 socket.
    """
    write_files(tmp_path, sockstat=SOCKSTAT, snmp=SNMP)

    counters = read_counters(str(tmp_path))

    assert (25, 0, 0) == (counters.tcp_inuse, counters.tcp6_inuse, counters.udp6_inuse)


def test_hidden_counts_of_ipv6_are_no_zeros(tmp_path):
    """
    Where IPv6 is on and sockstat6 is missing there is an error, never 0.
    """
    write_files(tmp_path, sockstat=SOCKSTAT, snmp=SNMP, if_inet6="")

    with pytest.raises(KernelDataError, match="sockstat6: expected counts of IPv6 sockets"):
        read_counters(str(tmp_path))
