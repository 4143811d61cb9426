"""The file that makes a change hold at the next boot, or what keeps it from that."""

from __future__ import annotations

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as some

from portroom.model.advice.own_lines import HEADER
from portroom.model.advice.persisting import PATHS, FilePlan, Note, Own, plan_file, unmet
from portroom.model.facts.boot import (
    AFTER,
    ANY_TIME,
    EVERY_KEY,
    REAPPLY,
    TRACE,
    TUNED,
    BootFacts,
    BootProgram,
    BootWriter,
    Tuned,
)
from portroom.model.facts.change import REFUSAL, WARNING, FileContent, FileStep, Request
from portroom.model.facts.gaps import Gap
from portroom.model.facts.sysctl_files import (
    FIFO,
    FILE,
    NULL,
    SYSCTL_CONF,
    SysctlFile,
    Unseen,
    shown,
)
from portroom.model.laws.next_boot import next_boot
from tests.unit.made_boot import ADVICE, any_boot, boot, program

RANGE, REUSE = "net.ipv4.ip_local_port_range", "net.ipv4.tcp_tw_reuse"
RESERVED, START = "net.ipv4.ip_local_reserved_ports", "net.ipv4.ip_unprivileged_port_start"

WANTED = {RANGE: "15000 64001"}
LINE = b"net.ipv4.ip_local_port_range = 15000 64001\n"
REUSE_LINE = b"net.ipv4.tcp_tw_reuse = 1\n"
START_LINE = b"net.ipv4.ip_unprivileged_port_start = 20000\n"

NOTE = Note(datetime.datetime(2026, 3, 1, tzinfo=datetime.UTC), "alice", "words")
NOTHING = Own({})

PROCPS, PROCPS_3 = program("procps", 4, 0, 4), program("procps", 3, 3, 17)
FIRST, SECOND, THIRD, LAST = PATHS


def planned(
    files: dict[bytes, bytes | SysctlFile] | None = None,
    wanted: dict[str, str] | None = None,
    *,
    by: BootProgram | None = None,
    own: dict[str, bytes] | None = None,
    writers: tuple[BootWriter, ...] = (),
    request: Request | None = None,
) -> FilePlan:
    """
    Return the plan for a host with some files, of which *own* are ours.
    """
    ours = own or {}
    facts = boot(
        (files or {}) | {path.encode(): content for path, content in ours.items()},
        by=by,
        writers=writers,
    )
    there = Own({path: FileContent(content) for path, content in ours.items()})
    return plan_file(facts, None, wanted or WANTED, there, NOTE, request)


def refusal(plan: FilePlan) -> tuple[str, str, str]:
    """
    Return code, sentence and remedy of the one reason that refuses a plan.
    """
    (one,) = plan.reasons

    assert ((), None, REFUSAL) == (plan.steps, plan.persistence, one.severity)
    return one.code, one.sentence, one.remedy


def test_a_file_of_the_usual_name_is_written():
    """
    Where nothing stands against it, the first name of the table does.
    """
    plan = planned()
    (step,) = plan.steps

    assert (FIRST, None, False) == (step.path, step.before, step.makes_folder)
    assert step.after.content.startswith(HEADER)
    assert step.after.content.endswith(LINE)
    assert step.after.mode == 0o644
    assert () == plan.reasons
    assert (FIRST, "systemd", WANTED) == (
        plan.persistence.path,
        plan.persistence.program,
        plan.persistence.values,
    )


def test_the_folder_is_made_if_it_is_missing():
    """
    The plan says so, so that undo can take it away again.
    """
    plan = plan_file(boot(), None, WANTED, Own({}, has_folder=False), NOTE)

    assert [True] == [step.makes_folder for step in plan.steps]


@pytest.mark.parametrize(
    ("other", "path"),
    [
        (b"/etc/sysctl.d/50-a.conf", FIRST),
        (b"/usr/lib/sysctl.d/90-q.conf", SECOND),
        (b"/run/sysctl.d/99-sysctl.conf", THIRD),
        (b"/etc/sysctl.d/zzz.conf", LAST),
    ],
)
def test_the_name_is_the_first_that_wins(other, path):
    """
    A later name is taken only where a file would come after the usual one.
    """
    assert [path] == [step.path for step in planned({other: ADVICE}).steps]


def test_a_name_after_all_of_ours_decides():
    """
    The line is named, and what to write there.
    """
    code, sentence, remedy = refusal(planned({b"/etc/sysctl.d/\xff.conf": b"\n" + ADVICE}))

    assert code == "not_held_at_boot"
    assert sentence == (
        r"/etc/sysctl.d/\xff.conf:2 decides range at the next boot, whatever portroom's file is "
        "called: systemd-sysctl takes 15000 65000 from there."
    )
    assert remedy == (
        r"Write net.ipv4.ip_local_port_range = 15000 64001 in place of line 2 of "
        r"/etc/sysctl.d/\xff.conf."
    )


AFTER_OURS = b"/etc/sysctl.d/~~~.conf"


@pytest.mark.parametrize(
    ("line", "wanted", "words"),
    [
        (b"net.ipv4.ip_local_port_range = 1 2", WANTED, ["'1 2'", "refuses it", "port 1 lies"]),
        (b"net.ipv4.ip_local_port_range =", WANTED, ["''", "no number", "32768 60999 would stay"]),
        (b"-net.ipv4.ip_local_port_range = 1 2", WANTED, ["'1 2'", "refuses it"]),
        (b"net.ipv4.tcp_tw_reuse = 7", {REUSE: "1"}, ["'7'", "highest value, 2; 2 would stay"]),
        (b"net/ipv4/ip_local_reserved_ports = x", {RESERVED: "80"}, ["'x'", "an empty list would"]),
    ],
)
def test_a_line_that_the_kernel_refuses_is_named_where_it_stands_for_ours(line, wanted, words):
    """
    systemd-sysctl writes the last line of a key only, and the kernel may refuse that one.
    """
    (key,) = wanted
    code, sentence, remedy = refusal(planned({AFTER_OURS: b"# x\n" + line + b"\n"}, wanted))

    assert code == "not_held_at_boot"
    assert sentence.startswith("/etc/sysctl.d/~~~.conf:2 decides ")
    assert [] == [word for word in words if word not in sentence]
    assert remedy == f"Write {key} = {wanted[key]} in place of line 2 of /etc/sysctl.d/~~~.conf."


def test_a_line_that_only_excludes_is_named():
    """
    It keeps our line from being written, and has to go.
    """
    code, sentence, remedy = refusal(planned({AFTER_OURS: b"# x\n-net.ipv4.ip_local_port_range\n"}))

    assert code == "not_held_at_boot"
    assert "whatever it is called: excluded by /etc/sysctl.d/~~~.conf:2." in sentence
    assert remedy == "Remove line 2 of /etc/sysctl.d/~~~.conf."


def test_the_line_that_made_the_kernel_refuse_ours_is_named_though_another_comes_later():
    """
    What counts is what the other setting holds when ours is written.
    """
    files = {
        b"/etc/sysctl.d/00.conf": START_LINE,
        SYSCTL_CONF: b"net.ipv4.ip_unprivileged_port_start = 1024\n",
    }
    code, sentence, remedy = refusal(planned(files, by=PROCPS))

    assert code == "refused_at_boot"
    assert "/etc/sysctl.d/00.conf:1 sets ip_unprivileged_port_start to 20000." in sentence
    assert "in line 1 of /etc/sysctl.d/00.conf" in remedy


SETTING_LINES = frozenset({"applied", "overridden", "refused", "excluded"})


@given(any_boot(), some.sampled_from([WANTED, {REUSE: "1"}, {RESERVED: "8080"}, {START: "80"}]))
def test_a_refusal_says_that_no_line_decides_only_where_none_does(facts, wanted):
    """
    Whatever lies there: else each refusal names a file and a line of it.
    """
    (key,) = wanted
    told = " ".join(one.sentence for one in plan_file(facts, None, wanted, NOTHING, NOTE).reasons)
    lines = [
        shown(one.place.path)
        for one in next_boot(facts).course.holdings[key].proposals
        if one.fate.outcome in SETTING_LINES
    ]

    assert "no line sets it" not in told or not lines


def test_procps_reads_sysctl_conf_last():
    """
    So no name wins there; for systemd it is no obstacle at all, and told all the same.
    """
    files = {SYSCTL_CONF: ADVICE}
    code, sentence, remedy = refusal(planned(files, by=PROCPS))

    assert code == "not_held_at_boot"
    assert sentence.startswith("/etc/sysctl.conf:1 decides range")
    assert "sysctl --system takes 15000 65000 from there" in sentence
    assert remedy.endswith("in place of line 1 of /etc/sysctl.conf.")

    both = BootProgram(
        program="systemd",
        version=(252,),
        evidence="",
        installed={"systemd": (252,), "procps": (4, 0, 2)},
    )

    assert [FIRST] == [step.path for step in planned(files, by=both).steps]
    assert planned(files, by=both).persistence.others == (
        "sysctl --system would leave range at 15000 65000 (/etc/sysctl.conf:1 decides).",
    )
    assert () == planned(files).persistence.others  # it is not installed


def test_our_file_is_edited_where_it_wins():
    """
    What else stands in it stays, and nothing is moved.
    """
    before = b"# mine\n" + REUSE_LINE + ADVICE
    plan = planned(own={FIRST: before})
    (step,) = plan.steps

    assert (FIRST, FileContent(before)) == (step.path, step.before)
    assert step.after.content.startswith(b"# mine\n" + REUSE_LINE)
    assert step.after.content.endswith(LINE)
    assert ADVICE not in step.after.content


def test_our_file_is_moved_where_it_does_not_win():
    """
    The new one is written before the old one is removed; all its lines go along.
    """
    plan = planned({b"/etc/sysctl.d/95-a.conf": ADVICE}, own={FIRST: REUSE_LINE})
    new, old = plan.steps

    assert (SECOND, None) == (new.path, new.before)
    assert new.after.content.startswith(REUSE_LINE)
    assert new.after.content.endswith(LINE)
    assert old == FileStep(FIRST, FileContent(REUSE_LINE), None)
    assert plan.persistence.path == SECOND


def test_our_file_is_divided_where_moving_it_would_change_more():
    """
    A line of ours that loses to somebody's goes on losing.
    """
    theirs = ADVICE + b"net.ipv4.tcp_tw_reuse = 0\n"
    plan = planned({b"/etc/sysctl.d/95-a.conf": theirs}, own={FIRST: REUSE_LINE + ADVICE})
    new, old = plan.steps

    assert (SECOND, None) == (new.path, new.before)
    assert REUSE_LINE not in new.after.content
    assert old.after == FileContent(REUSE_LINE)


def test_a_later_one_of_our_files_is_used_before_a_new_one():
    """
    One that wins is there already.
    """
    plan = planned({b"/etc/sysctl.d/95-a.conf": ADVICE}, own={FIRST: b"# a\n", THIRD: b"# b\n"})

    assert [THIRD] == [step.path for step in plan.steps]


@pytest.mark.parametrize("by", [None, PROCPS, PROCPS_3, program("systemd", 247)])
@pytest.mark.parametrize("backward", [False, True])
def test_range_and_first_unprivileged_port_stand_in_the_order_that_holds(by, backward):
    """
    Whichever way they are asked for.
    """
    wanted = {RANGE: "80 65001", START: "80"}
    given = dict(reversed(wanted.items())) if backward else wanted
    (step,) = planned(wanted=given, by=by).steps
    content = step.after.content

    assert content.index(START.encode() + b" = ") < content.index(RANGE.encode() + b" = ")


def test_a_value_that_the_kernel_would_refuse_names_what_makes_it_so():
    """
    The line of the other setting is told, and what it may be.
    """
    code, sentence, remedy = refusal(planned({b"/etc/sysctl.d/10-a.conf": START_LINE}))

    assert code == "refused_at_boot"
    assert "the first port 15000 lies below" in sentence
    assert "/etc/sysctl.d/10-a.conf:1 sets ip_unprivileged_port_start to 20000" in sentence
    assert remedy == (
        "Write net.ipv4.ip_unprivileged_port_start = 15000 (or lower) in line 1 of "
        "/etc/sysctl.d/10-a.conf, or set both in one change."
    )

    code, sentence, remedy = refusal(planned(wanted={START: "40000"}))

    assert code == "refused_at_boot"
    assert "40000 lies above the first port" in sentence
    assert "No line sets range: it is 32768 60999 by default." in sentence
    assert remedy == "Write a range that begins at 40000 or above, or set both in one change."


def test_a_file_that_would_undo_another_setting_is_refused():
    """
    A line of somebody else that the kernel takes now is not made one that it refuses.
    """
    code, sentence, remedy = refusal(planned({b"/etc/sysctl.d/99-z.conf": START_LINE}, by=PROCPS))

    assert code == "changes_others_at_boot"
    assert "ip_unprivileged_port_start, which /etc/sysctl.d/99-z.conf:1 sets," in sentence
    assert "at 1024 and no longer at 20000" in sentence
    assert remedy == "Set ip_unprivileged_port_start in the same change."


LONG = ",".join(map(str, range(20_001, 23_000, 2)))


def test_a_list_that_a_program_cuts_is_refused():
    """
    procps writes 4 KiB of a line; systemd writes all of it.
    """
    code, sentence, remedy = refusal(planned(wanted={RESERVED: LONG}, by=PROCPS))

    assert code == "cut_at_boot"
    assert "sysctl --system would set only a part of reserved" in sentence
    assert "Shorten the list" in remedy
    assert [FIRST] == [step.path for step in planned(wanted={RESERVED: LONG}).steps]


def test_an_empty_list_is_a_line_where_the_program_takes_one():
    """
    Where it takes it for broken, the kernel's default does as well, unless a line sets it.
    """
    files = {b"/etc/sysctl.d/10-a.conf": b"net.ipv4.ip_local_reserved_ports = 8080\n"}
    (step,) = planned(files, {RESERVED: ""}).steps

    assert step.after.content.endswith(b"\nnet.ipv4.ip_local_reserved_ports =\n")
    assert refusal(planned(files, {RESERVED: ""}, by=PROCPS_3))[2] == (
        "Remove line 1 of /etc/sysctl.d/10-a.conf."
    )


def test_our_line_goes_where_an_empty_list_needs_none():
    """
    With it goes the file, if nothing else is in it.
    """
    own = {FIRST: HEADER + b"# portroom: x\nnet.ipv4.ip_local_reserved_ports = 8080\n"}
    moved = {b"/etc/sysctl.d/95-a.conf": b"net.ipv4.ip_local_reserved_ports = 1\n"}

    assert [(FIRST, True)] == [
        (step.path, step.after is not None)
        for step in planned(wanted={RESERVED: ""}, own=own, by=PROCPS).steps
    ]
    assert planned(moved, {RESERVED: ""}, own=own, by=PROCPS_3).reasons[0].severity == REFUSAL


def test_nothing_is_written_where_a_line_gives_it_already():
    """
    The line is told; the kernel's default by itself is written, to be sure.
    """
    plan = planned({b"/etc/sysctl.d/10-a.conf": LINE})

    assert () == plan.steps
    assert ["persisted_already"] == [one.code for one in plan.reasons]
    assert "/etc/sysctl.d/10-a.conf:1" in plan.reasons[0].sentence
    assert plan.persistence.path == "/etc/sysctl.d/10-a.conf"
    assert 1 == len(planned(wanted={RANGE: "32768 60999"}).steps)


@pytest.mark.parametrize(
    "file",
    [
        SysctlFile(THIRD.encode(), NULL, link=b"/dev/null"),
        SysctlFile(THIRD.encode(), FILE, LINE, link=b"elsewhere.conf"),
        SysctlFile(THIRD.encode(), FIFO),
    ],
    ids=["switched off", "link", "FIFO"],
)
def test_a_name_of_ours_that_is_something_else_is_left_alone(file):
    """
    Whoever put it there meant something by it.
    """
    code, sentence, remedy = refusal(planned({file.path: file}))

    assert code == "own_name_taken"
    assert sentence.startswith(THIRD)
    assert "Remove it" in remedy


def test_a_link_to_our_file_is_read_with_its_new_content():
    """
    It says then what our file says.
    """
    link = SysctlFile(b"/etc/sysctl.conf", FILE, ADVICE, link=b"sysctl.d/90-portroom.conf")
    plan = planned({link.path: link}, own={FIRST: ADVICE}, by=PROCPS)

    assert [FIRST] == [step.path for step in plan.steps]
    assert () == plan.reasons


# Programs, and what else sets sysctls.


def tuned_facts(*, files: dict[bytes, bytes], writers=(), reapplies=True, **others) -> BootFacts:
    """
    Return what is read of a host with tuned.
    """
    plain = boot(files, writers=writers)
    tuned = Tuned(version=(2, 22), starts=True, reapplies=reapplies, **others)
    return BootFacts(program=plain.program, writers=writers, tuned=tuned, tree=plain.tree)


def by_tuned(name: str, key: str, value: str | None, line: int, **others) -> BootWriter:
    """
    Return what tuned sets.
    """
    return BootWriter(
        kind=TUNED,
        name=name,
        key=key,
        value=value,
        file="/etc/tuned/a/tuned.conf",
        line=line,
        when=AFTER,
        sentence="",
        **others,
    )


def test_a_profile_of_tuned_that_comes_last_is_named():
    """
    It writes after the files, unless tuned applies these once more.
    """
    writers = (by_tuned("a", RANGE, "1024 65535", 7),)
    refused = plan_file(
        tuned_facts(files={}, writers=writers, reapplies=False), None, WANTED, NOTHING, NOTE
    )
    code, sentence, remedy = refusal(refused)

    assert code == "not_held_at_boot"
    assert sentence.startswith("/etc/tuned/a/tuned.conf:7 decides range")
    assert "tuned takes 1024 65535" in sentence
    assert "in place of line 7 of /etc/tuned/a/tuned.conf" in remedy

    again = (*writers, by_tuned(REAPPLY, RANGE, None, 0))
    plan = plan_file(tuned_facts(files={}, writers=again), None, WANTED, NOTHING, NOTE)

    assert [FIRST] == [step.path for step in plan.steps]
    assert plan.persistence.program == TUNED


def test_a_name_that_run_hides_from_tuned_is_not_taken():
    """
    tuned reads /run before /etc, unlike the others.
    """
    facts = tuned_facts(files={b"/run/sysctl.d/90-portroom.conf": ADVICE})
    plan = plan_file(facts, None, WANTED, NOTHING, NOTE)

    assert [SECOND] == [step.path for step in plan.steps]


def test_a_key_that_tuned_leaves_out_is_told():
    """
    Where only tuned decides, its configuration is named.
    """
    writers = (by_tuned("a", RANGE, "1024 65535", 7),)
    facts = tuned_facts(files={}, writers=writers, excluded=("net.ipv4.ip_local_*",))
    code, sentence, remedy = refusal(plan_file(facts, None, WANTED, NOTHING, NOTE))

    assert code == "not_held_at_boot"
    assert "the configuration of tuned leaves it out" in sentence
    assert "/etc/tuned/a/tuned.conf:7 decides, and gives 1024 65535." in sentence
    assert "in place of line 7 of /etc/tuned/a/tuned.conf" in remedy


def test_a_variable_of_tuned_is_a_doubt():
    """
    Whether the value holds cannot be said, and that is said.
    """
    writers = (by_tuned("a", RANGE, "${x}", 7),)
    plan = plan_file(
        tuned_facts(files={}, writers=writers, reapplies=False), None, WANTED, NOTHING, NOTE
    )

    assert 1 == len(plan.steps)
    assert [(WARNING, "boot_not_sure")] == [(one.severity, one.code) for one in plan.reasons]


def trace(key: str, value: str | None, when: str) -> BootWriter:
    """
    Return a line that sets something later.
    """
    return BootWriter(
        kind=TRACE,
        name="rc.local",
        key=key,
        value=value,
        file="/etc/rc.local",
        line=3,
        when=when,
        sentence=f"/etc/rc.local:3, run by rc.local, may set {key}.",
    )


@pytest.mark.parametrize(
    ("writer", "code"),
    [
        (trace(RANGE, "1024 65535", AFTER), "set_later"),
        (trace(RANGE, "15000  64001", AFTER), None),
        (trace(RANGE, None, AFTER), "may_be_set_later"),
        (trace(RANGE, "1024 65535", ANY_TIME), "may_be_set_later"),
        (trace(REUSE, "0", AFTER), None),
        (trace(EVERY_KEY, None, AFTER), None),
    ],
)
def test_what_runs_later_is_told(writer, code):
    """
    It refuses only where it comes later and sets another value; --force lifts that.
    """
    plan = planned(writers=(writer,))

    assert [code] * bool(code) == [one.code for one in plan.reasons]
    if code == "set_later":
        assert (REFUSAL, ("--force",)) == (plan.reasons[0].severity, plan.reasons[0].lifted_by)
        assert "line 3 of /etc/rc.local" in plan.reasons[0].remedy

        forced = planned(writers=(writer,), request=Request((), force=True))

        assert [WARNING] == [one.severity for one in forced.reasons]


def test_files_that_are_applied_again_by_another_program_are_told():
    """
    `sysctl --system` in rc.local gives what /etc/sysctl.conf says.
    """
    plan = planned({SYSCTL_CONF: ADVICE}, writers=(trace(EVERY_KEY, None, AFTER),))

    assert ["set_later"] == [one.code for one in plan.reasons]


def test_without_a_known_program_the_file_is_written_with_a_warning():
    """
    It is one for the likeliest, and no program is named as the one that applies it.
    """
    plan = planned(by=program(None))

    assert 1 == len(plan.steps)
    assert [(WARNING, "no_boot_program")] == [(one.severity, one.code) for one in plan.reasons]
    assert "systemd-sysctl reads it" in plan.reasons[0].sentence
    assert plan.persistence.program is None


def test_what_could_not_be_read_is_a_doubt():
    """
    A file that is read at boot and could not be read here may say anything.
    """
    gap = Gap("/etc/tuned", "could not be read", ("keys",))
    facts = boot(unseen=(Unseen(b"/run/sysctl.d", "cannot be listed"),), gaps=(gap,))
    plan = plan_file(facts, None, WANTED, NOTHING, NOTE)

    assert ["boot_not_sure"] * 2 == [one.code for one in plan.reasons]
    assert "/run/sysctl.d cannot be listed" in plan.reasons[0].sentence
    assert "/etc/tuned could not be read" in plan.reasons[1].sentence


def test_a_setting_that_the_kernel_does_not_have_is_refused():
    """
    A line for it would do nothing.
    """
    plan = plan_file(boot(), {START}, WANTED, NOTHING, NOTE)

    assert refusal(plan)[0] == "not_supported"


def test_many_doubts_are_told_by_their_number():
    """
    The first are named.
    """
    unseen = tuple(Unseen(f"/etc/sysctl.d/{number}".encode(), "is a FIFO") for number in range(9))
    plan = plan_file(boot(unseen=unseen), None, WANTED, NOTHING, NOTE)

    assert 4 == len(plan.reasons)
    assert "6 more files could not be read" in plan.reasons[-1].sentence


def test_a_long_value_is_cut_in_a_sentence():
    """
    What is to be written is told as far as it helps.
    """
    files = {SYSCTL_CONF: b"net.ipv4.ip_local_reserved_ports = 1\n"}
    ports = ",".join(map(str, range(20_001, 20_101, 2)))
    _, sentence, remedy = refusal(planned(files, {RESERVED: ports}, by=PROCPS))

    assert "takes 1 from there" in sentence
    assert remedy.startswith("Write net.ipv4.ip_local_reserved_ports = 20001,20003,")
    assert "... in place of line 1 of /etc/sysctl.conf." in remedy


# Asked again after writing.


def test_what_holds_is_not_told():
    """
    Nothing is said where the next boot gives what is wanted.
    """
    assert () == unmet(boot({FIRST.encode(): LINE}), None, WANTED)


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ({FIRST.encode(): LINE, b"/etc/sysctl.d/95-a.conf": ADVICE}, "/etc/sysctl.d/95-a.conf:1"),
        ({}, "no line sets it"),
        ({b"/etc/sysctl.d/90-portroom.conf": LINE, b"/etc/sysctl.d/9.conf": START_LINE}, "refuse"),
    ],
)
def test_what_does_not_hold_is_told(files, sentence):
    """
    Somebody else was faster, or the file is gone.
    """
    (reason,) = unmet(boot(files), None, WANTED)

    assert reason.severity == REFUSAL
    assert sentence in reason.sentence
