"""A kernel counts as proven only if everything that a guest sent says so."""

from __future__ import annotations

import json

import pytest

from tests.kernel.needs import LACKS
from tests.kernels.judge import judge

VERSION = "#1 SMP Debian 6.1.192-2 (2026-11-01)"
PASSED = {
    "case": "a.py::one",
    "outcome": "passed",
    "why": "",
    "counted": {"histories": 3, "doubts": [1]},
}
LACKING = {"case": "a.py::two", "outcome": "skipped", "why": f"{LACKS}a thing", "counted": {}}
SKIPPED = {"case": "a.py::three", "outcome": "skipped", "why": "no room", "counted": {}}
FAILED = {"case": "a.py::four", "outcome": "failed", "why": "1 != 2", "counted": {}}


def sent(folder, *cases, ended=0):
    """Write what a guest sends, and return the folder."""
    told = {"release": "6.1.0-56-cloud-amd64", "version": VERSION, "ended": {"whole": ended}}
    (folder / "guest.json").write_text(json.dumps(told))
    (folder / "whole.jsonl").write_text("".join(json.dumps(case) + "\n" for case in cases))
    answers = {"features": [{"name": "vrf", "answer": "yes"}]}
    (folder / "features.json").write_text(json.dumps(answers))
    return folder


def test_a_kernel_that_agrees(tmp_path):
    """What passed is counted, what the kernel lacks is told apart, and nothing is wrong."""
    judged = judge(sent(tmp_path, PASSED, PASSED, LACKING))

    assert (2, {"a thing": 1}, {"histories": 6}) == (judged.passed, judged.lacks, judged.counted)
    assert ("6.1.192-2", {"vrf": "yes"}, ()) == (judged.package, judged.features, judged.wrong)


@pytest.mark.parametrize(
    ("cases", "ended", "expected"),
    [
        ((PASSED, FAILED), 1, [("a.py::four", "1 != 2")]),
        ((PASSED, SKIPPED), 0, [("a.py::three", "no room")]),
        ((PASSED,), 1, [("whole", "pytest ended with 1.")]),
        ((PASSED,), -11, [("whole", "pytest ended with -11.")]),
        ((), 5, [("whole", "pytest ended with 5.")]),
    ],
    ids=["failed", "skipped", "failed unseen", "crashed", "nothing ran"],
)
def test_a_kernel_that_does_not_agree(tmp_path, cases, ended, expected):
    """A failed case, a skip for any other reason, and an end without a reason: each is told."""
    judged = judge(sent(tmp_path, *cases, ended=ended))

    assert expected == list(judged.wrong)


def test_a_guest_without_a_result_is_wrong(tmp_path):
    """Silence is no agreement, and neither is half a file."""
    silent = judge(tmp_path)
    (tmp_path / "guest.json").write_text('{"release": "6.')
    cut_off = judge(tmp_path)

    assert (
        ["no result"] == [name for name, _ in silent.wrong] == [name for name, _ in cut_off.wrong]
    )


def test_a_guest_that_tells_no_features_is_wrong(tmp_path):
    """The command that tells them is a part of what is proven."""
    (sent(tmp_path, PASSED) / "features.json").write_bytes(b"")

    assert ["features"] == [name for name, _ in judge(tmp_path).wrong]
