"""``portroom sessions`` says what ``ss`` says, row by row, and filters as told."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import json
import os
import struct
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from portroom.api import sessions as look
from portroom.api.source import Live, Saved
from portroom.kernel import bytecode
from portroom.kernel import snapshot as reading
from portroom.kernel.columns import Columns
from portroom.kernel.netlink import NETLINK_SOCK_DIAG, Netlink
from portroom.kernel.rows import EVERYTHING, RowsQuery, read_rows
from portroom.kernel.sock_diag import SOCK_DIAG_BY_FAMILY, request
from portroom.model.facts.ports import PortRange
from portroom.model.facts.snapshot import Rows
from portroom.model.facts.sockets import Family, Protocol, TcpState, packed_address
from portroom.model.laws import sessions as law
from portroom.model.laws.endpoint_filter import parse_endpoint_filter
from portroom.model.laws.session_words import parse_states
from portroom.model.laws.sessions import SessionsQuestion
from tests.kernel import crowd, needs
from tests.kernel.harness import in_child, wait_until
from tests.kernel.sockets import connected, listener, tcp

SS = ["ss", "-OHtuawMne"]
RAW_IN_SS = {"???": "raw", "icmp6": "raw"}
"""Where raw_diag tells of raw sockets, ss has these words for them."""

FROM_SS = {"udp", "tcp", "raw", "mptcp"}
ONLY_BOUND = "BOUND_INACTIVE"
HELD = {state.name for state in TcpState} - {"CLOSING", "NEW_SYN_RECV"}


def say(*words):
    """Return what ``portroom sessions`` prints."""
    command = [sys.executable, "-m", "portroom", "sessions", *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def still(read):
    """Return what *read* gives once two readings agree, to one taken between."""
    pairs = []

    def stands():
        """Read twice, with portroom between."""
        before, ours, after = read(), json.loads(say("-o", "json")), read()
        pairs.append((before, ours))
        return before == after

    wait_until(stands, "the sockets stand still", deadline_s=30)
    return pairs[-1]


def crowd_in_both():
    """Return the crowd as ``ss`` and as portroom lists it."""
    crowd.gather()
    return still(ss_rows)


def ss_rows():
    """Return the rows of ``ss`` as tuples, sorted; timers, which move, left out."""
    text = subprocess.run(SS, check=True, capture_output=True, text=True).stdout
    return sorted(map(ss_row, text.splitlines()))


def ss_row(line):
    """Return one row of ``ss``: protocol, state, queues, ends, inode."""
    protocol, state, recv, send, local, remote, *rest = line.split()
    protocol = RAW_IN_SS.get(protocol, protocol)
    (number,) = parse_states([state])
    found = [word for word in rest if word.startswith("ino:")]
    inode = int(found[0][4:]) if found and protocol != "raw" else 0
    ends = (*ss_endpoint(local), *ss_endpoint(remote))
    return (protocol, number.name, int(recv), int(send), *ends, inode)


def ss_endpoint(text):
    """Return address and port of ``[::ffff:127.0.0.1]:80``; wildcards as ``*``."""
    address, _, port = text.rpartition(":")
    address = address.strip("[]").partition("%")[0].removeprefix("::ffff:")
    wildcard = address in {"*", "0.0.0.0", "::"}
    return "*" if wildcard else address, 0 if port == "*" else int(port)


def our_row(session):
    """Return one of our sessions in the form of ``ss_row``."""
    remote = session["remote_address"] or "*", session["remote_port"] or 0
    local = session["local_address"]
    local = "*" if local in {"0.0.0.0", "::"} else local
    inode = 0 if session["protocol"] == "raw" else session["inode"] or 0
    return (
        session["protocol"],
        session["state"],
        session["recv_queue_bytes"],
        session["send_queue_bytes"],
        local,
        session["local_port"],
        *remote,
        inode,
    )


def test_the_rows_are_those_of_ss(netns):
    """Each socket that ``ss`` lists, and none else, with the same figures."""
    theirs, answer = netns(crowd_in_both)
    ours = sorted(
        our_row(session)
        for session in answer["sessions"]
        if session["protocol"] in FROM_SS and session["state"] != "BOUND_INACTIVE"
    )

    assert theirs == ours
    assert [] == answer["gaps"]
    assert len(answer["sessions"]) == answer["sessions_total"]


def test_every_state_that_can_be_held_is_listed(netns):
    """Of each TCP state a row, also those that ``ss`` cannot show."""
    _, answer = netns(crowd_in_both)
    rows = [one for one in answer["sessions"] if one["protocol"] == "tcp"]
    bound = [row["local_port"] for row in rows if row["state"] == "BOUND_INACTIVE"]

    told = needs.features().bound_inactive_rows

    assert {row["state"] for row in rows} == HELD - ({"CLOSE"} if told else {"CLOSE", ONLY_BOUND})
    assert sorted(bound) == ([9010, 9011, 9012] if told else [])
    expected = {"tcp", "udplite", "raw", "mptcp", "udp"} - crowd.missing()
    assert expected == {one["protocol"] for one in answer["sessions"]}


def test_owners_are_named_where_the_kernel_has_one(netns):
    """A socket with an inode has this process; one without has neither user nor owner."""
    _, answer = netns(crowd_in_both)
    owned = [one for one in answer["sessions"] if one["inode"]]
    unowned = [one for one in answer["sessions"] if not one["inode"]]

    assert {1} == {len(one["owners"]) for one in owned}
    assert {(None, 0)} == {(one["uid"], len(one["owners"])) for one in unowned}
    assert "TIME_WAIT" in {one["state"] for one in unowned}


FILTERS = [
    {"states": parse_states(["listen"])},
    {"states": parse_states(["syn-recv"])},
    {"states": parse_states(["bound-inactive"])},
    {"states": parse_states(["close"])},
    {"states": parse_states(["connected"])},
    {"states": parse_states(["bucket"])},
    {"states": parse_states(["time-wait", "fin-wait-2"])},
    {"protocols": (Protocol.UDP, Protocol.RAW)},
    *({"local": parse_endpoint_filter(text)} for text in (":9002", ":9000-9010", ":1")),
    *({"remote": parse_endpoint_filter(text)} for text in (":9002", ":9000-9010", ":0")),
    *(
        {end: parse_endpoint_filter(text)}
        for end in ("local", "remote")
        for text in (
            "127.0.0.1",
            "127.0.0.0/29",
            "0.0.0.0",
            "0.0.0.0/0",
            "::1",
            "::/0",
            "::",
            "127.0.0.0/8:9000",
            "[::1]:9001",
            "::ffff:127.0.0.1",
        )
    ),
]


def filtered():
    """Return for each filter the rows of a filtered dump, and of a filtered list."""
    crowd.gather()
    every = read_rows().rows
    found = []
    for wanted in FILTERS:
        question = SessionsQuestion(**wanted)
        mine = read_rows(RowsQuery(**wanted)).rows
        found.append((told(mine, question), told(every, question), len(mine.state)))
    return found, len(every.state)


def told(rows, question):
    """Return the rows that a question selects, without queues, in no order."""
    names = ("protocol", "family", "state", "local_address", "local_port")
    columns = [getattr(rows, name) for name in (*names, "remote_address", "remote_port")]
    places = law.select(rows, question)
    return Counter(tuple(column[place] for column in columns) for place in places)


def test_a_filter_in_the_kernel_is_the_filter_of_the_model(netns):
    """Filtering in the kernel and filtering a whole list give the same rows."""
    found, everything = netns(filtered)

    for wanted, (mine, theirs, _) in zip(FILTERS, found, strict=True):
        assert theirs == mine, wanted
    at_work = sum(dumped < everything for _, _, dumped in found)

    nothing = [wanted for wanted, (_, theirs, _) in zip(FILTERS, found, strict=True) if not theirs]
    told = needs.features().bound_inactive_rows

    assert nothing == ([] if told else [{"states": {TcpState.BOUND_INACTIVE}}])
    # All are at work in the kernel already, but for any IPv4 address at either end.
    assert len(FILTERS) - 2 == at_work


def dumped(*conditions, family=Family.IPV4):
    """Return the local ports of the TCP sockets that a filter program passes."""
    columns = Columns()
    with Netlink(NETLINK_SOCK_DIAG) as netlink:
        asked = request(family, 6, 0xFFFFFFFF, filter=bytecode.program(conditions))
        for datagram in netlink.dump(SOCK_DIAG_BY_FAMILY, asked):
            columns.append(datagram, Protocol.TCP, family)
    return sorted(columns.rows.local_port)


def programs():
    """
    Return the ports that each builder of filter programs lets pass.

    Two sockets are only bound, or listen where the kernel lists no others.
    """
    listener("127.0.0.1", 9000)
    others = [tcp(("127.0.0.1", 9001)), tcp(("127.0.0.2", 9002), device="lo")]
    if not needs.features().bound_inactive_rows:
        for made in others:
            made.listen()
    client = connected(("127.0.0.1", 9000))
    port = client.getsockname()[1]
    auto = bytecode.automatic()
    here = bytecode.local_address(*packed_address("127.0.0.1"), 32)
    lo = bytecode.device(1)
    only = bytecode.local_ports(PortRange(9000, 9001))
    return port, [
        dumped(auto),
        dumped(bytecode.unless(auto)),
        dumped(bytecode.unless(auto), *only),
        dumped(*only, bytecode.unless(auto), bytecode.unless(lo)),
        dumped(lo),
        dumped(bytecode.unless(lo), here, *only),
        dumped(bytecode.unless(here)),
        dumped(*bytecode.remote_ports(PortRange(9000, 9000))),
        dumped(*bytecode.local_ports(PortRange(65535, 65535))),
        dumped(bytecode.unless(bytecode.unless(auto))),
    ]


def test_the_kernel_takes_each_program_and_does_what_it_says(netns):
    """No builder makes a program that the kernel's audit refuses."""
    port, found = netns(programs, ip_local_port_range="40000 40009")
    # The accepted socket counts as automatic, though its listener is not.
    accepted = 9000

    assert [
        [accepted, port],
        [9000, 9001, 9002],
        [9000, 9001],
        [9000, 9001],
        [9002],
        [9000, accepted, 9001],
        [9002],
        [port],
        [],
        [accepted, port],
    ] == found


def saved():
    """Return a live answer and that of a Snapshot with sessions, of a still crowd."""
    crowd.gather()
    question = SessionsQuestion(sort=(law.SortKey("local"), law.SortKey("inode")))
    pairs = []

    def stands():
        """Read twice, with a Snapshot between."""
        before = look.sessions(question, Live())
        read = look.add_sessions(reading.take(reading.Wanted()))
        pairs.append((before, look.sessions(question, Saved(read))))
        return before.sessions == look.sessions(question, Live()).sessions

    wait_until(stands, "the sockets stand still")
    live, replayed = pairs[-1]
    return live.sessions, replayed.sessions


def test_a_snapshot_with_sessions_answers_the_same(netns):
    """Live or saved, each session with its owner."""
    live, replayed = netns(saved)

    assert live == replayed


def summaries():
    """Return ``--summary`` as JSON, and ``ss -s``."""
    crowd.gather()
    text = subprocess.run(["ss", "-s"], check=True, capture_output=True, text=True)
    return json.loads(say("--summary", "-o", "json"))["summary"], text.stdout


def test_the_summary_has_the_states_of_the_rows(netns):
    """``--summary`` counts what the list lists, and the transports of ``ss -s``."""
    found, text = netns(summaries)
    lines = dict(line.split(None, 1) for line in text.splitlines() if line.strip())

    assert 1 == found["states"]["SYN_RECV"]
    for name in ("raw", "udp"):
        counts = found["transports"][name]
        expected = [int(word) for word in lines[name.upper()].split()]

        assert expected == [counts["total"], counts["ipv4"], counts["ipv6"]]


def without_root():
    """Return sessions of another process as root sees them, and as nobody does."""
    crowd.gather()
    return look.sessions(SessionsQuestion(), Live()), in_child(as_nobody)


def as_nobody():
    """Return the sessions that a process without rights and sockets sees."""
    for descriptor in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            if str(descriptor.readlink()).startswith("socket:"):
                os.close(int(descriptor.name))
    os.setgroups([])
    os.setresgid(65534, 65534, 65534)
    os.setresuid(65534, 65534, 65534)
    return look.sessions(SessionsQuestion(), Live())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_without_rights_all_sockets_are_there_and_owners_are_a_gap(netns):
    """Totals stay right; that owners are missing is said, with the capability."""
    root, nobody = netns(without_root)
    (gap,) = nobody.gaps

    assert root.sessions_total == nobody.sessions_total
    assert not any(session.owners for session in nobody.sessions)
    assert "CAP_SYS_PTRACE" in gap.reason
    assert ("sessions.owners",) == gap.affects


def texts_of_proc():
    """Return rows of sock_diag and of /proc/net."""
    from portroom.kernel import proc_net

    crowd.gather()
    there = [one for one in Protocol if one.value not in crowd.missing() | {"mptcp"}]
    return read_rows(EVERYTHING).rows, proc_net.read_rows(there)


def test_the_fall_back_lists_the_same_sockets(netns):
    """/proc/net has each row but those it cannot have, with the same ends."""
    rows, texts = netns(texts_of_proc)
    question = SessionsQuestion(
        protocols=tuple(set(Protocol) - {Protocol.MPTCP}),
        states=parse_states(["all"]) - {TcpState.BOUND_INACTIVE},
    )

    assert isinstance(texts, Rows)
    assert told(rows, question) == told(texts, question)


def without_netlink():
    """Return all sessions, and those that a process sees which may not use netlink."""
    crowd.gather()
    return look.sessions(SessionsQuestion(), Live()), in_child(behind_a_filter)


def behind_a_filter():
    """Return the sessions after the system calls lost sock_diag."""
    refuse_sock_diag()
    question = SessionsQuestion(states=parse_states(["listen"]), sort=(law.SortKey("local"),))
    return look.sessions(SessionsQuestion(), Live()), look.sessions(question, Live())


def refuse_sock_diag():
    """Let socket(AF_NETLINK, …, NETLINK_SOCK_DIAG) fail with EPROTONOSUPPORT."""
    socket_number = {"x86_64": 41, "aarch64": 198}[os.uname().machine]
    load, equal, answer = 0x20, 0x15, 0x06
    code = [
        (load, 0, 0, 0),  # the number of the system call
        (equal, 0, 5, socket_number),
        (load, 0, 0, 16),  # its first argument, the family
        (equal, 0, 3, 16),
        (load, 0, 0, 32),  # its third, the protocol
        (equal, 0, 1, 4),
        (answer, 0, 0, 0x00050000 | errno.EPROTONOSUPPORT),
        (answer, 0, 0, 0x7FFF0000),
    ]
    raw = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *one) for one in code))
    program = struct.pack("@HP", len(code), ctypes.addressof(raw))
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS
    if libc.prctl(22, 2, program, 0, 0):  # PR_SET_SECCOMP, SECCOMP_MODE_FILTER
        raise OSError(ctypes.get_errno(), "seccomp")


def test_without_sock_diag_the_same_sockets_are_read_from_proc(netns):
    """Degraded and said so: each socket but those that are only bound, and MPTCP."""
    everything, (degraded, listeners) = netns(without_netlink)
    expected = [
        one
        for one in everything.sessions
        if one.state != "BOUND_INACTIVE" and one.protocol != "mptcp"
    ]
    reasons = " ".join(gap.reason for gap in degraded.gaps)

    assert ends_of(expected) == ends_of(degraded.sessions)
    assert "degraded" in reasons
    mptcp_rows = "mptcp" not in crowd.missing()
    assert mptcp_rows == ("mptcp sockets" in {gap.source for gap in degraded.gaps})
    assert {"LISTEN"} == {one.state for one in listeners.sessions}


def ends_of(found):
    """Return protocol, state and both ends of sessions, in no order."""
    return Counter(
        (one.protocol, one.state, one.local_address, one.local_port, one.remote_port)
        for one in found
    )
