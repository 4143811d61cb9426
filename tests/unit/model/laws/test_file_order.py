"""Which files a program reads, in which order, and why not the others."""

import time

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
)
from portroom.model.laws.dialects import DIALECTS, dialect
from portroom.model.laws.file_order import CHUNK_BYTES, readings, why_unseen
from portroom.model.laws.outcomes import MASKED, UNREAD

SYSTEMD, PROCPS, TUNED = dialect("systemd"), dialect("procps"), dialect("tuned")

CREDENTIAL = b"/run/credentials/systemd-sysctl.service/sysctl.extra"


def tree(*paths, content=b"a=1\n", kind=FILE):
    """
    Return a tree of files of one kind.
    """
    return SysctlTree(tuple(SysctlFile(path, kind, content) for path in paths))


def read(files, rules):
    """
    Return the paths that the program reads, and those that it does not with their outcomes.
    """
    found = list(readings(files, rules))
    return (
        [one.file.path for one in found if one.fate is None],
        {one.file.path: one.fate.outcome for one in found if one.fate},
    )


def test_names_are_sorted_over_all_directories():
    """
    The directory decides between equal names only.
    """
    paths = [b"/etc/sysctl.d/50-a.conf", b"/usr/lib/sysctl.d/10-z.conf", b"/run/sysctl.d/99.conf"]
    expected = ([paths[1], paths[0], paths[2]], {})

    assert expected == read(tree(*paths), SYSTEMD)


def test_tuned_lets_run_hide_etc():
    """
    For tuned it is the other way round than for the others.
    """
    paths = [b"/etc/sysctl.d/a.conf", b"/run/sysctl.d/a.conf"]

    assert ([paths[0]], {paths[1]: MASKED}) == read(tree(*paths), SYSTEMD)
    assert ([paths[1]], {paths[0]: MASKED}) == read(tree(*paths), TUNED)


def test_many_names_that_are_patterns_take_no_time():
    """
    Ten thousand patterns over ten thousand names are not all tried, and that is told.
    """
    paths = [b"/etc/sysctl.d/[a]*%05d.conf" % number for number in range(10_000)]
    begin = time.monotonic()
    doubtful = [one for one in readings(tree(*paths), PROCPS) if one.doubt]

    assert time.monotonic() - begin < 2.0
    assert len(doubtful) > 9_000
    assert not any(one.doubt for one in readings(tree(*paths), SYSTEMD))


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        (SYSTEMD, ([CREDENTIAL], {SYSCTL_CONF: UNREAD})),
        (PROCPS, ([SYSCTL_CONF], {CREDENTIAL: UNREAD})),
        (TUNED, ([SYSCTL_CONF], {CREDENTIAL: UNREAD})),
    ],
)
def test_each_program_has_its_last_file(rules, expected):
    """
    systemd ends with a credential, the others with /etc/sysctl.conf.
    """
    assert expected == read(tree(SYSCTL_CONF, CREDENTIAL), rules)


@pytest.mark.parametrize("kind", [NULL, DANGLING, LOOP, FIFO])
def test_procps_looks_what_etc_sysctl_conf_is(kind):
    """
    procps reads it only as a regular file; tuned opens whatever it is.
    """
    files = tree(SYSCTL_CONF, content=b"", kind=kind)

    assert ([], {SYSCTL_CONF: UNREAD}) == read(files, PROCPS)
    assert ([SYSCTL_CONF], {}) == read(files, TUNED)


def test_a_pattern_for_a_name_is_told_where_it_leads_elsewhere():
    """
    procps reads the files that the name finds; the file itself is unread, not lost.
    """
    paths = [b"/etc/sysctl.d/90-a.conf", b"/etc/sysctl.d/90-{a,b}.conf"]

    assert ([paths[0], paths[0]], {paths[1]: UNREAD}) == read(tree(*paths), PROCPS)
    assert (paths, {}) == read(tree(*paths), SYSTEMD)


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        (b"a=1\n\xff\nb=2\n", 0),
        (b"a=1\n" * CHUNK_BYTES + b"\xff\n", CHUNK_BYTES * 3 + CHUNK_BYTES),
        (b"a=1\na\0=2\nb=3\n", 1),
        (b"a=1\n# \0=\nb=3\n", 3),
    ],
)
def test_tuned_ends_at_what_it_cannot_decode(content, lines):
    """
    A byte that is no UTF-8 spoils the chunk that Python decodes at once, a zero byte in
    a key only what follows; and no later file is read.
    """
    paths = [b"/etc/sysctl.d/a.conf", b"/etc/sysctl.d/b.conf"]
    first, *rest = list(readings(tree(*paths, content=content), TUNED))
    whole = first.file.content == content

    assert first.file.content.count(b"\n") == min(lines, content.count(b"\n") - (not whole))
    assert whole == all(one.fate is None for one in rest)


@pytest.mark.parametrize(
    ("kind", "words"),
    [(FIFO, "would wait for it"), (LARGE, "too large"), (UNREADABLE, "may not be read")],
)
def test_what_was_not_read_has_a_reason(kind, words):
    """
    The reason is a clause that names what stands there.
    """
    assert words in why_unseen(SysctlFile(b"/etc/sysctl.d/a.conf", kind), SYSTEMD)


names = strategies.sampled_from(
    [b"a.conf", b".b.conf", b"*.conf", b"{a,b}.conf", b"c", b"\xff.conf"]
)
paths = strategies.builds(
    lambda *parts: b"/".join(parts), strategies.sampled_from(DIRECTORIES), names
)
files = strategies.lists(paths | strategies.sampled_from([SYSCTL_CONF, CREDENTIAL]), unique=True)
rows = strategies.sampled_from(DIALECTS)


@given(files, rows)
def test_every_file_has_one_place(paths, rules):
    """
    Each file is read or has a reason why not, never both and never neither.
    """
    found = list(readings(tree(*paths), rules))
    taken = {one.file.path for one in found if one.fate is None}
    passed_over = [one.file.path for one in found if one.fate]

    assert set(paths) == taken | set(passed_over)
    assert len(passed_over) == len(set(passed_over) - taken)


@given(
    files.flatmap(
        lambda paths: strategies.tuples(strategies.just(paths), strategies.permutations(paths))
    ),
    rows,
)
def test_the_order_of_the_tree_does_not_matter(both, rules):
    """
    A reader may list directories in any order: what is read, and in which order, is the same.
    """
    first, second = (read(tree(*paths), rules) for paths in both)

    assert first == second
