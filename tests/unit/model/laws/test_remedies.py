"""A remedy says what to write, and the kernel takes it for what it says."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as some
from msgspec.structs import replace

from portroom.model.facts.sysctl_files import NULL, SysctlFile
from portroom.model.laws.acceptance import KNOWN, RANGE_KEY, RESERVED_KEY, START_KEY, write_once
from portroom.model.laws.boot_candidates import candidates
from portroom.model.laws.next_boot import next_boot
from portroom.model.laws.outcomes import APPLIED, OVERRIDDEN
from portroom.model.laws.remedies import numbers_of
from tests.unit.made_boot import FULL, any_boot, boot, program

FILE = b"/etc/sysctl.d/90-a.conf"
FIN_KEY = "net.ipv4.tcp_fin_timeout"
MOVE = "Move the line to a file such as /etc/sysctl.d/90-ports.conf."


def remedies(key, files, by="systemd"):
    """Return what to do about each line that names a sysctl, by its outcome."""
    found = next_boot(boot(files), None, (key,), by)
    return [(line.outcome, line.remedy) for line in candidates(key, found.course)]


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        (RESERVED_KEY, "8080, 9090", "Write 8080,9090."),
        (RESERVED_KEY, "8080 9000-9100", "Write 8080,9000-9100."),
        (RESERVED_KEY, "9000 - 9100;80", "Write 80,9000-9100."),
        (RESERVED_KEY, "08080", "Write 8080."),
        (RESERVED_KEY, "http", "Write ports up to 65535, such as 8080,9000-9100."),
        (RESERVED_KEY, "9100-9000", "Write ports up to 65535, such as 8080,9000-9100."),
        (RANGE_KEY, '"15000 64000"', "Write 15000 64000."),
        (RANGE_KEY, "15000-64000", "Write 15000 64000."),
        (RANGE_KEY, "15000,64000", "Write 15000 64000."),
        (RANGE_KEY, "64000 15000", "Write two ports from 1 to 65535, the lower one first."),
        (RANGE_KEY, "80 64000", f"Lower {START_KEY} in a line above, or begin the range higher."),
        (START_KEY, "40000", f"Raise {RANGE_KEY} in a line above, or write a lower port."),
        (FIN_KEY, "'30'", "Write 30."),
        (FIN_KEY, "30s", "Write one number in plain digits."),
        ("net.ipv4.tcp_tw_reuse", "3", "Write one number from 0 to 2."),
    ],
)
def test_a_refused_line_is_told_what_the_kernel_takes(key, value, told):
    """The very numbers where they are sure, else what they should look like."""
    found = remedies(key, {FILE: f"{key} = {value}\n".encode()})

    assert [("refused", told)] == found


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        (RANGE_KEY, "015000 064000", "Write 15000 64000."),
        (RANGE_KEY, "0x3a98 0xfa00", "Write 15000 64000."),
        (RANGE_KEY, "15000", "Write both ends, as in 15000 60999."),
        (RANGE_KEY, "15000 64000 # why", "Write 15000 64000."),
        (RANGE_KEY, "15000 64000 9", "Write 15000 64000, if that is meant."),
        (RANGE_KEY, "15000 64000", ""),
        (RESERVED_KEY, "81,80", ""),
    ],
)
def test_a_winner_that_is_not_as_written_is_told_how_to_write_it(key, value, told):
    """And one whose numbers the kernel holds needs nothing."""
    found = remedies(key, {FILE: f"{key} = {value}\n".encode()}, "procps")

    assert [(APPLIED, told)] == found


def test_a_list_that_is_cut_is_told_to_be_shorter():
    """One write takes a page less a byte, and the kernel's command line is written once."""
    ports = ",".join(map(str, range(10000, 12000, 2)))
    writer = replace(FULL.writers[0], key=RESERVED_KEY, value=ports)
    found = next_boot(boot(writers=(writer,)), None, (RESERVED_KEY,))
    (line,) = candidates(RESERVED_KEY, found.course)

    assert APPLIED == line.outcome
    assert "Shorten the list: runs such as 9000-9100 take less room." == line.remedy


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ({b"/etc/sysctl.conf": b"%s = 15000 64000"}, ("unread", MOVE)),
        ({b"/etc/sysctl.d/a": b"%s = 15000 64000"}, ("unread", "Rename it to a.conf.")),
        (
            {b"/etc/sysctl.d/.a.conf": b"%s = 15000 64000"},
            ("unread", "Rename it to a.conf."),
        ),
        (
            {FILE: b"", b"/usr/lib/sysctl.d/90-a.conf": b"%s = 15000 64000"},
            ("masked", "Remove /etc/sysctl.d/90-a.conf, if this line is meant."),
        ),
        (
            {FILE: b"kernel.x = 1", b"/usr/lib/sysctl.d/90-a.conf": b"%s = 15000 64000"},
            ("masked", "Move the line into /etc/sysctl.d/90-a.conf, or remove that file."),
        ),
        (
            {FILE: SysctlFile(FILE, NULL), b"/usr/lib/sysctl.d/90-a.conf": b"%s = 15000 64000"},
            ("masked", "Remove /etc/sysctl.d/90-a.conf, if this line is meant."),
        ),
        (
            {FILE: b"%s = 15000 64000\n-%s"},
            ("excluded", f"Remove line 2 of {FILE.decode()}, if this one is meant."),
        ),
        (
            {FILE: b"%s: 15000 64000"},
            ("broken", f"Write {RANGE_KEY} = VALUE, and nothing else in that line."),
        ),
        (
            {FILE: b"\xef\xbb\xbf%s = 15000-64000"},
            ("broken", f"Write {RANGE_KEY} = 15000 64000, and nothing else in that line."),
        ),
    ],
)
def test_a_line_that_does_nothing_is_told_where_it_belongs(files, told):
    """The file to rename, to remove or to write, by name."""
    named = {
        path: content.replace(b"%s", RANGE_KEY.encode()) if isinstance(content, bytes) else content
        for path, content in files.items()
    }

    assert told == remedies(RANGE_KEY, named)[0]


def test_a_line_that_loses_fairly_has_no_remedy():
    """Nothing is wrong with it."""
    line = f"{RANGE_KEY} = 15000 64000\n".encode()
    found = remedies(RANGE_KEY, {FILE: line, b"/etc/sysctl.d/99.conf": line + b"\n#"})

    assert [(APPLIED, ""), (OVERRIDDEN, "")] == sorted(found)


def test_a_sysctl_that_is_not_there_is_asked_about():
    """No value helps where the kernel does not have it."""
    found = next_boot(boot({FILE: b"net.ipv4.acme = 1\n"}), set(), ("net.ipv4.acme",), "systemd")
    (line,) = candidates("net.ipv4.acme", found.course)

    assert "Check the name; a module that brings it must be loaded before." == line.remedy


@given(
    some.sampled_from([RANGE_KEY, RESERVED_KEY, FIN_KEY]), some.text("0189xa,-; \"'#:", max_size=14)
)
def test_a_proposal_is_taken_for_what_it_says(key, value):
    """Whatever stands in the line, the kernel holds the very text that is proposed."""
    found = next_boot(boot({FILE: f"{key} = {value}\n".encode()}), None, (key,), "systemd")
    for line in candidates(key, found.course):
        text = line.remedy.removeprefix("Write ").removesuffix(".")
        if line.remedy and not set(text) - set("0123456789,- "):
            written = write_once(key, text.encode(), {key: KNOWN[key].default})

            assert ("", text) == (written.refusal, written.value)
            assert text == numbers_of(key, line.value)


@given(any_boot())
def test_each_line_has_at_most_one_sentence(facts):
    """Of any tree, and none for a line that is overridden."""
    found = next_boot(facts)
    for key in (RANGE_KEY, RESERVED_KEY, "net.ipv4.tcp_tw_reuse"):
        for line in candidates(key, found.course):
            assert not line.remedy or line.remedy.endswith(".")
            assert line.outcome != OVERRIDDEN or not line.remedy


@pytest.mark.parametrize("key", [RANGE_KEY, RESERVED_KEY, FIN_KEY])
def test_blanks_without_end_cost_little(key):
    """A line may be a megabyte of anything, and there may be many."""
    begun = time.process_time()
    for start in ("", "1", "1-", "1 -", "1,", "'1"):
        numbers_of(key, start + " " * 100_000 + "-y")

    assert time.process_time() - begun < 1


def test_the_program_that_boots_is_not_needed():
    """Remedies are told also where nobody knows what applies the files."""
    found = next_boot(boot({FILE: f"{RANGE_KEY} = 1-2\n".encode()}, by=program(None)))

    assert candidates(RANGE_KEY, found.course)[0].remedy
