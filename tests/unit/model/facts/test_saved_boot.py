"""What decides at the next boot comes back from a file byte for byte, and stays small."""

import json
import re
import zlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as some

from portroom.model.facts.codec import decode, encode, encode_json
from portroom.model.facts.document import RawText
from portroom.model.facts.saved_boot import load_boot, save_boot
from portroom.model.facts.snapshot import Gap
from portroom.model.facts.sysctl_files import FILE, LARGE, SysctlFile
from tests.unit.made_boot import FULL, FULL_WITH_TUNED, HOSTILE_NAME, any_boot, boot
from tests.unit.made_groups import settings, snapshot


def taken(facts):
    """Return a Snapshot with what was read of the next boot."""
    return msgspec.structs.replace(snapshot(Gap("groups", "none"), settings()), boot=facts)


@given(any_boot())
def test_any_facts_come_back_whole(facts):
    """Paths, contents and links are the same bytes, and a file saved again the same."""
    content = encode(taken(facts))

    assert facts == decode(content, "x").boot
    assert content == encode(decode(content, "x"))


@pytest.mark.parametrize("facts", [FULL, FULL_WITH_TUNED])
def test_writers_gaps_and_what_was_unseen_come_back(facts):
    """Nothing else is lost either."""
    assert facts == decode(encode(taken(facts)), "x").boot


@given(some.binary(max_size=40))
def test_raw_text_can_be_had_back_from_json(raw):
    """Two backslashes are one, backslash x and two digits a byte, all else UTF-8."""
    text = json.loads(msgspec.json.encode(str(RawText(raw))))
    parts = re.findall(r"\\\\|\\x[0-9a-f]{2}|[^\\]", text)

    assert text == "".join(parts)
    assert raw == b"".join(
        b"\\" if part == r"\\" else bytes.fromhex(part[2:]) if part[0] == "\\" else part.encode()
        for part in parts
    )


def test_json_shows_lines_as_text():
    """A person reads the lines; a name that is no text is escaped."""
    told = json.loads(encode_json(taken(FULL)))["boot"]

    assert "ip_local_port_range = 15000 65000\n" in told["files"][0]["content"]
    assert str(RawText(b"/etc/sysctl.d/" + HOSTILE_NAME)) == told["files"][1]["path"]
    assert ["/etc/sysctl.d/99-sysctl.conf", "../sysctl.conf"] == [
        told["files"][2][name] for name in ("path", "link")
    ]


def test_a_file_of_an_older_portroom_has_a_gap():
    """Without the part there is no guess, and all else is there."""
    line, _, parts = encode(taken(FULL)).partition(b"\n")
    document = msgspec.msgpack.decode(zlib.decompress(parts))
    del document["boot"]
    older = zlib.compress(msgspec.msgpack.encode(document))
    header = json.loads(line) | {"compressed_bytes": len(older)}

    again = decode(json.dumps(header).encode() + b"\n" + older, "x")

    assert Gap("boot", "not in the file", ("boot",)) == again.boot
    assert settings() == again.settings


def test_the_largest_contents_are_left_out():
    """Small files stay whole; a file left out counts as too large, and a Gap says so."""
    facts = boot(
        {b"/etc/sysctl.d/a.conf": b"a" * 60, b"/etc/b": b"", b"/etc/sysctl.d/c.conf": b"c" * 50}
    )

    saved = save_boot(facts, most_bytes=100)

    assert [(LARGE, b""), (FILE, b""), (FILE, b"c" * 50)] == [
        (one.kind, one.content.raw) for one in saved.files
    ]
    (gap,) = saved.gaps
    assert "the contents of 1 files are left out" in gap.reason
    assert save_boot(facts, most_bytes=110).gaps == ()


@pytest.mark.parametrize(
    "file",
    [
        SysctlFile(b"/etc/passwd", FILE),
        SysctlFile(b"/\xff/sysctl.extra", FILE),
        SysctlFile(b"/etc/sysctl.d/a.conf", "dream"),
        SysctlFile(b"/etc/sysctl.d/a.conf", LARGE, b"x"),
    ],
)
def test_nonsense_is_refused(file):
    """A place or a kind that nobody ever reads is damage."""
    saved = save_boot(boot({file.path: file}))

    with pytest.raises(ValueError, match=r"^no (place|kind) of "):
        load_boot(saved)
