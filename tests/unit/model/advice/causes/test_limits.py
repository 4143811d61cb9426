"""Limits beside ports: open files, unix sockets, and what nobody reads: firewalls."""

import msgspec
import pytest

from portroom.model.facts.explanation import FOUND, POSSIBLE, RULED_OUT, UNKNOWN
from portroom.model.facts.gaps import Gap
from portroom.model.facts.scene import ProcessSeen, SystemFiles, UnixBacklog
from portroom.model.facts.sockets import Protocol
from portroom.model.facts.surroundings import OpenFiles, Surroundings
from tests.unit.made_causes import AGAIN, WEB, of
from tests.unit.made_change import HOST

FILES, UNIX = "open_files", "unix_backlog_full"


def process(used, limit=1024, **changes):
    """Return the process with so many open files."""
    seen = ProcessSeen(owner=WEB, netns=HOST, open_files=OpenFiles(WEB, used, limit), windows=())
    return msgspec.structs.replace(seen, **changes)


def files(error="EMFILE", **parts):
    """Return a question about open files."""
    return of(error=error, to=None, **parts)


@pytest.mark.parametrize(
    ("used", "verdict"), [(1024, FOUND), (1030, FOUND), (1000, POSSIBLE), (512, RULED_OUT)]
)
def test_the_limit_of_the_process_decides_emfile(used, verdict):
    """At the limit, near it, or far from it."""
    case = files(process=process(used))

    assert verdict == case.verdict(FILES)
    assert f"web (pid 4711) has {used:,} of 1,024 files open" in case.causes()[FILES].sentence


def test_without_a_process_those_with_connections_are_judged():
    """The fullest of them; where none was seen, one has to be named."""
    seen = Surroundings(open_files=(OpenFiles(WEB, 1, 9000), OpenFiles(WEB, 1024, 1024)))

    assert FOUND == files(around=seen).verdict(FILES)
    assert UNKNOWN == files().verdict(FILES)
    assert "portroom explain EMFILE --pid PID" == files().causes()[FILES].command


def test_files_of_a_process_that_could_not_be_counted_are_unknown():
    """With the right that is missing, or since it is gone."""
    hidden = process(1, open_files=Gap("open_files", "needs CAP_SYS_PTRACE"))

    assert "CAP_SYS_PTRACE" in files(process=hidden).causes()[FILES].sentence
    assert UNKNOWN == files(process=hidden).verdict(FILES)
    assert UNKNOWN == files(process=Gap("process", "gone")).verdict(FILES)


@pytest.mark.parametrize(("used", "verdict"), [(1000, FOUND), (960, POSSIBLE), (10, RULED_OUT)])
def test_the_limit_of_the_system_decides_enfile(used, verdict):
    """Whatever the process has."""
    case = files("ENFILE", files=SystemFiles(used, 1000), process=process(1024))

    assert verdict == case.verdict(FILES)


def test_files_of_the_system_that_nobody_read_are_unknown():
    """The gap is told in words, not in code."""
    cause = files("ENFILE").causes()[FILES]

    assert UNKNOWN == cause.verdict
    assert cause.sentence.endswith("nobody looked.")


def test_either_limit_is_found_where_any_failure_is_asked_for():
    """The graver verdict is told."""
    full, calm = SystemFiles(1000, 1000), SystemFiles(1, 1000)

    assert FOUND == files(None, files=full, process=process(1)).verdict(FILES)
    assert FOUND == files(None, files=calm, process=process(1024)).verdict(FILES)
    assert RULED_OUT == files(None, files=calm, process=process(1)).verdict(FILES)


def backlog(waiting, limit=1):
    """Return one listening unix socket."""
    return UnixBacklog(path="/run/web.sock", waiting=waiting, limit=limit, owners=(WEB,))


def test_a_unix_backlog_is_full_once_more_than_the_limit_wait():
    """And no port is to blame for the EAGAIN."""
    case = of(error=AGAIN, to=None, backlogs=(backlog(0), backlog(2)))

    assert [UNIX] == case.found()
    assert "2 connections wait at the unix socket /run/web.sock, which takes 1" in (
        case.causes()[UNIX].sentence
    )
    assert RULED_OUT == of(error=AGAIN, to=None, backlogs=(backlog(1),)).verdict(UNIX)
    assert RULED_OUT == of(error=AGAIN, to=None).verdict(UNIX)


def test_an_internet_socket_has_no_unix_backlog():
    """Asked about a destination or a protocol, it is not the cause."""
    full = (backlog(2),)

    assert RULED_OUT == of(error=AGAIN, backlogs=full).verdict(UNIX)
    asked = {"protocol": Protocol.UDP}
    assert None is of(error=AGAIN, to=None, backlogs=full, asked=asked).verdict(UNIX)


def test_unix_sockets_that_could_not_be_read_are_unknown():
    """The next command shows them."""
    cause = of(error=AGAIN, to=None, backlogs=Gap("unix_diag", "ENOENT")).causes()[UNIX]

    assert (UNKNOWN, "ss -xl") == (cause.verdict, cause.command)


def test_rules_of_a_firewall_are_never_guessed():
    """SELinux is named where it enforces."""
    plain = of(error="EPERM").causes()["firewall_refuses"]
    enforcing = of(error="EPERM", around=Surroundings(selinux="enforcing"))

    assert (UNKNOWN, "nft list ruleset") == (plain.verdict, plain.command)
    assert "SELinux" not in plain.sentence
    assert "ausearch" in enforcing.causes()["firewall_refuses"].sentence


def test_a_firewall_that_drops_is_no_eperm_of_tcp():
    """connect() waits for an answer then; a UDP send fails at once."""
    tcp = of(error="EPERM", asked={"protocol": Protocol.TCP}).causes()["firewall_refuses"]
    udp = of(error="EPERM", asked={"protocol": Protocol.UDP}).causes()["firewall_refuses"]

    assert "from a firewall" not in tcp.sentence
    assert "drops gets ETIMEDOUT" in tcp.sentence
    assert "from a firewall that drops what a UDP socket" in udp.sentence
    assert "ETIMEDOUT" not in udp.sentence
