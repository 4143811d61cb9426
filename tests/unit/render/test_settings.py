"""Settings are written for people, for spreadsheets and for programs."""

import csv
import datetime
import io
import json

import msgspec
import pytest

from portroom.model.facts.ports import PortRange, PortSet
from portroom.model.facts.settings import SETTINGS, setting_named
from portroom.model.facts.snapshot import NetnsId, Settings, Snapshot, not_looked_at
from portroom.model.facts.sysctl_files import SysctlTree
from portroom.model.laws.setting_states import settings_answer
from portroom.render.settings import (
    CSV_COLUMNS,
    all_as_text,
    as_csv_text,
    as_json,
    as_jsonl,
    as_text,
)
from portroom.render.units import Style, columns
from tests.unit.made_boot import ADVICE, boot


def answer(name="host", wanted=SETTINGS, facts=None, **changed):
    """Return an answer with the kernel's defaults but for what is *changed*."""
    values = {row.key: 4096 if row.default is None else row.default for row in SETTINGS}
    values |= {setting_named(word).key: value for word, value in changed.items()}
    return settings_answer(
        Snapshot(
            host="web1",
            boot_id="b",
            taken_at=datetime.datetime(2026, 3, 1, 12, tzinfo=datetime.UTC),
            netns=NetnsId(name, 1, 4026531840, "host"),
            settings=Settings({key: value for key, value in values.items() if value is not None}),
            boot=facts or not_looked_at("boot"),
        ),
        wanted,
    )


def test_one_setting_is_a_line_and_its_explanation():
    """
    The value stands first, then what it does and what it does not.
    """
    text = as_text(answer(wanted=[setting_named("tcp_fin_timeout")], tcp_fin_timeout=30), Style(80))

    expected = """\
NAME             CURRENT  PERSISTED  DEFAULT  STATE    SCOPE      UNIT
tcp_fin_timeout  30       -          60       changed  namespace  s

tcp_fin_timeout (net.ipv4.tcp_fin_timeout)
  How long a closed connection without a process waits in FIN_WAIT2 for the
  other side to close.
  It does not shorten TIME_WAIT: that lasts 60 s, fixed when the kernel is
  built.

Not looked at: boot.
web1, namespace host, 2026-03-01 12:00:00 UTC
"""
    assert expected == text


@pytest.mark.parametrize(
    ("name", "value", "cells"),
    [
        ("range", PortRange(15000, 64000), ["15000-64000", "-", "32768-60999", "changed"]),
        ("range", PortRange(32768, 60999), ["32768-60999", "-", "32768-60999", "default"]),
        (
            "reserved",
            PortSet.parse("8080,9000-9100"),
            ["8080,9000-9100", "-", "none", "changed"],
        ),
        ("reserved", PortSet(), ["none", "-", "none", "default"]),
        ("tcp_tw_reuse_delay", None, ["-", "-", "1000", "absent"]),
        ("tcp_max_tw_buckets", 131072, ["131072", "-", "by", "machine", "namespace"]),
    ],
)
def test_values_are_written_as_they_would_be_typed(name, value, cells):
    """
    Current and default stand side by side, and a word tells them apart.
    """
    text = as_text(answer(wanted=[setting_named(name)], **{name: value}), Style(80))

    assert [name, *cells] == text.splitlines()[1].split()[: 1 + len(cells)]


SEED = boot(
    {
        b"/etc/sysctl.d/net.ipv4.ip_local_port_range.conf": ADVICE,
        b"/etc/sysctl.conf": b"net.ipv4.ip_local_port_range = 15000 64000\n",
    }
)


def test_drift_is_a_word_and_a_sentence():
    """
    Of what a line gives the place is told, and of what no line sets that it is lost.
    """
    wanted = [setting_named(name) for name in ("range", "tcp_tw_reuse", "tcp_timestamps")]
    drifting = answer(wanted=wanted, facts=SEED, range=PortRange(15000, 64000), tcp_tw_reuse=1)
    lines = as_text(drifting, Style(100)).splitlines()

    expected = """\
NAME            CURRENT      PERSISTED    DEFAULT      STATE    SCOPE      UNIT
range           15000-64000  15000-65000  32768-60999  drift    namespace  port
tcp_tw_reuse    1            default      2            drift    namespace
tcp_timestamps  1            default      1            default  namespace"""
    assert expected.splitlines() == lines[:4]
    assert [
        "  Next boot: 15000-65000, by /etc/sysctl.d/net.ipv4.ip_local_port_range.conf:1.",
        "  Next boot: 2, the kernel's default: no line sets it.",
    ] == [line for line in lines if "Next boot" in line]


def test_what_the_next_boot_keeps_is_no_drift():
    """
    The value differs from the default and stays.
    """
    kept = answer(wanted=[setting_named("range")], facts=SEED, range=PortRange(15000, 65000))
    lines = as_text(kept, Style(100)).splitlines()

    assert ["range", "15000-65000", "15000-65000", "32768-60999", "changed"] == lines[1].split()[:5]


def test_a_narrow_terminal_keeps_name_value_and_state():
    """
    The other columns go, and the sentence below still tells the next boot.
    """
    wanted = [setting_named("range"), setting_named("ip_unprivileged_port_start")]
    lines = as_text(
        answer(wanted=wanted, facts=SEED, range=PortRange(15000, 64000)), Style(40)
    ).splitlines()

    assert ["NAME", "CURRENT", "STATE"] == lines[0].split()
    assert ["range", "15000-64000", "drift"] == lines[1].split()
    assert max(map(columns, lines[:3])) <= 40
    assert any(line.startswith("  Next boot: 15000-65000, by") for line in lines)


def test_wide_has_every_line_that_names_a_setting():
    """
    Those that decide, those that lose and those that nobody reads, hostile names escaped.
    """
    files = {b"/etc/sysctl.d/\x1b[31m\n.conf": b"net.ipv4.ip_local_port_range = 1 \x1b[2J\n"}
    facts = msgspec.structs.replace(
        SEED, tree=SysctlTree((*SEED.tree.files, *boot(files).tree.files))
    )
    text = as_text(answer(facts=facts), Style(80, wide=True))
    lines = [line.split() for line in text.splitlines() if "/sysctl" in line and "Not " not in line]

    assert "\x1b" not in text
    assert "overridden" == lines[0][4]
    assert r"/etc/sysctl.d/\x1b[31m\x0a.conf:1" == lines[0][1]
    assert ["15000", "65000", "applied"] == lines[1][2:5]
    assert ["15000", "64000", "unread"] == lines[2][2:5]


def test_drift_of_a_namespace_is_a_sentence_below_all():
    """
    The table of all namespaces keeps its columns.
    """
    drifting = answer("host", facts=SEED, range=PortRange(15000, 64000))
    plain = answer("pod", facts=SEED, range=PortRange(15000, 65000))

    expected = """\
NETNS  RANGE
host   15000-64000
pod    15000-65000
Drift in host: range is 15000-64000, the next boot gives 15000-65000
  (/etc/sysctl.d/net.ipv4.ip_local_port_range.conf:1).
"""
    assert expected == all_as_text([drifting, plain], Style(80))


@pytest.mark.parametrize("width", [80, 100, 132])
def test_no_line_is_wider_than_the_terminal(width):
    """
    A long list of reserved ports is shortened, and every sentence is wrapped.
    """
    many = PortSet.of(range(1, 10_000, 2))
    lines = as_text(answer(reserved=many), Style(width)).splitlines()

    assert max(map(columns, lines)) <= width


def test_wide_cuts_nothing():
    """
    Wide is one line a setting, with its words, and every reserved port.
    """
    many = PortSet.of(range(1, 10_000, 2))
    lines = as_text(answer(reserved=many), Style(80, wide=True)).splitlines()

    assert str(many) in lines[2]
    for row, line in zip(SETTINGS, lines[1:], strict=False):
        assert line.startswith(row.name)
        assert row.meaning in line
        assert line.endswith(row.does_not)


def test_colour_only_repeats_what_words_say():
    """
    Without its colours a coloured text is the plain one.
    """
    coloured = as_text(answer(tcp_tw_reuse=1), Style(80, colour=True))
    for code in ("0", "1", "2", "33"):
        coloured = coloured.replace(f"\x1b[{code}m", "")

    assert as_text(answer(tcp_tw_reuse=1), Style(80)) == coloured


def test_namespaces_stand_side_by_side():
    """
    Of all namespaces the range is told, and what is not alike or not the default.
    """
    tuned = answer("host", range=PortRange(15000, 64000), tcp_tw_reuse=1)
    plain = answer("pod", tcp_tw_reuse=1, file_max=7)

    expected = """\
NETNS  RANGE        TCP_TW_REUSE
host   15000-64000  1
pod    32768-60999  1
Not looked at: boot.
"""
    assert expected == all_as_text([tuned, plain], Style(80))


def test_a_setting_that_one_namespace_lacks_is_told():
    """
    What is absent in one namespace shows as a dash there.
    """
    lines = all_as_text([answer("a"), answer("b", tcp_tw_reuse=None)], Style(80)).splitlines()

    assert ["b", "32768-60999", "-"] == lines[2].split()


def test_a_hostile_name_of_a_namespace_does_not_act():
    """
    The name of a namespace is other people's text.
    """
    hostile = answer("\x1b[31mred\n")

    for text in (as_text(hostile, Style(80)), all_as_text([hostile], Style(80))):
        assert "\x1b" not in text
        assert "\\x1b[31mred\\x0a" in text


def test_json_has_typed_values():
    """
    A range is an object, ports are text, and what nobody looked at is null.
    """
    told = json.loads(as_json(answer(reserved=PortSet.parse("8080,9000-9100"))))
    by_name = {setting["name"]: setting for setting in told["settings"]}

    assert {"first": 32768, "last": 60999} == by_name["range"]["current"]
    assert "8080,9000-9100" == by_name["reserved"]["current"]
    assert "" == by_name["reserved"]["default"]
    assert 2 == by_name["tcp_tw_reuse"]["current"]
    assert by_name["tcp_max_tw_buckets"]["default"] is None
    assert {None} == {setting["drift"] for setting in told["settings"]}


def test_the_fields_of_json_are_those_that_programs_rely_on():
    """
    Field names and their order are public.
    """
    told = json.loads(as_json(answer()))

    header = ["schema_version", "host", "taken_at", "netns", "gaps", "settings"]
    fields = (
        "name current default persisted persisted_at drift unit scope meaning does_not key"
        " candidates"
    ).split()
    assert header == list(told)
    assert fields == list(told["settings"][0])


def test_json_tells_the_next_boot_typed_and_by_its_place():
    """
    A range is an object as its value now is, and the line that decides has file and number.
    """
    told = json.loads(as_json(answer(facts=SEED, range=PortRange(15000, 64000))))
    of_range = told["settings"][0]

    assert {"first": 15000, "last": 65000} == of_range["persisted"]
    assert {
        "file": "/etc/sysctl.d/net.ipv4.ip_local_port_range.conf",
        "line": 1,
    } == of_range["persisted_at"]
    assert of_range["drift"] is True
    assert ["applied", "unread"] == [line["outcome"] for line in of_range["candidates"]]


def test_json_lines_are_one_setting_each():
    """
    Each line has the header and one setting.
    """
    lines = [json.loads(line) for line in as_jsonl(answer()).splitlines()]

    assert [row.name for row in SETTINGS] == [line["name"] for line in lines]
    assert {"web1"} == {line["host"] for line in lines}


def test_csv_has_a_line_a_setting_of_each_namespace():
    """
    A reader of CSV gets each value back; what is not known is empty.
    """
    text = as_csv_text([answer("a", reserved=PortSet.parse("1-3")), answer("b", tcp_tw_reuse=None)])
    rows = list(csv.DictReader(io.StringIO(text)))

    assert list(CSV_COLUMNS) == list(rows[0])
    assert len(rows) == 2 * len(SETTINGS)
    found = {(row["netns"], row["name"]): row for row in rows}
    assert "32768-60999" == found["a", "range"]["current"]
    assert "1-3" == found["a", "reserved"]["current"]
    assert "" == found["b", "tcp_tw_reuse"]["current"]
    assert "2" == found["b", "tcp_tw_reuse"]["default"]
    assert setting_named("range").meaning == found["a", "range"]["meaning"]


def test_an_answer_survives_json():
    """
    What is written can be read again as the same answer.
    """
    told = answer()

    assert told == msgspec.json.decode(as_json(told), type=type(told))
