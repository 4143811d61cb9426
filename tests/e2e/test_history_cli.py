"""`portroom history` tells what the store has, in every format, whoever made it."""

import csv
import datetime
import io
import json

import jsonschema
import msgspec
import pytest

from portroom.api.history import find_file
from portroom.history.recorder import FlightRecorder
from portroom.kernel.sampling import read_instant
from portroom.kernel.snapshot import Wanted, take
from portroom.model.facts.config import Recorder
from portroom.model.facts.sample import BELOW_HALF
from portroom.model.facts.watched import Mark
from portroom.render.schema import as_json_schema
from tests.e2e.faults import answered, ask, refused
from tests.unit.made_history import WEB, entry, store_in

HOSTILE = "key_tight firing: e\x1b[31mvil\n\u202egnp"


@pytest.fixture
def seen(tmp_path):
    """Return the path of a history of the last hour of this boot, with a mark."""
    now = read_instant()
    store = store_in(tmp_path)
    for ago_s in range(3000, 0, -30):
        at = msgspec.structs.replace(
            now,
            uptime_s=now.uptime_s - ago_s,
            at=now.at - datetime.timedelta(seconds=ago_s),
        )
        depth = BELOW_HALF if ago_s > 2500 else "full"
        store.add([entry(at, 20_000 + ago_s, 17, depth=depth), entry(at, 3, netns=WEB)], at)
    store.mark(Mark(now.at - datetime.timedelta(seconds=600), "alert", HOSTILE), now)
    store.close()
    return f"{tmp_path}/history.sqlite"


def history(seen, *words):
    """Return how the command ended."""
    return ask("history", "--history", seen, *words, environment={"COLUMNS": "100"})


def test_a_line_a_key_with_its_course(seen):
    """The tightest first, the highest of the time, and what happened."""
    ended = history(seen)

    answered(ended, "tightest key", "10.0.0.1:443", "79 %", "▇", "·", "web", "alert: key_tight")
    assert "\\x1b[31mvil\\x0a\\u202egnp" in ended.answer
    assert max(map(len, ended.answer.splitlines())) <= 100


def test_a_line_a_moment_of_one_key(seen):
    """With every figure, and what was not looked at told as such."""
    ended = history(seen, "--key", "10.0.0.1:443", "--netns", "host")

    answered(ended, "10.0.0.1:443 from 10.0.0.1, namespace host", "below half", "TIME_WAIT")
    assert "10.0.0.2" not in ended.answer


@pytest.mark.parametrize("words", [(), ("--ascii",)])
def test_a_chart(seen, words):
    """In Braille or in ASCII, no wider than the terminal."""
    ended = history(seen, "-o", "chart", "--limit", "1", *words)

    answered(ended, "100 %", "tightest key, namespace host", "#" if words else "⣿")
    assert max(map(len, ended.answer.splitlines())) <= 100
    assert ended.answer.isascii() == bool(words)


def test_json_is_as_its_schema_says(seen):
    """And has the figures of each sample."""
    answer = history(seen, "-o", "json").json

    jsonschema.validate(answer, json.loads(as_json_schema("history")))
    line = answer["lines"][1]

    assert 0 == answer["step_s"]
    assert ("host", "10.0.0.1", 443) == (
        line["netns"], line["key"]["remote_address"], line["key"]["remote_port"],
    )  # fmt: skip
    assert 20_030 == line["moments"][-1]["held_ports"]
    assert [True, None] == [line["moments"][0][name] for name in ("below_half", "held_ports")]


def test_lines_and_csv_have_a_moment_each(seen):
    """The same ones."""
    lines = [json.loads(one) for one in history(seen, "-o", "jsonl").answer.splitlines()]
    rows = list(csv.DictReader(io.StringIO(history(seen, "-o", "csv").answer)))

    assert len(lines) == len(rows) == 100 * 3 + 100 * 2
    assert [str(one["held_ports"] or "") for one in lines] == [
        "" if one["held_ports"] == "0" else one["held_ports"] for one in rows
    ]
    assert {"host", "web"} == {one["namespace"] for one in lines}


def test_nothing_in_this_time_is_an_answer(seen):
    """No line, and exit status 0."""
    answered(history(seen, "--since", "2d", "--until", "1d"), "Nothing was seen in this time.")


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (("--since", "soon"), ("'soon' is no time",)),
        (("--since", "1h", "--until", "2h"), ("--since has to lie farther back than --until",)),
        (("--since", "0s"), ("--since has to lie farther back than --until",)),
        (("--key", "example.org"), ("example.org",)),
        (("--points", "0"), ("--points",)),
    ],
)
def test_wrong_words_are_told(seen, words, parts):
    """One sentence, exit status 2."""
    refused(history(seen, *words), 2, *parts)


def test_the_own_history_comes_before_that_of_the_system(tmp_path):
    """Whoever runs a daemon sees theirs, everybody else the system's."""
    own, system = tmp_path / "own", tmp_path / "system"
    environment = {"XDG_STATE_HOME": str(own), "HOME": "/"}
    system.mkdir()
    (system / "history.sqlite").touch()
    alone = find_file(environment, str(system))
    (own / "portroom").mkdir(parents=True)
    (own / "portroom/history.sqlite").touch()

    assert f"{system}/history.sqlite" == alone
    assert f"{own}/portroom/history.sqlite" == find_file(environment, str(system))


def test_what_the_recorder_kept_answers_again(tmp_path):
    """A real Snapshot, taken at a crossing, is what ``--snapshot`` reads."""
    recorder, now = FlightRecorder(str(tmp_path), Recorder()), read_instant()
    files = [
        file
        for ratio in (0.1, 0.9)
        for file in recorder.offer(take(Wanted(groups=True)), ratio, (0.5, 0.8), now)
    ]

    assert 2 == len(files)
    for file in files:
        answered(ask("headroom", "--snapshot", file, "--limit", "1"))
