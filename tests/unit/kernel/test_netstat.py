"""snmp and netstat become event counts, or an error that says what is off."""

import pytest
from hypothesis import given
from hypothesis import strategies as some

from portroom.errors import KernelDataError
from portroom.kernel.netstat import parse_count, parse_net_counts, read_net_counts
from portroom.model.facts.scene import NetCounts

SNMP = """\
Ip: Forwarding DefaultTTL
Ip: 2 64
Tcp: RtoAlgorithm MaxConn ActiveOpens CurrEstab
Tcp: 1 -1 41 3
Udp: InDatagrams
Udp: 0
"""

NETSTAT = """\
TcpExt: TW TWRecycled ListenOverflows ListenDrops TCPTimeWaitOverflow
TcpExt: 9 42 43 44 45
IpExt: InNoRoutes
IpExt: 0
"""

COUNTS = NetCounts(
    active_opens=41,
    time_wait_overflow=45,
    time_wait_reused=42,
    listen_overflows=43,
    listen_drops=44,
)


def test_each_count_is_the_one_below_its_name():
    """
    Whatever stands beside it, and other groups are left alone.
    """
    assert COUNTS == parse_net_counts(SNMP, NETSTAT)


def test_the_files_of_the_thread_are_read(tmp_path):
    """
    Of a thread inside of another namespace, they are that namespace's.
    """
    folder = tmp_path / "thread-self" / "net"
    folder.mkdir(parents=True)
    (folder / "snmp").write_text(SNMP)
    (folder / "netstat").write_text(NETSTAT)

    assert COUNTS == read_net_counts(str(tmp_path))


def test_a_missing_file_is_no_zero(tmp_path):
    """
    Whoever cannot read is told so.
    """
    with pytest.raises(FileNotFoundError):
        read_net_counts(str(tmp_path))


@pytest.mark.parametrize("name", ["TWRecycled", "ListenOverflows", "TCPTimeWaitOverflow"])
def test_a_missing_count_is_an_error_that_names_it(name):
    """
    It is never zero.
    """
    with pytest.raises(KernelDataError, match=f"netstat: expected two lines TcpExt: with {name}"):
        parse_net_counts(SNMP, NETSTAT.replace(name, "Other"))


@given(some.text(alphabet="Tcp: 1-x\n", max_size=80))
def test_any_text_is_read_or_refused(text):
    """
    Nothing but a number or an error in words comes out.
    """
    try:
        found = parse_count(text, "Tcp", "x", "snmp")
    except KernelDataError:
        return

    assert isinstance(found, int)
