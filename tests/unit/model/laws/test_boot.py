"""The law of the boot, as a law: what holds for any files at all.

What each rule says is compared with the real programs in tests/kernel.
"""

import pytest
from hypothesis import given, strategies

from portroom.model.facts.sysctl_files import (
    DANGLING,
    DIRECTORIES,
    FIFO,
    FILE,
    LARGE,
    LOOP,
    NULL,
    SYSCTL_CONF,
    UNREADABLE,
    SysctlFile,
    SysctlTree,
    Unseen,
)
from portroom.model.laws.boot import boot
from portroom.model.laws.dialects import DIALECTS, PROGRAMS, dialect
from portroom.model.laws.outcomes import (
    APPLIED,
    BROKEN,
    OUTCOMES,
    OVERRIDDEN,
    REFUSED,
    UNCHECKED,
    Place,
)

RANGE = "net.ipv4.ip_local_port_range"
RESERVED = "net.ipv4.ip_local_reserved_ports"
SWAPPINESS = "vm.swappiness"
KEYS = (RANGE, RESERVED, "net.ipv4.ip_unprivileged_port_start", SWAPPINESS)
STATE = {
    RANGE: "32768 60999",
    RESERVED: "",
    "net.ipv4.ip_unprivileged_port_start": "1024",
    SWAPPINESS: "60",
}

A = b"/etc/sysctl.d/50-a.conf"


def file(content, path=A):
    """
    Return a tree of one file.
    """
    return SysctlTree((SysctlFile(path, FILE, content),))


def test_a_sysctl_that_the_law_does_not_know_is_unchecked():
    """
    The line decides, and its text is the value: nobody checked what the kernel makes of it.
    """
    verdict = boot(file(b"vm.swappiness = ten\n"), dialect("systemd"), KEYS, STATE).verdict(
        SWAPPINESS
    )

    assert ("ten", Place(A, 1)) == (verdict.value, verdict.winner)
    assert [UNCHECKED] == [one.fate.outcome for one in verdict.candidates]


def test_a_sysctl_that_does_not_exist_is_refused():
    """
    What has no state before is not there; the line is told as refused.
    """
    verdict = boot(
        file(b"net.netfilter.nf_conntrack_max = 1\n"),
        dialect("procps"),
        ["net.netfilter.nf_conntrack_max"],
        {},
    ).verdicts[0]

    assert (None, None) == (verdict.value, verdict.winner)
    assert [REFUSED] == [one.fate.outcome for one in verdict.candidates]


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ("systemd", "keeps the key from being set"),
        ("procps", "keeps patterns away from the key"),
        ("tuned", "there is no '=' in it"),
    ],
)
def test_a_dash_alone_is_told_as_what_it_does(program, reason):
    """
    The same line does three things, and the reason says which.
    """
    answer = boot(file(f"-{RANGE}\n".encode()), dialect(program), KEYS, STATE)
    (candidate,) = answer.verdict(RANGE).candidates

    assert reason == candidate.fate.reason
    assert (BROKEN if program == "tuned" else APPLIED) == candidate.fate.outcome
    assert STATE == answer.state


def test_the_rest_of_a_key_that_is_no_text_is_shown():
    """
    A reason is text, whatever bytes the line has.
    """
    content = b"net/ipv4/ip_local_port_range\xff/ = 1\n- \xff = 1\n"
    for rules in DIALECTS:
        assert STATE == boot(file(content), rules, KEYS, STATE).state


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("kind", [FIFO, LARGE, UNREADABLE])
def test_what_a_program_reads_and_portroom_did_not_is_unseen(program, kind):
    """
    Only files that the program reads are told, with what stands there.
    """
    hidden = SysctlFile(b"/usr/lib/sysctl.d/50-a.conf", kind)
    seen = Unseen(b"/run", "may not be listed")
    tree = SysctlTree((SysctlFile(A, kind), hidden), (seen,))
    answer = boot(tree, dialect(program), KEYS, STATE)

    assert [seen.path, A] == [one.path for one in answer.unseen]


def test_a_file_that_is_read_twice_has_one_outcome_a_line():
    """
    A name that is a pattern makes procps read its file again: the last time counts.
    """
    one, other = (
        SysctlFile(b"/etc/sysctl.d/" + name, FILE, b"%s = 15000 64000\n" % RANGE.encode())
        for name in (b"50-[b].conf", b"50-b.conf")
    )
    verdict = boot(SysctlTree((one, other)), dialect("procps"), KEYS, STATE).verdict(RANGE)

    assert other.path == verdict.winner.path
    assert {one.path, other.path} == {candidate.place.path for candidate in verdict.candidates}
    assert 2 == len(verdict.candidates)


WORDS = strategies.sampled_from(
    [
        *(key.encode() for key in KEYS),
        b"net/ipv4/ip_local_port_range",
        b"net.ipv4.ip_*",
        b"net.ipv4.{ip_local_port_rang?,x}",
        b"-",
        b"- ",
        b"#",
        b"=",
        b" = ",
        b"15000 64000",
        b"8080",
        b"80",
        b"\r",
        b"\0",
        b"\xff",
        b"\xef\xbb\xbf",
        b"\n",
        b"\n",
        b"\n",
        b"..",
        b"/",
        b"[",
        b"\\",
    ]
)
CONTENTS = strategies.lists(WORDS | strategies.binary(max_size=3), max_size=12).map(b"".join)
NAMES = [b"a.conf", b".a.conf", b"b.conf", b"*.conf", b"{a,b}.conf", b"README", b"\xff.conf"]
PATHS = strategies.sampled_from(
    [SYSCTL_CONF, b"/etc/credstore/sysctl.extra"]
    + [b"%s/%s" % (directory, name) for directory in DIRECTORIES for name in NAMES]
)
RULES = strategies.sampled_from(DIALECTS)


@strategies.composite
def trees(draw, contents=CONTENTS):
    """
    Draw a tree of files, and of names that lead to none.
    """
    files = []
    for path in draw(strategies.lists(PATHS, unique=True, max_size=6)):
        kind = draw(strategies.sampled_from([FILE] * 6 + [NULL, DANGLING, LOOP, FIFO]))
        files.append(SysctlFile(path, kind, draw(contents) if kind == FILE else b""))
    return SysctlTree(tuple(files))


@given(trees(), RULES)
def test_no_file_is_too_odd(tree, rules):
    """
    Whatever stands in files, every candidate has an outcome of the list, and what decides
    is a line that was written; what every sysctl holds is told.
    """
    answer = boot(tree, rules, KEYS, STATE)

    assert set(KEYS) == set(answer.state) == {verdict.key for verdict in answer.verdicts}
    for verdict in answer.verdicts:
        assert {one.fate.outcome for one in verdict.candidates} <= set(OUTCOMES)
        decides = [
            one.place
            for one in verdict.candidates
            if one.fate.outcome in {APPLIED, UNCHECKED} and one.value is not None
        ]

        assert decides == [verdict.winner] * (verdict.winner is not None)
        assert (verdict.value if verdict.winner else STATE[verdict.key]) == answer.state[
            verdict.key
        ]


@given(trees(), RULES, strategies.randoms(use_true_random=False))
def test_a_tree_is_a_set_of_files(tree, rules, random):
    """
    An equal tree gives an equal answer, and so does one with its files in another order.
    """
    shuffled = list(tree.files)
    random.shuffle(shuffled)
    expected = boot(tree, rules, KEYS, STATE)

    assert expected == boot(tree, rules, KEYS, STATE)
    assert expected == boot(SysctlTree(tuple(shuffled)), rules, KEYS, STATE)


PLAIN = strategies.lists(
    strategies.sampled_from([f"{RANGE} = 15000 64000\n", f"{RANGE} = x\n", "# x\n", "\n"]),
    max_size=5,
).map(lambda lines: "".join(lines).encode())


@given(trees(PLAIN), RULES)
def test_every_line_that_names_a_sysctl_is_told_once(tree, rules):
    """
    No line is lost, wherever it stands, also where the program never reads it.
    """
    expected = sorted(
        Place(file.path, number)
        for file in tree.files
        for number, line in enumerate(file.content.split(b"\n"), start=1)
        if line.startswith(RANGE.encode())
    )
    verdict = boot(tree, rules, KEYS, STATE).verdict(RANGE)

    assert expected == sorted(one.place for one in verdict.candidates)


@given(trees(PLAIN), RULES)
def test_what_is_overridden_names_what_overrides_it(tree, rules):
    """
    Whoever loses can look up the line that won.
    """
    verdict = boot(tree, rules, KEYS, STATE).verdict(RANGE)
    places = {one.place for one in verdict.candidates}

    assert all(
        one.fate.by in places for one in verdict.candidates if one.fate.outcome == OVERRIDDEN
    )
