"""What a guest found, and whether its kernel agrees."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

from tests.kernel.needs import LACKS

COUNTED = ("histories", "comparisons")
"""What cases record as properties of theirs, and what is added up."""

_PACKAGE = re.compile(r"Debian (\S+)")


class Judged(NamedTuple):
    """
    What became of one kernel.

    ``release`` is what uname says, ``package`` the version of Debian's package.
    ``wrong`` is why it does not count as proven, each with a name and the
    words of the test; empty if all is right. ``lacks`` counts cases that were
    left out, by what the kernel does not have.
    """

    release: str
    package: str
    passed: int
    lacks: dict[str, int]
    counted: dict[str, int]
    features: dict[str, str]
    wrong: tuple[tuple[str, str], ...]


def judge(folder: Path) -> Judged:
    """
    Judge one guest by the files that it sent.

    A stage that ended early, a case that failed, and a case that skipped for
    another reason than a lack of the kernel: each is wrong.

    Args:
        folder: What ``boot`` unpacked.
    """
    guest = _json(folder / "guest.json")
    if not guest:
        return Judged("", "", 0, {}, {}, {}, (("no result", "The guest sent nothing."),))
    cases = [case for stage in guest["ended"] for case in _cases(folder / f"{stage}.jsonl")]
    outcomes = Counter(case["outcome"] for case in cases)
    features = _features(_json(folder / "features.json"))
    package = _PACKAGE.search(guest["version"])
    return Judged(
        release=guest["release"],
        package=package[1] if package else "",
        passed=outcomes["passed"],
        lacks=_lacks(cases),
        counted=_counted(cases),
        features=features,
        wrong=(
            *_wrong_cases(cases),
            *_wrong_ends(guest["ended"], cases),
            *([] if features else [("features", "portroom features told nothing.")]),
        ),
    )


def _wrong_cases(cases: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """Return the cases that failed, or skipped for another reason than a lack."""
    return [
        (case["case"], case["why"])
        for case in cases
        if case["outcome"] == "failed"
        or (case["outcome"] == "skipped" and not case["why"].startswith(LACKS))
    ]


def _wrong_ends(ended: dict[str, int], cases: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """Return the stages that ended badly though no case says why, or that ran no case."""
    failed = any(case["outcome"] == "failed" for case in cases)
    return [
        (stage, f"pytest ended with {status}.")
        for stage, status in ended.items()
        if status not in {0, 1} or (status == 1 and not failed)
    ]


def _lacks(cases: list[dict[str, Any]]) -> dict[str, int]:
    """Return how many cases were left out, by what the kernel lacks."""
    reasons = [case["why"] for case in cases if case["outcome"] == "skipped"]
    return dict(Counter(why.removeprefix(LACKS) for why in reasons if why.startswith(LACKS)))


def _counted(cases: list[dict[str, Any]]) -> dict[str, int]:
    """Return what cases counted, added up."""
    return {
        what: sum(case["counted"].get(what, 0) for case in cases)
        for what in COUNTED
        if any(what in case["counted"] for case in cases)
    }


def _features(told: dict[str, Any]) -> dict[str, str]:
    """Return what the kernel can do, by name: yes, no or unknown."""
    return {one["name"]: one["answer"] for one in told.get("features", ())}


def _cases(path: Path) -> list[dict[str, Any]]:
    """Return the cases of one stage, none where it wrote nothing."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def _json(path: Path) -> dict[str, Any]:
    """Return an object, empty where the file is missing or cut off."""
    try:
        return dict(json.loads(path.read_text("utf-8")))
    except (OSError, ValueError):
        return {}
