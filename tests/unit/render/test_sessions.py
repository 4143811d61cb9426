"""Sessions on a screen, as CSV and as JSON lines."""

import json

import msgspec
import pytest

from portroom.model.facts.answers import Session, Sessions
from portroom.model.facts.snapshot import Gap, not_looked_at
from portroom.render.sessions import CSV_COLUMNS, Screen
from portroom.render.units import Style, columns
from tests.unit.render.examples import AT, HOST, HOSTILE, netns, owner, status

PIPE = Style(width=0)
NARROW = Style(width=80)


def session(**changes):
    """Return an established session of nginx, with some fields changed."""
    made = Session(
        "tcp", "ESTABLISHED", "10.0.0.1", 40000, "10.0.0.9", 443, 0, 7, 33, 99, (owner(),)
    )
    return msgspec.structs.replace(made, **changes)


def answer(*found, gaps=(), total=None, where=HOST, **others):
    """Return an answer with some sessions."""
    count = len(found) if total is None else total
    return Sessions(
        host="h",
        taken_at=AT,
        netns=where,
        gaps=gaps,
        sessions=found,
        sessions_total=count,
        **others,
    )


def text(*found, style=PIPE, names=None, **others):
    """Return the lines of an answer."""
    return Screen(names).as_text(answer(*found, **others), style).splitlines()


def test_a_line_has_what_netstat_lists():
    """Protocol, state, queues, both ends, user, process."""
    expected = [
        "PROTO  STATE        RECV-Q  SEND-Q  LOCAL           REMOTE        USER      PROCESS",
        "tcp    ESTABLISHED       0       7  10.0.0.1:40000  10.0.0.9:443  www-data  4312/nginx",
    ]

    assert expected == text(session(), names={33: "www-data"})


def test_a_user_without_a_name_is_a_number():
    """What this host does not call by name keeps its uid."""
    assert text(session(uid=4242))[1].split()[-2] == "4242"


def test_time_wait_has_an_unknown_user_and_process():
    """The kernel knows neither; it is never root."""
    found = session(state="TIME_WAIT", uid=None, inode=None, owners=())
    line = text(found, names={0: "root"})[1]

    assert ["unknown", "unknown"] == line.split()[-2:]
    assert "root" not in line


def test_an_owner_that_was_not_seen_is_not_one_that_nobody_looked_for():
    """``?`` where somebody looked, ``-`` where nobody did."""
    hidden = session(owners=())

    assert text(hidden)[1].endswith("  ?")
    assert text(hidden, gaps=(not_looked_at("owners"),))[1].endswith("  -")


def test_a_listener_has_a_star_for_a_remote():
    """There is none, and none is invented."""
    found = session(state="LISTEN", remote_address=None, remote_port=None)

    assert text(found)[1].split()[5] == "*"


def test_more_owners_are_counted_and_all_are_named_when_wide():
    """The first one stands for all where room is short."""
    found = session(owners=(owner(), owner(pid=4313)), inode=99)
    wide = text(found, style=Style(width=0, wide=True))

    assert text(found)[1].endswith("4312/nginx +1")
    assert "4312/nginx 4313/nginx  nginx.service" in wide[1]
    assert wide[1].endswith("99")


def test_hostile_names_do_not_act_on_the_terminal():
    """Names of processes, users and namespaces are escaped."""
    found = answer(session(owners=(owner(HOSTILE),)), where=netns(HOSTILE))
    shown = Screen({33: HOSTILE}).all_as_text([found], PIPE)

    assert all(line.isprintable() for line in shown.splitlines())
    assert 3 == shown.count("\\x1b[31m")


def test_80_columns_keep_ipv4_whole_and_say_what_had_no_room():
    """Queues and user go first; no address of IPv4 is cut."""
    ends = {"local_address": "192.168.100.100", "remote_address": "192.168.100.101"}
    lines = text(session(**ends, remote_port=65535), style=NARROW)

    assert "192.168.100.100:40000  192.168.100.101:65535" in lines[1]
    assert max(map(columns, lines)) <= 80
    assert lines[-1].startswith("No room for RECV-Q, SEND-Q")


def test_wide_cuts_nothing():
    """Whatever the width of the terminal."""
    ends = {"local_address": "2001:db8:1:2:3:4:5:6", "remote_address": "2001:db8:6:5:4:3:2:1"}
    lines = text(session(**ends), style=Style(width=80, wide=True))

    assert "[2001:db8:1:2:3:4:5:6]:40000  [2001:db8:6:5:4:3:2:1]:443" in lines[1]


def test_a_limit_says_how_many_it_left_out():
    """The total stands below the table."""
    assert "1 of 1,234 sessions shown." == text(session(), total=1234)[-1]


def test_no_session_is_said_in_words():
    """An empty table is no answer."""
    assert ["No session matches."] == text()


def test_gaps_stand_below():
    """What could not be seen is one sentence."""
    lines = text(session(), gaps=(Gap("owners", "hidden", ("sessions.owners",)),))

    assert "Not seen: owners: hidden. Uncertain: sessions.owners." == lines[-1]


def test_all_namespaces_are_one_table():
    """Each row names its namespace."""
    found = [answer(session(), where=netns(name)) for name in ("web", "db")]
    lines = Screen().all_as_text(found, PIPE).splitlines()

    assert ["NETNS", "web", "db"] == [line.split()[0] for line in lines]


def test_csv_has_a_field_for_each_column():
    """Missing is empty, several owners are one field."""
    full = session(owners=(owner(), owner(pid=4313)))
    none = session(state="TIME_WAIT", uid=None, inode=None, owners=())
    heading, *rows = Screen().as_csv_text([answer(full, none)]).splitlines()

    assert ",".join(CSV_COLUMNS) == heading
    assert [
        "host,tcp,ESTABLISHED,10.0.0.1,40000,10.0.0.9,443,0,7,33,99,4312;4313,nginx,nginx.service,",
        "host,tcp,TIME_WAIT,10.0.0.1,40000,10.0.0.9,443,0,7,,,,,,",
    ] == rows


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@x", HOSTILE, 'a"b,c'])
def test_csv_is_harmless_in_a_spreadsheet(name):
    """No field begins a formula, none breaks the line."""
    row = Screen().as_csv_text([answer(session(owners=(owner(name),)))]).splitlines()[1]

    assert row.isprintable()
    assert not any(f",{mark}" in row for mark in "=+-@")


def test_json_lines_have_the_header_before_each_session():
    """A line stands alone, in the order of the answer."""
    lines = Screen().as_jsonl(answer(session(), session(local_port=2))).splitlines()
    objects = list(map(json.loads, lines))

    assert [40000, 2] == [one["local_port"] for one in objects]
    assert {"host"} == {one["netns"]["name"] for one in objects}


def test_a_summary_is_what_status_shows_of_sessions():
    """The blocks by state and transport, in every format."""
    found = answer(summary=status().sessions)
    shown = Screen().as_text(found, PIPE)
    figures = Screen().as_csv_text([found]).splitlines()

    assert "TCP BY STATE" in shown
    assert "No session" not in shown
    assert "netns,figure,sockets" == figures[0]
    assert f"host,tcp.total,{found.summary.tcp.total}" in figures
    assert (
        found.summary.tcp.total == json.loads(Screen().as_jsonl(found))["summary"]["tcp"]["total"]
    )
    assert "web\n" in Screen().all_as_text([answer(summary=status().sessions, where=netns())], PIPE)
