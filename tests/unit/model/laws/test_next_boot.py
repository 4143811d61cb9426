"""The next boot: who writes after whom, and what each sysctl holds in the end."""

import pytest
from hypothesis import assume, given
from msgspec.structs import replace

from portroom.model.facts.boot import (
    AFTER,
    ANY_TIME,
    BEFORE,
    EVERY_KEY,
    KERNEL_COMMAND_LINE,
    PROCESS,
    REAPPLY,
    TRACE,
    TUNED,
    BootWriter,
    Tuned,
)
from portroom.model.facts.settings import RANGE_KEY, SETTINGS
from portroom.model.facts.sysctl_files import DANGLING, DIRECTORY, FILE, NULL, SysctlFile
from portroom.model.laws import outcomes as law
from portroom.model.laws.next_boot import KERNEL, KEYS, Holding, boot_program, next_boot
from portroom.model.laws.outcomes import Place
from tests.unit.made_boot import ADVICE, FULL_WITH_TUNED, any_boot, boot, program

REUSE = "net.ipv4.tcp_tw_reuse"
DROP_IN = b"/etc/sysctl.d/net.ipv4.ip_local_port_range.conf"
CONF = b"/etc/sysctl.conf"
OLD_ADVICE = b"net.ipv4.ip_local_port_range = 15000 64000\n"
ARTICLE = {DROP_IN: ADVICE, CONF: OLD_ADVICE}
REAPPLIES = Tuned(version=(2, 20), starts=True, reapplies=True)


def writer(kind, key, value, file="/etc/tuned/mine/tuned.conf", line=3, when=AFTER):
    """Return something that sets a sysctl besides the boot program."""
    return BootWriter(
        kind=kind, name="it", key=key, value=value, file=file, line=line, when=when, sentence="."
    )


def command_line(key, value):
    """Return a word of the kernel's command line."""
    return writer(KERNEL_COMMAND_LINE, key, value, "/proc/cmdline", 1, BEFORE)


def holding(facts, key=RANGE_KEY, **asked):
    """Return what one sysctl holds after the next boot."""
    return next_boot(facts, **asked).course.holdings[key]


def outcomes(found):
    """Return who reads each line, where it stands, and what becomes of it."""
    return [(one.program, one.place.path, one.fate.outcome) for one in found.proposals]


def test_the_articles_two_files_differ_by_program():
    """
    The drop-in wins with systemd, /etc/sysctl.conf with procps, and both are told.
    """
    found = next_boot(boot(ARTICLE))

    assert ("15000 65000", Place(DROP_IN, 1)) == found.course.holdings[RANGE_KEY][:2]
    assert [("procps", "15000 64000")] == [
        (other.program, other.holdings[RANGE_KEY].value) for other in found.others
    ]
    assert found.programs_differ(RANGE_KEY)
    assert not found.programs_differ(REUSE)


@pytest.mark.parametrize(
    ("asked", "value"),
    [("systemd", "15000 65000"), ("procps", "15000 64000"), ("tuned", "15000 64000")],
)
def test_a_program_may_be_asked_for(asked, value):
    """
    Whatever boots the system; tuned is what holds after it ran on top of that.
    """
    found = next_boot(boot(ARTICLE), program=asked)

    assert (asked, value) == (found.course.program, found.course.holdings[RANGE_KEY].value)
    assert asked not in {other.program for other in found.others}


def test_nothing_leaves_the_kernels_default():
    """
    No value, no winner, and the state is what the kernel starts with.
    """
    found = next_boot(boot())

    assert {Holding()} == set(found.course.holdings.values())
    assert "32768 60999" == found.course.state[RANGE_KEY]
    assert not any(map(found.programs_differ, KEYS))


def test_the_kernel_starts_with_what_the_table_of_settings_says():
    """
    The state before is the default of each setting, "" where the machine decides.
    """
    state = next_boot(boot()).course.state
    told = {row.key: "" if row.default is None else str(row.default) for row in SETTINGS}
    told[RANGE_KEY] = told[RANGE_KEY].replace("-", " ")

    assert told == state


def test_the_kernel_command_line_is_first():
    """
    It holds where no file names the sysctl, and the boot program overrides it.
    """
    word = command_line(RANGE_KEY, "20000 30000")
    alone, beaten = holding(boot(writers=(word,))), holding(boot(ARTICLE, writers=(word,)))

    assert ("20000 30000", Place(b"/proc/cmdline", 1)) == alone[:2]
    assert [(KERNEL, b"/proc/cmdline", law.APPLIED)] == outcomes(alone)
    assert "15000 65000" == beaten.value
    assert (KERNEL, b"/proc/cmdline", law.OVERRIDDEN) == outcomes(beaten)[0]
    assert Place(DROP_IN, 1) == beaten.proposals[0].fate.by


def test_a_sysctl_of_a_module_is_not_sure_to_be_there_for_the_command_line():
    """
    It is written before a module is loaded, and a file that names it decides again.
    """
    key = "net.netfilter.nf_conntrack_max"
    word = command_line(key, "12345")
    alone = holding(boot(writers=(word,)), key)
    files = {DROP_IN: b"net.netfilter.nf_conntrack_max = 5000\n"}
    named = holding(boot(files, writers=(word,)), key)

    assert (None, None) == alone[:2]
    assert [(KERNEL, b"/proc/cmdline", law.UNCHECKED)] == outcomes(alone)
    assert "only if its module is built into the kernel" in alone.doubt
    assert ("5000", "") == (named.value, named.doubt)


def test_the_last_word_of_the_kernel_command_line_holds():
    """
    Each is written, the later over the earlier, and a refused one changes nothing.
    """
    words = [command_line(RANGE_KEY, value) for value in ("1024 2000", "20000 30000", "9 8")]

    found = holding(boot(writers=tuple(words)))

    assert "20000 30000" == found.value
    assert [law.OVERRIDDEN, law.APPLIED, law.REFUSED] == [
        one.fate.outcome for one in found.proposals
    ]


def test_what_the_command_line_sets_changes_what_files_may():
    """
    Layers share one state: a lower ip_unprivileged_port_start lets a file go below 1024.
    """
    low = {DROP_IN: b"net.ipv4.ip_local_port_range = 80 65000\n"}
    word = command_line("net.ipv4.ip_unprivileged_port_start", "0")

    assert holding(boot(low)).value is None
    assert "80 65000" == holding(boot(low, writers=(word,))).value


def test_one_port_alone_is_added_to_what_the_layer_before_left():
    """
    A single number changes the first port; the last one is that of the command line.
    """
    facts = boot(
        {DROP_IN: b"net.ipv4.ip_local_port_range = 16000\n"},
        writers=(command_line(RANGE_KEY, "20000 30000"),),
    )

    assert "16000 30000" == holding(facts).value


def test_tuned_decides_last_where_it_starts():
    """
    Unasked it is the program then, its profile over the files, the files again over that.
    """
    profile = writer(TUNED, RANGE_KEY, "1024 65535")
    facts = boot({DROP_IN: ADVICE}, writers=(profile,))
    first = replace(facts, tuned=replace(REAPPLIES, reapplies=False))
    again = replace(facts, tuned=REAPPLIES)

    assert "1024 65535" == holding(first).value
    assert ("15000 65000", Place(DROP_IN, 1)) == holding(again)[:2]
    assert ("tuned", "systemd") == (
        next_boot(again).course.program,
        next_boot(again).base,
    )
    assert [
        ("systemd", DROP_IN, law.OVERRIDDEN),
        ("tuned", b"/etc/tuned/mine/tuned.conf", law.OVERRIDDEN),
        ("tuned", DROP_IN, law.APPLIED),
    ] == outcomes(holding(again))


def test_tuned_reads_etc_sysctl_conf_that_systemd_does_not():
    """
    So a host with tuned ends with the file that systemd never reads.
    """
    found = next_boot(replace(boot(ARTICLE), tuned=REAPPLIES))

    assert ("15000 64000", Place(CONF, 1)) == found.course.holdings[RANGE_KEY][:2]
    assert {"systemd": "15000 65000", "procps": "15000 64000"} == {
        other.program: other.holdings[RANGE_KEY].value for other in found.others
    }
    assert found.programs_differ(RANGE_KEY)


@pytest.mark.parametrize(
    "tuned",
    [
        replace(REAPPLIES, starts=False),
        replace(REAPPLIES, starts=None),
        replace(REAPPLIES, reapplies=False),
    ],
)
def test_a_tuned_that_does_nothing_does_not_decide(tuned):
    """
    Not started, not known to start, or without anything to write: the boot program decides.
    """
    assert "systemd" == next_boot(replace(boot(ARTICLE), tuned=tuned)).course.program


def test_tuned_leaves_out_what_is_excluded():
    """
    A pattern of keys that it does not apply again keeps them as they were.
    """
    tuned = replace(REAPPLIES, excluded=("net.ipv4.ip_local_*",))

    assert "15000 65000" == holding(replace(boot(ARTICLE), tuned=tuned)).value


def test_tuned_compares_what_is_excluded_with_the_key_as_it_is_spelled():
    """
    A pattern with dots does not keep a line with a dot too many from being applied again.
    """
    tuned = replace(REAPPLIES, excluded=("net.ipv4.ip_local_*",))
    files = {**ARTICLE, CONF: OLD_ADVICE.replace(b"net.ipv4", b"net..ipv4")}

    assert "15000 64000" == holding(replace(boot(files), tuned=tuned)).value


def test_lines_of_files_are_not_taken_for_a_profile():
    """
    That tuned applies files again is told as a writer too, and each line is written once.
    """
    again = replace(writer(TUNED, RANGE_KEY, None), name=REAPPLY)
    facts = replace(boot({CONF: OLD_ADVICE}, writers=(again,)), tuned=REAPPLIES)

    assert [("systemd", law.UNREAD), ("tuned", law.APPLIED)] == [
        (one.program, one.fate.outcome) for one in holding(facts).proposals
    ]


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ('"1"', "1"),
        (">1", None),
        ("<1", "1"),
        ("<0", "0"),
        (">5", None),
        ("1 # why", "1"),
        ("nonsense", None),
    ],
)
def test_a_profile_is_written_as_tuned_does(written, value):
    """
    Quotes are taken off, and a sign compares with the 2 that the kernel starts with.
    """
    profile = writer(TUNED, REUSE, written)
    tuned = replace(REAPPLIES, reapplies=False)

    assert value == holding(replace(boot(writers=(profile,)), tuned=tuned), REUSE).value


@pytest.mark.parametrize(
    "profile",
    [
        writer(TUNED, RANGE_KEY, None),
        writer(TUNED, RANGE_KEY, "${my_range}"),
        replace(writer(TUNED, RANGE_KEY, "1024 65535"), conditional=True),
    ],
)
def test_a_value_that_is_not_known_is_in_doubt(profile):
    """
    A variable of tuned, or a section for some machines, is not guessed: what was there
    stays, and that is not sure, until a file that tuned applies again decides.
    """
    facts = replace(
        boot({DROP_IN: ADVICE}, writers=(profile,)), tuned=replace(REAPPLIES, reapplies=False)
    )
    found = holding(facts)

    assert "15000 65000" == found.value
    assert law.UNCHECKED == found.proposals[-1].fate.outcome
    assert found.doubt.startswith("tuned may set it, by /etc/tuned/mine/tuned.conf:3: ")
    assert not holding(facts, REUSE).doubt
    assert not holding(replace(facts, tuned=REAPPLIES)).doubt


def test_what_may_write_at_any_time_decides_nothing():
    """
    A process, or a line that somebody may run, is told and not computed.
    """
    others = (
        writer(PROCESS, RANGE_KEY, None, None, None, ANY_TIME),
        writer(TRACE, RANGE_KEY, "1024 65535", "/etc/rc.local", 2),
        writer(TRACE, EVERY_KEY, None, "/etc/rc.local", 3),
    )

    assert Holding() == holding(boot(writers=others))


def test_what_is_set_before_the_boot_program_is_no_default():
    """
    systemd raises fs.nr_open before it applies the files: what it holds is not known.
    """
    raised = writer(PROCESS, "fs.nr_open", None, None, None, BEFORE)

    assert "" == next_boot(boot(writers=(raised,))).course.state["fs.nr_open"]


def test_a_sysctl_that_the_kernel_lacks_is_refused():
    """
    Its lines are told, by whomever they are read, and nothing holds it.
    """
    facts = boot({DROP_IN: b"net.ipv4.tcp_tw_reuse = 1\n"}, writers=(command_line(REUSE, "0"),))
    found = next_boot(facts, existing=set(KEYS) - {REUSE})

    assert REUSE not in found.course.state
    assert [law.REFUSED, law.REFUSED] == [
        one.fate.outcome for one in found.course.holdings[REUSE].proposals
    ]


def test_any_other_sysctl_may_be_asked_for():
    """
    Its value is the text as it would be written, and its lines are unchecked.
    """
    facts = boot({DROP_IN: b"kernel.panic = 010\n"}, writers=(command_line("kernel.panic", "5"),))
    found = holding(facts, "kernel.panic", keys=("kernel.panic",))

    assert "010" == found.value
    assert [law.OVERRIDDEN, law.UNCHECKED] == [one.fate.outcome for one in found.proposals]


@pytest.mark.parametrize(
    ("detected", "installed", "told"),
    [
        ("procps", {"systemd": (252,)}, "procps"),
        (None, {"systemd": (252,), "procps": (4, 0, 2)}, "systemd"),
        (None, {"procps": None}, "procps"),
        (None, {}, "systemd"),
    ],
)
def test_the_rules_are_those_of_what_boots_or_is_installed(detected, installed, told):
    """
    Where nothing is known to apply the files: procps' if it alone is there, else systemd's.
    """
    by = replace(program(detected), installed=installed)

    assert told == boot_program(boot(by=by)) == next_boot(boot(by=by)).course.program


def test_a_version_is_that_of_the_installed_program():
    """
    An old systemd writes a key with `..`, a new one refuses it.
    """
    files = {DROP_IN: b"net/ipv4/../ipv4/ip_local_port_range = 15000 65000\n"}

    assert "15000 65000" == holding(boot(files, by=program("systemd", 247))).value
    assert holding(boot(files, by=program("systemd", 257))).value is None


@given(any_boot())
def test_the_winner_is_a_line_that_took_effect(facts):
    """
    Of any files: a value has a winner among the lines, none beside it decides, and the
    state says the same.
    """
    # Lines that a CR divides have one number, and equal ones cannot be told apart by it.
    assume(not any(b"\r" in file.content for file in facts.tree.files))
    for asked in (None, "systemd", "procps", "tuned"):
        course = next_boot(facts, program=asked).course
        for key, found in course.holdings.items():
            took = {
                one.place
                for one in found.proposals
                if one.fate.outcome == law.APPLIED and one.value is not None
            }
            if found.winner is None:
                assert found.value is None
                assert set() == took
            else:
                assert {found.winner} == took
                assert found.value == course.state[key]


def test_a_boot_with_everything_has_one_answer():
    """
    Command line, files and tuned together: each key has the line that wrote last.
    """
    holdings = next_boot(FULL_WITH_TUNED).course.holdings

    assert "30" == holdings["net.ipv4.tcp_fin_timeout"].value
    assert ("0", Place(b"/etc/tuned/acme-profile/tuned.conf", 7)) == holdings[REUSE][:2]
    assert "tuned" == next_boot(FULL_WITH_TUNED).course.program


@pytest.mark.parametrize(
    ("kind", "link", "content", "what"),
    [
        (NULL, b"/dev/null", b"", ", a link to /dev/null"),
        (DANGLING, b"/dev/null", b"", ", a link to /dev/null"),
        (NULL, b"../../dev/null", b"", ", a link to /dev/null"),
        (DANGLING, b"gone.conf", b"", ", a dangling link"),
        (DIRECTORY, b"", b"", ", a directory"),
        (FILE, b"", b"", ", an empty file"),
        (FILE, b"", b"# mine", ""),
    ],
)
def test_what_hides_a_file_is_said(kind, link, content, what):
    """
    A link to /dev/null is called that, also in a tree that does not have the device.
    """
    path = b"/etc/sysctl.d/50-a.conf"
    hidden = {b"/usr/lib/sysctl.d/50-a.conf": ADVICE}
    found = holding(boot({path: SysctlFile(path, kind, content, link), **hidden}))

    (line,) = found.proposals
    assert (law.MASKED, Place(path, 0)) == line.fate[:2]
    assert f"the same name in an earlier directory{what}" == line.fate.reason
