"""What decides at the next boot, as an Answer: who, with what proof, and what is uncertain."""

import datetime

import pytest
from msgspec.structs import replace

from portroom.errors import InvalidRequestError
from portroom.model.facts.boot import ANY_TIME, EVERY_KEY, REAPPLY, TRACE, TUNED, BootWriter, Tuned
from portroom.model.facts.boot_answer import of_each_key
from portroom.model.facts.gaps import Gap
from portroom.model.facts.ports import PortRange, PortSet
from portroom.model.facts.settings import RANGE_KEY, SETTINGS
from portroom.model.facts.snapshot import NetnsId, Settings, Snapshot
from portroom.model.facts.sysctl_files import FIFO, LARGE, SysctlFile, Unseen
from portroom.model.laws.boot_decisions import boot_answer, held_texts, key_named
from portroom.model.laws.boot_doubts import Asked
from portroom.model.laws.next_boot import KEYS
from tests.unit.made_boot import ADVICE, boot, program

REUSE = "net.ipv4.tcp_tw_reuse"
DROP_IN = b"/etc/sysctl.d/50-ports.conf"
FIFO_FILE = SysctlFile(b"/etc/sysctl.d/10-pipe.conf", FIFO)
LARGE_CONF = SysctlFile(b"/etc/sysctl.conf", LARGE)

SNAPSHOT = Snapshot(
    host="web1",
    boot_id="b",
    taken_at=datetime.datetime(2026, 3, 1, 12, tzinfo=datetime.UTC),
    netns=NetnsId("host", 1, 4026531840, "host"),
)


def answer(facts, wanted=KEYS, program=None, **known):
    """Return the answer of a host that has every sysctl, unless said otherwise."""
    every = {*KEYS, *wanted}
    here = {"current": dict.fromkeys(every, "7"), "existing": every}
    return boot_answer(SNAPSHOT, facts, Asked(wanted, **(here | known)), program)


def test_each_wanted_sysctl_is_told_in_its_order():
    """
    With the name that people know, what it holds now and what the kernel starts with.
    """
    told = answer(boot({DROP_IN: ADVICE}), (REUSE, RANGE_KEY, "kernel.panic"))

    assert [
        ("tcp_tw_reuse", REUSE, None, "7", "2", True),
        ("range", RANGE_KEY, "15000 65000", "7", "32768 60999", True),
        ("kernel.panic", "kernel.panic", None, "7", None, True),
    ] == [(one.name, one.key, one.value, one.current, one.default, one.exists) for one in told.keys]
    assert () == told.gaps


def test_a_winner_and_its_rivals_are_lines_of_files():
    """
    Paths are text, a file as a whole has no line, and each line says who reads it.
    """
    facts = boot(
        {
            b"/etc/sysctl.d/\xff.conf": ADVICE,
            b"/usr/lib/sysctl.d/\xff.conf": b"#\n" + ADVICE,
            b"/etc/sysctl.conf": ADVICE,
        }
    )
    (one,) = answer(facts, (RANGE_KEY,)).keys

    assert ("/etc/sysctl.d/\\xff.conf", 1) == (one.winner.file, one.winner.line)
    assert [
        ("/etc/sysctl.d/\\xff.conf", 1, "applied", "systemd"),
        ("/usr/lib/sysctl.d/\\xff.conf", 2, "masked", "systemd"),
        ("/etc/sysctl.conf", 1, "unread", "systemd"),
    ] == [(line.file, line.line, line.outcome, line.program) for line in one.candidates]
    assert ("/etc/sysctl.d/\\xff.conf", None) == (
        one.candidates[1].by.file,
        one.candidates[1].by.line,
    )


@pytest.mark.parametrize(
    ("by", "asked", "evidence"),
    [
        (program(evidence="process 1 is systemd"), None, "process 1 is systemd"),
        (program(evidence="process 1 is systemd"), "systemd", "process 1 is systemd"),
        (
            program(evidence="process 1 is systemd"),
            "procps",
            "procps was asked for; the system boots with systemd: process 1 is systemd",
        ),
        (
            program(None, evidence="there is no init"),
            "procps",
            "procps was asked for; what boots the system is not known: there is no init",
        ),
        (
            program(None, evidence="there is no init"),
            None,
            "most hosts boot with it; what boots this system is not known: there is no init",
        ),
        (
            replace(program(None, evidence="there is no init"), installed={"procps": None}),
            None,
            "procps is installed; what boots this system is not known: there is no init",
        ),
    ],
)
def test_the_evidence_says_how_the_program_is_known(by, asked, evidence):
    """
    And that it was asked for, where the system boots with another one.
    """
    assert evidence == answer(boot(by=by), program=asked).evidence


def test_a_system_that_nothing_boots_is_told_by_the_rules_of_most_hosts():
    """
    With a Gap, as nobody knows that it applies the files; none where it was asked for.
    """
    told = answer(boot(by=program(None)))
    asked = answer(boot(by=program(None)), program="systemd")

    reason = (
        "nothing is known to apply sysctl files at boot: what is told holds if systemd-sysctl does"
    )
    unsure = Gap("program", reason, ("program", "keys.value", "keys.winner"))
    assert ("systemd", None) == (told.program, told.program_version)
    assert unsure in told.gaps
    assert told.keys == asked.keys
    assert tuple(gap for gap in told.gaps if gap != unsure) == asked.gaps


@pytest.mark.parametrize(
    ("tuned", "asked", "note"),
    [
        (None, "tuned", "tuned is not installed"),
        (Tuned(version=None, starts=None), None, "whether it is started at boot is not known"),
        (Tuned(version=None, starts=False), None, "installed and not started at boot"),
        (
            Tuned(version=None, starts=True, reapplies=True),
            "systemd",
            "tuned is started after systemd-sysctl and decides last",
        ),
    ],
)
def test_tuned_is_told_where_it_may_surprise(tuned, asked, note):
    """
    Whether it is there, is started, and decides after what was asked for.
    """
    (told,) = answer(replace(boot(), tuned=tuned), program=asked).notes

    assert note in told


def test_tuned_that_decides_is_in_the_evidence():
    """
    The proof of the boot program, and that tuned comes after it.
    """
    tuned = Tuned(version=(2, 20), starts=True, reapplies=True)
    told = answer(replace(boot(), tuned=tuned))

    assert ("tuned", "2.20") == (told.program, told.program_version)
    assert "made up; tuned is started after that and decides last" == told.evidence


def test_a_sysctl_of_a_module_has_a_note():
    """
    A line for connection tracking does nothing if the module comes later.
    """
    key = "net.netfilter.nf_conntrack_max"
    told = answer(boot({DROP_IN: b"net.netfilter.nf_conntrack_max = 9\n"}), (key,))

    assert 1 == len(told.notes)
    assert told.notes[0].startswith(f"{key} exists only once its module is loaded")
    assert () == answer(boot(), (key,)).notes


@pytest.mark.parametrize(
    ("file", "reason", "affects"),
    [
        (
            FIFO_FILE,
            "is a FIFO",
            ("keys.value", "keys.winner", "keys.others", "keys.programs_differ"),
        ),
        (LARGE_CONF, "is too large", ("keys.others", "keys.programs_differ")),
    ],
)
def test_a_file_that_was_not_read_is_a_gap(file, reason, affects):
    """
    One for each file, and it names what is uncertain: with systemd nothing of
    /etc/sysctl.conf is, but what procps would leave.
    """
    (gap,) = answer(boot({file.path: file})).gaps

    assert (file.path.decode(), affects) == (gap.source, gap.affects)
    assert reason in gap.reason


def test_of_one_sysctl_the_fields_have_no_prefix():
    """
    Its answer is flat, and so are the names of its uncertain fields.
    """
    (gap,) = answer(boot({FIFO_FILE.path: FIFO_FILE}), (RANGE_KEY,)).gaps

    assert ("value", "winner", "others", "programs_differ") == gap.affects


def test_what_was_not_looked_into_is_a_gap():
    """
    A directory that may not be listed makes every value uncertain.
    """
    (gap,) = answer(boot(unseen=(Unseen(b"/run/sysctl.d", "cannot be listed"),))).gaps

    assert ("/run/sysctl.d", "cannot be listed") == (gap.source, gap.reason)
    assert "keys.value" in gap.affects


@pytest.mark.parametrize(
    ("word", "affects"),
    [
        ("others", ("writers",)),
        ("program", ("program",)),
        ("keys", ("keys.value", "keys.winner", "keys.others")),
    ],
)
def test_what_readers_missed_is_told_by_the_fields_of_the_answer(word, affects):
    """
    Another writer that was not seen leaves what the files give as it is.
    """
    (gap,) = answer(boot(gaps=(Gap("processes", "hidden", (word,)),))).gaps

    assert ("processes", "hidden", affects) == (gap.source, gap.reason, gap.affects)


def test_a_value_that_tuned_may_change_is_a_gap():
    """
    Of that sysctl alone: a variable of a profile is not guessed.
    """
    profile = BootWriter(
        kind=TUNED, name="mine", key=REUSE, value="${x}", file="/etc/tuned/mine/tuned.conf",
        line=2, when=ANY_TIME, sentence="",
    )  # fmt: skip
    tuned = Tuned(version=(2, 20), starts=True, reapplies=True)
    (gap,) = answer(replace(boot(writers=(profile,)), tuned=tuned)).gaps

    assert (REUSE, ("tcp_tw_reuse.value",)) == (gap.source, gap.affects)
    assert "tuned may set it, by /etc/tuned/mine/tuned.conf:2" in gap.reason


def test_a_sysctl_that_portroom_cannot_judge_is_a_gap():
    """
    Only where a line sets it: the kernel may refuse that, or take it differently.
    """
    facts = boot({DROP_IN: b"kernel.panic = 010\n"})
    told = answer(facts, ("kernel.panic", RANGE_KEY, "kernel.pid_max"))

    assert [("kernel.panic", ("kernel.panic.value",))] == [
        (gap.source, gap.affects) for gap in told.gaps
    ]
    assert "010" == told.keys[0].value


def test_a_sysctl_that_the_kernel_lacks_is_a_gap():
    """
    It does not exist, so it has no default; one that may not be read exists.
    """
    told = answer(
        boot(), (REUSE, "kernel.nope", "kernel.secret"), current={}, existing={"kernel.secret"}
    )

    assert [False, False, True] == [one.exists for one in told.keys]
    assert told.keys[0].default is None
    assert [
        (REUSE, "this kernel does not have it"),
        ("kernel.nope", "this kernel does not have it"),
        ("kernel.secret", "may not be read"),
    ] == [(gap.source, gap.reason) for gap in told.gaps]


def test_another_system_has_no_values_now():
    """
    What runs here says nothing of it: one Gap, no failure.
    """
    told = answer(replace(boot(), root="/mnt"), current=None, existing=None)

    assert {(None, None)} == {(one.current, one.exists) for one in told.keys}
    (gap,) = told.gaps
    assert ("keys.current", "writers") == gap.affects
    assert (
        "not_looked_at: /mnt does not run here: no values, no processes, no kernel command line"
    ) == gap.reason


def test_a_sysctl_that_the_files_do_not_reach_has_no_value_to_compare_with():
    """
    It holds something here, but not what a boot gives: null with a reason, and it may exist there.
    """
    told = answer(
        boot({DROP_IN: ADVICE}),
        (RANGE_KEY, "net.core.x", "fs.nr_open"),
        existing={RANGE_KEY, "fs.nr_open"},
        barred={RANGE_KEY: "elsewhere", "net.core.x": "elsewhere"},
    )

    assert [("15000 65000", None, True), (None, None, None), (None, "7", True)] == [
        (one.value, one.current, one.exists) for one in told.keys
    ]
    assert (Gap("current", "elsewhere", ("range.current", "net.core.x.current")),) == told.gaps


def test_a_saved_snapshot_does_not_know_every_sysctl():
    """
    Its files decide any key, but what another key holds now was never asked.
    """
    facts = boot({DROP_IN: b"kernel.panic = 5\n"})
    told = answer(facts, ("kernel.panic",), current={}, existing=set(), unasked=["kernel.panic"])

    assert ("5", None, None) == (told.keys[0].value, told.keys[0].current, told.keys[0].exists)
    assert ("current", "writers") == told.gaps[-1].affects
    assert told.gaps[-1].reason.startswith("not_looked_at")


def test_a_snapshot_without_the_part_knows_nothing():
    """
    The Gap says what is missing, and no value is a guess.
    """
    told = answer(Gap("boot", "not in the file", ("boot",)))

    assert told.program is None
    assert {(None, None, ())} == {(one.value, one.winner, one.candidates) for one in told.keys}
    assert [("boot", ("keys.value", "keys.winner", "keys.others"))] == [
        (gap.source, gap.affects) for gap in told.gaps
    ]


def test_only_writers_of_the_wanted_sysctls_are_told():
    """
    And those that apply all files again; what tuned applies again is told line by line.
    """

    def writer(kind, key, name="x"):
        """Return another writer."""
        return BootWriter(
            kind=kind, name=name, key=key, value=None, file="/etc/x", line=1, when=ANY_TIME,
            sentence="",
        )  # fmt: skip

    writers = (
        writer(TRACE, REUSE),
        writer(TRACE, RANGE_KEY),
        writer(TRACE, EVERY_KEY),
        writer(TUNED, REUSE, REAPPLY),
    )
    told = answer(boot(writers=writers), (REUSE,)).writers

    assert [REUSE, EVERY_KEY] == [one.key for one in told]


def test_an_answer_of_one_key_is_complete_in_itself():
    """
    It has the fields of both, and no writer of another sysctl.
    """
    told = answer(boot({DROP_IN: ADVICE}), (REUSE, RANGE_KEY))
    _, flat = of_each_key(told)

    assert (RANGE_KEY, "15000 65000", "systemd", "252", "web1") == (
        flat.key,
        flat.value,
        flat.program,
        flat.program_version,
        flat.host,
    )


@pytest.mark.parametrize(
    ("word", "key"),
    [
        ("range", RANGE_KEY),
        (RANGE_KEY, RANGE_KEY),
        ("net/ipv4/ip_local_port_range", RANGE_KEY),
        ("/proc/sys/net/ipv4/ip_local_port_range", RANGE_KEY),
        ("ip_local_port_range", RANGE_KEY),
        ("kernel.panic", "kernel.panic"),
        ("net/ipv4/conf/eth0.1/rp_filter", "net.ipv4.conf.eth0/1.rp_filter"),
        ("net.ipv4.conf.eth0/1.rp_filter", "net.ipv4.conf.eth0/1.rp_filter"),
    ],
)
def test_a_key_is_what_people_write(word, key):
    """
    A name, a key with dots or slashes, or a path below /proc/sys.
    """
    assert key == key_named(word)


@pytest.mark.parametrize(
    "word", ["rnage", "", "net..ipv4", "net/../kernel/panic", "net.ipv4.*", "a.b=1", "/a/b", "a."]
)
def test_what_is_no_key_is_refused(word):
    """
    A typo, a pattern, a way out of /proc/sys: none is looked for.
    """
    with pytest.raises(InvalidRequestError):
        key_named(word)


def test_values_now_are_texts_of_the_kernel():
    """
    A range has a blank between its ends, as a write would have.
    """
    settings = Settings(
        {RANGE_KEY: PortRange(1, 2), "reserved": PortSet.parse("1-3"), "fs.nr_open": 5}
    )

    assert ["1 2", "1-3", "5"] == list(held_texts(settings).values())


def test_no_setting_is_left_out():
    """
    Without a key all settings of the table are judged.
    """
    assert [row.key for row in SETTINGS] == [one.key for one in answer(boot()).keys]
