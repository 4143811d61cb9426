"""Every metric is documented, and no page names one that does not exist."""

from __future__ import annotations

import re

import pytest

from portroom.api.check import LATELY_S
from portroom.cli.check import TIMEOUT_S
from portroom.model.facts.check import Limits
from portroom.model.laws.told_labels import DAY_S
from portroom.model.laws.watched_keys import MISSED
from portroom.render.metric_table import (
    METRICS,
    MOST_DESTINATIONS,
    MOST_NAMESPACES,
    MOST_SERIES,
    full_name,
)
from portroom.render.metric_values import LONGEST_LABEL
from portroom.render.metrics import as_text
from tests.docs import blocks, pages
from tests.unit.render.test_metrics import DESTINATIONS, everything

REFERENCE = (pages.ROOT / "docs/reference/metrics.md").read_text()

NO_METRICS = {"portroom_token", "portroom_agent", "portroom_trace"}
"""A cookie, and users of services."""


def written():
    """Yield each page and rules file, and what it says."""
    files = [*pages.read(), *(pages.ROOT / "fleet").rglob("*.yml")]
    yield from ((pages.name_of(path), path.read_text()) for path in files)


@pytest.mark.parametrize("metric", METRICS, ids=[one.name for one in METRICS])
def test_every_metric_has_a_row(metric):
    """With its type, its labels and what it means."""
    (row,) = re.findall(rf"(?m)^\| `{full_name(metric)}` \|.*$", REFERENCE)
    labels = ", ".join(f"`{label}`" for label in metric.labels)
    cells = [cell.strip() for cell in row.strip("|").split(" | ")]

    assert [f"`{full_name(metric)}`", metric.kind, labels, f"{metric.most:,}"] == cells[:4]
    assert metric.meaning == cells[4]


def test_all_that_is_told_is_in_the_reference():
    """No name leaves the daemon that the page does not have."""
    told = re.findall(r"(?m)^# TYPE (\S+)", as_text(everything(), DESTINATIONS))

    assert [] == [name for name in told if f"| `{name}` |" not in REFERENCE]


def test_every_metric_that_is_named_exists():
    """In pages, in rules for Prometheus and in their tests."""
    known = {full_name(metric) for metric in METRICS} | NO_METRICS
    named = {
        (where, word)
        for where, text in written()
        for word in re.findall(r"(?<![\w/.$-])portroom_[a-z_]*[a-z]\b(?![*(])", text)
    }

    assert set() == {(where, word) for where, word in named if word not in known}


def test_limits_are_told_as_they_are():
    """A number in the code is the same on the page."""
    told = (
        f"Never more than {MOST_SERIES:,} series",
        f"at most {MOST_DESTINATIONS} distinct ones within any {DAY_S / 3600:g} hours",
        f"Namespaces have {MOST_NAMESPACES} places",
        f"cut to {LONGEST_LABEL} columns",
        "After three missed samples",
    )

    assert [] == [text for text in told if text not in REFERENCE]
    assert 3 == MISSED


def test_the_plugin_is_told_as_it_is():
    """Its defaults, and how far its rate looks back."""
    plugin = blocks.command("check")
    defaults = {option.name: option.default for option in plugin.params}
    limits = Limits()
    page = (pages.ROOT / "docs/reference/commands/check.md").read_text()

    assert (limits.warning, limits.critical) == (defaults["warning"], defaults["critical"])
    assert TIMEOUT_S == defaults["timeout"]
    assert "within five minutes" in page
    assert 5 * 60 == LATELY_S
