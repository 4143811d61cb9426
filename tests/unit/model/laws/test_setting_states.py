"""The state of each setting comes from the Snapshot, and a missing one is a Gap."""

import datetime

import msgspec

from portroom.model.facts.answers import FileLine, RangeEnds
from portroom.model.facts.ports import PortRange, PortSet
from portroom.model.facts.settings import SETTINGS, setting_named
from portroom.model.facts.snapshot import Gap, NetnsId, Settings, Snapshot
from portroom.model.laws.setting_states import settings_answer
from tests.unit.made_boot import ADVICE, boot


def snapshot(settings):
    """Return a Snapshot of which only the part ``settings`` was read."""
    return Snapshot(
        host="web1",
        boot_id="b",
        taken_at=datetime.datetime(2026, 3, 1, tzinfo=datetime.UTC),
        netns=NetnsId("host", 1, 4026531840, "host"),
        settings=settings,
    )


NOT_LOOKED_AT = Gap("boot", "not_looked_at", ("persisted", "persisted_at", "drift"))

WHOLE = Settings({row.key: row.default if row.default is not None else 5 for row in SETTINGS})


def test_values_are_typed():
    """
    A range has two ends, a set of ports is canonical text, all else a number.
    """
    values = {
        "net.ipv4.ip_local_port_range": PortRange(40000, 40009),
        "net.ipv4.ip_local_reserved_ports": PortSet.parse("3,1,2"),
        "net.ipv4.tcp_tw_reuse": 0,
    }
    wanted = [setting_named(name) for name in ("range", "reserved", "tcp_tw_reuse")]

    states = settings_answer(snapshot(Settings(values)), wanted).settings

    assert [RangeEnds(40000, 40009), "1-3", 0] == [state.current for state in states]
    assert [RangeEnds(32768, 60999), "", 2] == [state.default for state in states]


def test_all_settings_are_told_in_the_order_of_the_table():
    """
    Where none is named, every row is told, with its words.
    """
    answer = settings_answer(snapshot(WHOLE))

    expected = [(row.name, row.key, row.meaning, row.does_not) for row in SETTINGS]
    told = [(s.name, s.key, s.meaning, s.does_not) for s in answer.settings]
    assert expected == told
    assert {"namespace", "system"} == {state.scope for state in answer.settings}


def test_a_snapshot_without_the_next_boot_says_so():
    """
    What the next boot gives is null with a Gap, and drift never false.
    """
    answer = settings_answer(snapshot(WHOLE))

    assert (NOT_LOOKED_AT,) == answer.gaps
    assert {(None, None, None)} == {
        (state.persisted, state.persisted_at, state.drift) for state in answer.settings
    }


def test_the_next_boot_is_typed_as_the_value_now():
    """
    The line that decides gives a range; a setting that no line names has no place.
    """
    taken = msgspec.structs.replace(
        snapshot(WHOLE), boot=boot({b"/etc/sysctl.d/50-a.conf": b"# why\n" + ADVICE})
    )
    wanted = [setting_named("range"), setting_named("tcp_tw_reuse")]

    of_range, of_reuse = settings_answer(taken, wanted).settings

    assert RangeEnds(15000, 65000) == of_range.persisted
    assert FileLine("/etc/sysctl.d/50-a.conf", 2) == of_range.persisted_at
    assert [("/etc/sysctl.d/50-a.conf", 2, "15000 65000", "applied")] == [
        (line.file, line.line, line.value, line.outcome) for line in of_range.candidates
    ]
    assert (None, None, ()) == (of_reuse.persisted, of_reuse.persisted_at, of_reuse.candidates)
    assert (True, False) == (of_range.drift, of_reuse.drift)


def test_a_setting_that_is_not_here_says_why():
    """
    An absent setting has no value, keeps its default, and a Gap tells the reason.
    """
    wanted = [
        setting_named("ip_local_port_step_width"),
        setting_named("tcp_max_orphans"),
    ]
    answer = settings_answer(snapshot(Settings({})), wanted)

    assert [None, None] == [state.current for state in answer.settings]
    assert [0, None] == [state.default for state in answer.settings]
    expected = (
        Gap(
            "net.ipv4.ip_local_port_step_width",
            "this kernel does not have it",
            ("ip_local_port_step_width.current",),
        ),
        Gap(
            "net.ipv4.tcp_max_orphans",
            "only the initial network namespace shows it",
            ("tcp_max_orphans.current",),
        ),
        NOT_LOOKED_AT,
    )
    assert expected == answer.gaps


def test_settings_that_could_not_be_read_are_one_gap():
    """
    Where nothing was read, no value is a default, and one Gap says why.
    """
    answer = settings_answer(snapshot(Gap("settings", "/proc/sys is not mounted")))

    assert {None} == {state.current for state in answer.settings}
    assert (
        Gap("settings", "/proc/sys is not mounted", ("current",)),
        NOT_LOOKED_AT,
    ) == answer.gaps


def test_doubt_about_sockets_is_none_about_settings():
    """
    The same answer comes from a Snapshot with sockets and from one without.
    """
    saved = msgspec.structs.replace(snapshot(WHOLE), gaps=(Gap("groups", "interrupted"),))

    assert settings_answer(snapshot(WHOLE)) == settings_answer(saved)
