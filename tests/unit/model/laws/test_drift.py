"""Drift is what differs from the next boot, and what is not known is never "no drift"."""

import datetime

import msgspec
import pytest
from hypothesis import given

from portroom.model.facts.answers import BootConflict, Drift, FileLine
from portroom.model.facts.boot import (
    AFTER,
    ANY_TIME,
    BEFORE,
    EVERY_KEY,
    KERNEL_COMMAND_LINE,
    PROCESS,
    TRACE,
    TUNED,
    BootFacts,
    BootProgram,
    BootWriter,
    Tuned,
)
from portroom.model.facts.ports import PortRange, PortSet
from portroom.model.facts.settings import RANGE_KEY, SETTINGS, Scope, setting_named
from portroom.model.facts.snapshot import Gap, NetnsId, Settings, Snapshot
from portroom.model.facts.sysctl_files import FIFO, UNREADABLE, SysctlFile, Unseen
from portroom.model.laws.drift import FIELDS, conflicts, decided_here, drifts, prospects
from tests.unit.made_boot import ADVICE, any_boot, boot, program

DROP_IN = b"/etc/sysctl.d/net.ipv4.ip_local_port_range.conf"
RANGE = setting_named("range")
REUSE = setting_named("tcp_tw_reuse")
FILE_MAX = setting_named("file_max")
DEFAULTS = {row.key: 4096 if row.default is None else row.default for row in SETTINGS}


def taken(facts, kind="host", without=(), **changed):
    """Return a Snapshot of a host with the kernel's defaults but for what is *changed*."""
    values = DEFAULTS | {setting_named(name).key: value for name, value in changed.items()}
    return Snapshot(
        host="web-1",
        boot_id="b",
        taken_at=datetime.datetime(2026, 3, 1, tzinfo=datetime.UTC),
        netns=NetnsId("ns", 1, 4026531840, kind),
        settings=Settings({key: value for key, value in values.items() if key not in without}),
        boot=facts,
    )


def told(read, *wanted):
    """Return value, place and drift of settings at the next boot."""
    found = prospects(read, wanted)
    return [
        (
            found.by_name[row.name].persisted,
            found.by_name[row.name].at,
            found.by_name[row.name].drift,
        )
        for row in wanted
    ]


UNKNOWN = (None, None, None)
SEED = boot({DROP_IN: ADVICE, b"/etc/sysctl.conf": b"net.ipv4.ip_local_port_range = 15000 64000\n"})


def test_the_advice_of_the_article_drifts():
    """The range tried is not the one that its own file gives at the next boot."""
    read = taken(SEED, range=PortRange(15000, 64000))
    found = prospects(read, [RANGE])

    assert [(PortRange(15000, 65000), FileLine(DROP_IN.decode(), 1), True)] == told(read, RANGE)
    assert (Drift("range", "15000-64000", "15000-65000", DROP_IN.decode(), 1),) == drifts(
        found, read.settings
    )


def test_the_advice_of_the_article_makes_the_programs_differ():
    """systemd-sysctl does not read the file that sysctl --system reads last."""
    both = BootProgram(
        program="systemd",
        version=(252,),
        evidence="made up",
        installed={"systemd": (252,), "procps": (4, 0, 2)},
    )
    read = taken(msgspec.structs.replace(SEED, program=both))
    alone = taken(SEED)

    assert (BootConflict("range", {"systemd": "15000-65000", "procps": "15000-64000"}),) == (
        conflicts(prospects(read, SETTINGS))
    )
    assert () == conflicts(prospects(alone, SETTINGS)), "the other program is not installed"


def test_what_was_only_written_by_hand_is_lost():
    """Without any line the kernel's default comes back, and that is drift."""
    read = taken(boot(), range=PortRange(15000, 64000))
    found = prospects(read, [RANGE])

    assert [(None, None, True)] == told(read, RANGE)
    assert (Drift("range", "15000-64000", "32768-60999", None, None),) == drifts(
        found, read.settings
    )


def test_what_nobody_changed_does_not_drift():
    """Neither a default that no line names, nor a value that a line gives."""
    read = taken(boot({DROP_IN: ADVICE}), range=PortRange(15000, 65000))

    assert [False, False] == [drift for _, _, drift in told(read, RANGE, REUSE)]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b"0x3a98 0xfa00", PortRange(15000, 64000)),
        (b"015000 064000", PortRange(6656, 26624)),
        (b"15000", PortRange(15000, 60999)),
        (b"15000 64000 # why", PortRange(15000, 64000)),
    ],
)
def test_the_value_is_what_the_kernel_makes_of_the_line(text, value):
    """Hexadecimal, octal, one number, and what follows the second one."""
    read = taken(boot({DROP_IN: b"net.ipv4.ip_local_port_range = " + text}))

    assert [(value, FileLine(DROP_IN.decode(), 1), True)] == told(read, RANGE)


def test_a_line_that_the_kernel_refuses_decides_nothing():
    """The default comes back, and the line is told as refused."""
    read = taken(boot({DROP_IN: b"net.ipv4.ip_local_port_range = 64000 15000"}))
    (line,) = prospects(read, [RANGE]).by_name["range"].candidates

    assert [(None, None, False)] == told(read, RANGE)
    assert "refused" == line.outcome


def test_sets_of_ports_are_compared_not_texts():
    """Another order is no drift; none at all is a set too."""
    conf = b"net.ipv4.ip_local_reserved_ports = 9000-9100,8080\n"
    reserved = setting_named("reserved")
    read = taken(boot({DROP_IN: conf}), reserved=PortSet.parse("8080,9000-9100"))
    none = taken(boot(), reserved=PortSet.parse("8080"))

    assert [False] == [drift for _, _, drift in told(read, reserved)]
    assert (Drift("reserved", "8080", "", None, None),) == drifts(
        prospects(none, [reserved]), none.settings
    )


def test_a_default_of_the_machine_is_not_compared_with():
    """Where no line decides and nobody knows the default, drift is not known."""
    buckets = setting_named("tcp_max_tw_buckets")

    assert [UNKNOWN] == told(taken(boot()), buckets)


def test_a_default_that_the_init_raises_is_not_compared_with():
    """systemd raises the limits of files before any line is applied."""
    raising = BootWriter(
        kind=PROCESS,
        name="systemd",
        key="fs.nr_open",
        value=None,
        file=None,
        line=None,
        when=BEFORE,
        sentence="systemd raises it.",
    )

    assert [UNKNOWN] == told(taken(boot(writers=(raising,))), setting_named("nr_open"))
    assert [(None, None, False)] == told(taken(boot()), setting_named("nr_open"))


def test_the_kernel_command_line_decides_where_no_line_does():
    """It has a place too."""
    writer = BootWriter(
        kind=KERNEL_COMMAND_LINE,
        name="kernel",
        key=RANGE_KEY,
        value="20000 30000",
        file="/proc/cmdline",
        line=1,
        when=BEFORE,
        sentence="The kernel command line sets it.",
    )

    expected = [(PortRange(20000, 30000), FileLine("/proc/cmdline", 1), True)]
    assert expected == told(taken(boot(writers=(writer,))), RANGE)


@pytest.mark.parametrize("kind", ["named", "container", "process"])
def test_boot_files_do_not_reach_another_namespace(kind):
    """It begins with the kernel's defaults; what holds for the whole system is told all the same."""
    facts = boot({DROP_IN: ADVICE + b"fs.file-max = 7\n"})
    read = taken(facts, kind, without={"net.ipv4.tcp_max_orphans"}, range=PortRange(15000, 64000))
    (gap,) = prospects(read, [RANGE, FILE_MAX]).gaps

    assert [UNKNOWN, (7, FileLine(DROP_IN.decode(), 2), True)] == told(read, RANGE, FILE_MAX)
    assert "starts from the kernel's defaults" in gap.reason
    assert ("which this one is not known to be" in gap.reason) == (kind == "process")
    assert FIELDS == gap.affects
    assert {Scope.NAMESPACE} == {row.scope for row in decided_here(read)}


def test_another_namespace_needs_no_boot_files():
    """Its own settings are barred whether or not anybody read the files."""
    read = taken(Gap("boot", "not_looked_at"), "named")

    assert ["boot"] == [gap.source for gap in prospects(read, [RANGE]).gaps]


def test_a_container_that_boots_sets_its_own_and_nothing_system_wide():
    """Its init applies the files to its namespace; what reaches the host is not its own."""
    facts = boot({DROP_IN: ADVICE + b"fs.file-max = 7\n"})
    read = taken(facts, without={"net.ipv4.tcp_max_orphans"})
    found = prospects(read, [RANGE, FILE_MAX])

    assert [True, None] == [drift for _, _, drift in told(read, RANGE, FILE_MAX)]
    assert ["boot"] == [gap.source for gap in found.gaps]
    assert "not by the files of this container" in found.gaps[0].reason
    assert FILE_MAX not in decided_here(read)
    assert FILE_MAX in decided_here(taken(facts))


def test_where_nothing_applies_the_files_nothing_is_known():
    """The lines are shown, and a Gap says why no value and no drift follow from them."""
    facts = boot({DROP_IN: ADVICE}, by=program(None, evidence="process 1 is 'sh'"))
    found = prospects(taken(facts, range=PortRange(15000, 64000)), [RANGE])

    assert (None, None, None) == (
        found.by_name["range"].persisted,
        found.by_name["range"].at,
        found.by_name["range"].drift,
    )
    assert 1 == len(found.by_name["range"].candidates)
    assert "process 1 is 'sh'" in found.gaps[0].reason


@pytest.mark.parametrize(
    "facts",
    [
        Gap("boot", "not in the file"),
        boot({DROP_IN: ADVICE}, unseen=(Unseen(b"/run/sysctl.d", "cannot be listed"),)),
        boot({DROP_IN: ADVICE, b"/etc/sysctl.d/a.conf": SysctlFile(b"/etc/sysctl.d/a.conf", FIFO)}),
        boot({DROP_IN: SysctlFile(DROP_IN, UNREADABLE)}),
        boot(gaps=(Gap("/etc", "could not be read", ("keys",)),)),
    ],
)
def test_what_was_not_read_leaves_no_value_and_no_drift(facts):
    """An unseen file may decide: each setting is null, with a Gap."""
    read = taken(facts, range=PortRange(15000, 64000))
    found = prospects(read, [RANGE, REUSE])

    assert [UNKNOWN, UNKNOWN] == told(read, RANGE, REUSE)
    assert found.gaps
    assert {FIELDS} == {gap.affects for gap in found.gaps}
    assert () == drifts(found, read.settings)
    assert () == conflicts(found)


def test_what_was_not_searched_takes_nothing_away():
    """Other writers might be there unseen: that is told beside the value."""
    gap = Gap("processes", "some may be hidden", ("others",))
    read = taken(boot({DROP_IN: ADVICE}, gaps=(gap,)))

    assert [(PortRange(15000, 65000), FileLine(DROP_IN.decode(), 1), True)] == told(read, RANGE)
    assert (Gap("processes", "some may be hidden", FIELDS),) == prospects(read, [RANGE]).gaps


@pytest.mark.parametrize(
    ("kind", "key", "when", "known"),
    [
        (PROCESS, RANGE_KEY, ANY_TIME, False),
        (TRACE, RANGE_KEY, AFTER, False),
        (TRACE, EVERY_KEY, AFTER, False),
        (PROCESS, "net.ipv4.tcp_fin_timeout", ANY_TIME, True),
        (TRACE, RANGE_KEY, BEFORE, True),
    ],
)
def test_whoever_writes_later_makes_a_setting_uncertain(kind, key, when, known):
    """Its sentence is the Gap of that setting alone."""
    writer = BootWriter(
        kind=kind,
        name="kubelet",
        key=key,
        value=None,
        file=None,
        line=None,
        when=when,
        sentence="kubelet sets it.",
    )
    read = taken(boot({DROP_IN: ADVICE}, writers=(writer,)))
    found = prospects(read, [RANGE, REUSE])

    assert [known, True] == [drift is not None for _, _, drift in told(read, RANGE, REUSE)]
    if not known:
        fields = ("range.persisted", "range.persisted_at", "range.drift")
        assert (Gap(RANGE_KEY, "kubelet sets it.", fields),) == found.gaps


@pytest.mark.parametrize(("starts", "drift"), [(True, False), (False, True), (None, None)])
def test_tuned_decides_last_where_it_starts(starts, drift):
    """Where nobody knows whether it starts, what it would change is not known."""
    profile = BootWriter(
        kind=TUNED,
        name="web",
        key=RANGE_KEY,
        value="1024 65535",
        file="/etc/tuned/web/tuned.conf",
        line=3,
        when=AFTER,
        sentence="The profile web sets it.",
    )
    facts = BootFacts(
        program=program(),
        writers=(profile,),
        tree=boot({DROP_IN: ADVICE}).tree,
        tuned=Tuned(version=(2, 20), starts=starts, profiles=("web",)),
    )
    read = taken(facts, range=PortRange(1024, 65535))

    assert [drift] == [found for _, _, found in told(read, RANGE)]


def test_notes_of_the_boot_program_are_doubts():
    """A unit that was replaced may do anything: that stands beside the value."""
    noted = msgspec.structs.replace(program(), notes=("The unit is replaced.",))
    found = prospects(taken(boot({DROP_IN: ADVICE}, by=noted)), [RANGE])

    assert (Gap("boot", "The unit is replaced.", FIELDS),) == found.gaps
    assert found.by_name["range"].persisted == PortRange(15000, 65000)


@given(any_boot())
def test_drift_follows_from_the_value_and_never_from_nothing(facts):
    """With any files: drift is told if and only if what the next boot gives is known."""
    read = taken(facts)
    found = prospects(read, SETTINGS)

    for row in SETTINGS:
        one = found.by_name[row.name]
        assert (one.drift is None) == (one.gives is None)
        assert one.drift in {None, read.settings.values[row.key] != one.gives}
        assert (one.persisted is None) == (one.at is None)
        assert one.persisted in {None, one.gives}
        assert one.drift is not None or found.gaps or row.default is None
