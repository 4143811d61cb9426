"""Redacting what decides at boot: every outcome stays in its line, no word is left."""

import zlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as some

from portroom.model.facts.boot import AFTER, REAPPLY, TRACE, TUNED, BootFacts, BootWriter, Tuned
from portroom.model.facts.codec import decode, encode, encode_json
from portroom.model.facts.settings import SETTINGS
from portroom.model.facts.snapshot import Gap
from portroom.model.facts.sysctl_files import FILE, SysctlFile, Unseen
from portroom.model.laws.dialects import PROGRAMS
from portroom.model.laws.drift import prospects
from portroom.model.laws.next_boot import next_boot
from portroom.model.laws.redact import redact
from portroom.model.laws.redact_boot import _content, _ranked, redact_boot
from tests.unit.made_boot import NAMES, any_boot, boot, program
from tests.unit.made_groups import settings, snapshot

SECRETS = (b"alice", b"acme", b"203.0.113.7", b"ticket", b"s3cret", b"hostname", b"vip")
SECRETS += (b"carol", b"dave", b"bobby", b"erin")

TOLD = boot(
    {
        b"/etc/sysctl.d/50-acme.conf": (
            b"# alice did this for 203.0.113.7, see ticket 4711\n"
            b"; acme\n"
            b"kernel.hostname = vip.acme.example\n"
            b"net.ipv4.ip_local_port_range = 15000 64000 # alice\n"
            b"net.ipv4.tcp_tw_reuse = s3cret\n"
            b"net.ipv4.tcp_tw_reuse: 1 # alice\n"
            b"net.ipv4.tcp_tw_reuse acme\n"
            b"net/carol/../ipv4/tcp_tw_reuse = 1\n"
            b"'dave/../net/bobby/../ipv4/tcp_tw_*: 1\n"
            b"net.erin/a.//.ipv4.tcp_tw_reuse = 1\n"
            b"kernel.x = alice\rnet.ipv4.tcp_fin_timeout = 30\r# acme\n"
        ),
        b"/etc/sysctl.d/60-link.conf": SysctlFile(
            b"/etc/sysctl.d/60-link.conf", FILE, b"", b"/srv/acme/sysctl"
        ),
    },
    by=program(None, evidence="process 1 is 'acme-init'"),
    writers=(
        BootWriter(
            kind=TUNED,
            name="acme-web",
            key="net.ipv4.tcp_tw_reuse",
            value="s3cret",
            file="/etc/tuned/acme-web/tuned.conf",
            line=3,
            when=AFTER,
            sentence="The profile acme-web sets it.",
        ),
        BootWriter(
            kind=TRACE,
            name="/opt/acme/start",
            key="net.ipv4.tcp_tw_reuse",
            value=None,
            file="/opt/acme/start",
            line=9,
            when=AFTER,
            sentence="/opt/acme/start names it.",
        ),
    ),
    unseen=(Unseen(b"/etc/sysctl.d/99-vip.conf", "is too large"),),
    gaps=(Gap("/etc/tuned/acme-web", "could not be read", ("others",)),),
)
TOLD = msgspec.structs.replace(
    TOLD,
    program=msgspec.structs.replace(TOLD.program, notes=("/sbin/acme is process 1.",)),
    tuned=Tuned(version=(2, 20), starts=True, profiles=("acme-web",), excluded=("net.acme.*",)),
)


def taken(facts):
    """Return a Snapshot with what was read of the next boot."""
    return msgspec.structs.replace(snapshot(Gap("groups", "none"), settings()), boot=facts)


def shown(read):
    """Return all that a file of a Snapshot shows, both as msgpack and as JSON."""
    line, _, parts = encode(read).partition(b"\n")
    return line + zlib.decompress(parts) + encode_json(read)


def outcomes(facts, base):
    """Return what each program makes of every line, but for names and texts."""
    found = []
    for name in PROGRAMS:
        course = next_boot(facts, program=name).course
        for row in SETTINGS:
            holding = course.holdings[row.key]
            lines = [
                (one.program, base(one.place.path), one.place.line, one.fate.outcome)
                for one in holding.proposals
            ]
            winner = holding.winner and (base(holding.winner.path), holding.winner.line)
            found.append((name, row.name, course.state.get(row.key), winner, lines))
        found.append(len(course.unseen))
    return found


def in_order(facts):
    """Return a function that tells a path by its rank among all paths."""
    ranks = {path: rank for rank, path in enumerate(sorted(f.path for f in facts.tree.files))}
    return lambda path: ranks.get(path, path)


@given(any_boot())
def test_every_line_has_the_same_outcome(facts):
    """With any files each program decides the same, by the same lines."""
    redacted = redact_boot(facts)

    if isinstance(redacted, BootFacts):
        assert outcomes(facts, in_order(facts)) == outcomes(redacted, in_order(redacted))
    else:
        files = facts.tree.files
        assert any(
            set(b"*?[{\\") & set(file.name) or b"net/a*/../" in file.content for file in files
        )


@given(any_boot())
def test_drift_stays(facts):
    """What the next boot gives each setting is the same."""
    redacted = redact_boot(facts)
    if isinstance(redacted, Gap):
        return
    host = msgspec.structs.replace(taken(facts).netns, kind="host")
    before, after = (
        prospects(msgspec.structs.replace(taken(one), netns=host), SETTINGS)
        for one in (facts, redacted)
    )

    for row in SETTINGS:
        one, other = before.by_name[row.name], after.by_name[row.name]
        assert (one.persisted, one.drift, one.by_program) == (
            other.persisted,
            other.drift,
            other.by_program,
        )
    assert len(before.gaps) >= len(after.gaps)
    assert bool(before.gaps) == bool(after.gaps)


@pytest.mark.parametrize("secret", SECRETS)
def test_nothing_that_tells_whose_it_is_is_left(secret):
    """Neither in comments, other settings and bad values, nor in names and sentences."""
    before, after = shown(taken(TOLD)), shown(redact(taken(TOLD)))

    assert secret in before
    assert secret not in after


def test_lines_keep_their_numbers_and_judged_ones_their_values():
    """What the kernel reads of a value stays, the rest is as long as it was."""
    (file, _) = redact_boot(TOLD).tree.files

    assert [
        b"",
        b"",
        b"",
        b"net.ipv4.ip_local_port_range = 15000 64000 # xxxxx",
        b"net.ipv4.tcp_tw_reuse = xxxxxx",
        b"net.ipv4.tcp_tw_reuse: 1 # xxxxx",
        b"net.ipv4.tcp_tw_reuse xxxx",
        b"net/xxxxx/../ipv4/tcp_tw_reuse = 1",
        b"'xxxx/../net/xxxx1/../ipv4/tcp_tw_*: 1",
        b"net.xxxxxx.//.ipv4.tcp_tw_reuse = 1",
        b"xxxxxxxx = xxxxx\rnet.ipv4.tcp_fin_timeout = 30\r# xxxx",
        b"",
    ] == file.content.split(b"\n")
    assert b"/etc/sysctl.d/1-file.conf" == file.path


def test_a_redacted_file_is_read_again():
    """What was redacted is saved and loaded like any other."""
    again = decode(encode(redact(taken(TOLD))), "x")

    assert redact(taken(TOLD)).boot == again.boot


def test_redacting_twice_changes_nothing_more():
    """Replacements of replacements are the same."""
    once = redact_boot(TOLD)

    assert once == redact_boot(once)


def test_a_name_that_is_a_pattern_cannot_be_replaced():
    """sysctl --system reads other files in its place: then all is left out, and said."""
    facts = boot({b"/etc/sysctl.d/[a].conf": b"", b"/etc/sysctl.d/a.conf": b""})
    alone = boot({b"/etc/sysctl.d/[a].conf": b"", b"/etc/sysctl.d/b.conf": b""})

    assert "is a pattern" in redact_boot(facts).reason
    assert b"/etc/sysctl.d/1-file.conf" == redact_boot(alone).tree.files[0].path


@pytest.mark.parametrize("name", [b"a*", b"{a,b}", b"a\\b", b"\xff"])
def test_a_name_in_a_key_that_is_a_pattern_cannot_be_replaced(name):
    """Nor can one that is no text: all is left out, as other names would lead elsewhere."""
    line = b"net/%s/../ipv4/tcp_tw_reuse = 1\n" % name
    facts = boot({b"/etc/sysctl.d/a.conf": line})

    assert "a name in a key" in redact_boot(facts).reason


def test_more_short_names_than_there_are_replacements():
    """Two names never become one, as their lines would override each other."""
    lines = b"".join(b"net/%c/../ipv4/tcp_tw_reuse = 1\n" % letter for letter in b"abcdefghijk")

    assert "a name in a key" in redact_boot(boot({b"/etc/sysctl.d/a.conf": lines})).reason


@given(some.sets(NAMES))
def test_names_keep_their_order_and_their_kind(names):
    """Sorted as bytes, hidden or not, and with the ending that is read."""
    new = _ranked(names)

    assert sorted(new.values()) == [new[name] for name in sorted(names)]
    assert len(names) == len(set(new.values()))
    for name, other in new.items():
        assert name.endswith(b".conf") == other.endswith(b".conf")
        assert name.startswith(b".") == other.startswith(b".")


@given(some.binary(max_size=60))
def test_content_keeps_its_lines(content):
    """Whatever the bytes, there are as many lines."""
    assert content.count(b"\n") == _content(content).count(b"\n")


def test_tuned_at_the_sysctl_files_stays_what_it_is():
    """Else its lines would count as those of a profile."""
    again = msgspec.structs.replace(TOLD.writers[0], name=REAPPLY, file="/etc/sysctl.conf")
    (writer,) = redact_boot(boot(writers=(again,))).writers

    assert (REAPPLY, "/etc/sysctl.conf", 3) == (writer.name, writer.file, writer.line)


def test_what_tuned_leaves_out_stays_as_far_as_it_counts():
    """A pattern stays that fits a judged key as it is spelled in a file, and no other."""
    line = b"net..ipv4.tcp_tw_reuse = 1\nnet.acme.x = 1\n"
    tuned = Tuned(version=(2, 27), starts=True, excluded=("net..*", "net.acme.*"))
    read = msgspec.structs.replace(boot({b"/etc/sysctl.conf": line}), tuned=tuned)

    assert ("net..*",) == redact_boot(read).tuned.excluded


def test_values_of_writers_stay_as_far_as_they_count():
    """Variables stay variables, comparisons and quotes stay, numbers too."""

    def value(text):
        """Return a value redacted."""
        writer = msgspec.structs.replace(TOLD.writers[0], value=text)
        return redact_boot(boot(writers=(writer,))).writers[0].value

    assert ["15000 65000", ">4096", '"1 2"', "${redacted}", "1 xxx"] == [
        value(text) for text in ("15000 65000", ">4096", '"1 2"', "${secret}0", "1 abc")
    ]
