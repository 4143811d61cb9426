"""The table of kernels in the docs: what ``./run kernels --save`` found, and its Markdown."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.kernels.judge import Judged

SAVED = Path(__file__).parents[2] / "docs" / "reference" / "kernels.json"

Kernel = Mapping[str, Any]
"""What was found of one kernel: the fields of Judged, and ``asked_on``, a date."""

RULES = {"yes": "forgets", "no": "sticky"}
"""What becomes of a port once its bound owner left, by the feature ``bucket_forgets``."""

ABOUT: Mapping[str, Callable[[Kernel], str]] = {
    "Debian's package": lambda one: str(one["package"]),
    "asked on": lambda one: str(one["asked_on"]),
    "rule of the bind bucket": lambda one: RULES.get(one["features"]["bucket_forgets"], "unknown"),
}
PROVEN: Mapping[str, Callable[[Kernel], str]] = {
    "cases passed": lambda one: f"{one['passed']:,}",
    "random histories": lambda one: f"{one['counted'].get('histories', 0):,}",
    "predictions in them, all right": lambda one: f"{one['counted'].get('comparisons', 0):,}",
}


def save(judged: Mapping[str, Judged]) -> None:
    """Keep what was found of kernels that agree, in place of what was found before."""
    known = load()
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    for one in judged.values():
        if not one.wrong:
            name = ".".join(one.package.split(".")[:2])
            known[name] = {"asked_on": today} | one._asdict()
    in_order = dict(sorted(known.items(), key=lambda pair: _numbers(pair[0])))
    SAVED.write_text(json.dumps(in_order, indent=2) + "\n", "utf-8")


def load() -> dict[str, Kernel]:
    """Return what is known of each kernel, by its series."""
    return dict(json.loads(SAVED.read_text("utf-8"))) if SAVED.exists() else {}


def tested_kernels() -> str:
    """Return the range of kernels that agree, in one line of Markdown."""
    *others, last = load() or ("none yet",)
    return f"Proven on Linux {', '.join(others)}{' and ' if others else ''}{last}.\n"


def kernel_table() -> str:
    """Return what each kernel can do, and how much of portroom was proven on it, as Markdown."""
    kernels = load()
    lines = [_row(("", *(f"Linux {name}" for name in kernels)))]
    lines.append("| --- |" + " --- |" * len(kernels))
    lines += [_row((title, *map(told, kernels.values()))) for title, told in ABOUT.items()]
    for feature in _features(kernels):
        answers = [one["features"].get(feature, "unknown") for one in kernels.values()]
        lines.append(_row((f"`{feature}`", *answers)))
    lines += [_row((title, *map(told, kernels.values()))) for title, told in PROVEN.items()]
    left_out = list(_left_out(kernels))
    notes = ["", "Left out where the kernel has nothing to be asked:", "", *left_out]
    return "\n".join([*lines, *(notes if left_out else [])]) + "\n"


def _features(kernels: Mapping[str, Kernel]) -> list[str]:
    """Return the names of all features, in the order in which they are told."""
    return list(dict.fromkeys(name for one in kernels.values() for name in one["features"]))


def _left_out(kernels: Mapping[str, Kernel]) -> Iterator[str]:
    """Yield how many cases were left out on each kernel, and for lack of what."""
    for name, one in kernels.items():
        if one["lacks"]:
            parts = [f"{number} for lack of {what}" for what, number in one["lacks"].items()]
            yield f"- Linux {name}: {', '.join(parts)}"


def _row(cells: tuple[str, ...]) -> str:
    """Return one row of a table."""
    return f"| {' | '.join(cells)} |"


def _numbers(series: str) -> tuple[int, ...]:
    """Return what sorts series."""
    return tuple(map(int, series.split(".")))
