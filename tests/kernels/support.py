"""The table of kernels in the docs: what ``./run kernels --save`` found, as it is kept."""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping
from pathlib import Path

from tests.kernels.judge import Judged

SAVED = Path(__file__).parents[2] / "docs" / "reference" / "kernels.json"


def save(judged: Mapping[str, Judged]) -> None:
    """Keep what was found, in place of what was found before of the same series."""
    known = json.loads(SAVED.read_text("utf-8")) if SAVED.exists() else {}
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    for series, one in judged.items():
        if not one.wrong:
            known[series] = {"asked_on": today} | one._asdict() | {"wrong": []}
    SAVED.write_text(json.dumps(known, indent=2) + "\n", "utf-8")
