"""Features are written for people, for spreadsheets and for programs."""

import csv
import io
import json

import jsonschema
import msgspec
import pytest

from portroom.model.facts.features import Asked
from portroom.model.facts.snapshot import Features, Snapshot
from portroom.model.laws.feature_table import FEATURES, TOPICS
from portroom.model.laws.features import feature_named, features_answer, saved_features
from portroom.render import schema
from portroom.render.features import CSV_COLUMNS, as_csv_text, as_json, as_jsonl, as_text
from portroom.render.units import Style, columns
from tests.unit.render import examples

READ = Snapshot(host="web1", boot_id="b", taken_at=examples.AT, netns=examples.HOST)
OLD = {row.name: Asked(True) for row in FEATURES} | {
    "bucket_forgets": Asked(False),
    "range_option": Asked(False, "ENOPROTOOPT"),
    "range_option_step": Asked(None, "sockets have no window here"),
    "conntrack_rows": Asked(None, "needs CAP_NET_ADMIN"),
}


def answer(*names, found=OLD):
    """Return the answer of an old kernel, of some features alone."""
    return features_answer(READ, found, tuple(map(feature_named, names)) or FEATURES)


def test_no_and_unknown_are_named_and_each_says_what_follows():
    """The counts stand first, then topic by topic; what is missing to know is told."""
    text = as_text(answer("range_option", "tw_reuse_by_age", "conntrack_rows"), Style(80))

    expected = """\
3 features: 1 yes, 1 no (range_option) and 1 unknown (conntrack_rows).

Which ports are free
  no      range_option: a socket can have a window of its own
          (IP_LOCAL_PORT_RANGE)
          The probe cannot ask about single ports: those in doubt stay so. It
          can ask whether any port is left for a destination: `portroom headroom
          --probe --probe-last`, one sure yes or no. Every program chooses from
          the whole range.
          Found out by setting the option on a socket: ENOPROTOOPT.

  yes     tw_reuse_by_age: a TIME_WAIT is reused by its age
          Which TIME_WAITs a connect may take over is exact to the millisecond.
          Found out by looking for the setting tcp_tw_reuse_delay.

Which sockets hold them
  unknown conntrack_rows: translated connections can be listed
          Whether SNAT runs out of ports cannot be seen.
          Not found out by asking connection tracking for its counts, where it
          is in use: needs CAP_NET_ADMIN.

web1, namespace host, 2026-03-01 12:00:00 UTC.
"""
    assert expected == text


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_lines_keep_to_the_width(width):
    """But for a name that is longer than the line."""
    lines = as_text(answer(), Style(width)).splitlines()

    assert max(map(columns, lines)) <= width
    assert [topic for topic in TOPICS if topic in lines] == list(TOPICS)


def test_an_answer_is_a_word_as_well_as_a_colour():
    """Without colours the text is the same; it is ASCII anyway."""
    painted = as_text(answer("vrf", "range_option"), Style(80, colour=True))
    plain = as_text(answer("vrf", "range_option"), Style(80, ascii=True))

    assert "  \x1b[32myes\x1b[0m     vrf" in painted
    assert "  \x1b[33mno\x1b[0m      range_option" in painted
    assert "\x1b" not in plain
    assert plain.isascii()


def test_wide_is_one_line_a_feature():
    """It cuts nothing, so that `grep` finds it."""
    lines = as_text(answer(), Style(80, wide=True)).splitlines()

    rows = [line for line in lines if line.startswith(tuple(row.name + " " for row in FEATURES))]
    assert len(FEATURES) == len(rows)
    for row, line in zip(FEATURES, rows, strict=True):
        assert row.how in line


def test_what_a_snapshot_does_not_hold_is_one_paragraph():
    """Only what it holds has an entry; data formats have all."""
    one = answer(found=saved_features(Features(range_option=True)))

    text = as_text(one, Style(80))

    assert "1 yes and 18 unknown.\n" in text
    assert "\nNot held by a Snapshot: zero_packet_probe, range_option_step," in text
    assert 4 == text.count("ound out by ")
    assert len(FEATURES) == len(json.loads(as_json(one))["features"])


def test_a_hostile_detail_does_not_act():
    """What the kernel or a file told is written so that nothing in it acts."""
    found = OLD | {"vrf": Asked(True, "it is \x1b[31m1")}

    text = as_text(answer("vrf", found=found), Style(80, colour=True))

    assert "\x1b[31m" not in text


def test_csv_has_a_line_a_feature():
    """With every column, and what is not known as a word."""
    rows = list(csv.DictReader(io.StringIO(as_csv_text([answer()]))))

    assert list(CSV_COLUMNS) == list(rows[0])
    assert [row.name for row in FEATURES] == [row["name"] for row in rows]
    assert {"yes", "no", "unknown"} == {row["answer"] for row in rows}


def test_json_lines_have_the_header_before_each_feature():
    """A line is whole in itself."""
    rows = [json.loads(line) for line in as_jsonl(answer()).splitlines()]

    beginning = ["schema_version", "host", "taken_at", "netns", "name", "title", "answer"]
    assert beginning == list(rows[0])[:7]
    assert len(FEATURES) == len(rows)


@pytest.mark.parametrize("found", [OLD, {}])
def test_json_is_valid(found):
    """There is one answer, of one kernel: none of all namespaces."""
    rules = json.loads(schema.as_json_schema("features"))

    told = json.loads(as_json(answer(found=found)))

    jsonschema.validate(told, rules)
    assert "Namespaces" not in rules["$defs"]
    names = [field.name for field in msgspec.structs.fields(answer().features[0])]
    assert names == list(told["features"][0])
