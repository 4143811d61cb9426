"""The report is one paste: every section stands in a block that nothing in it ends."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from portroom.api.report import report
from portroom.api.source import Saved
from portroom.model.facts.gaps import Gap
from portroom.model.facts.report import ChangeMade, Counted, Limits, SystemSeen
from portroom.model.facts.scene import NetCounts
from portroom.model.facts.surroundings import OpenFiles
from portroom.model.laws.redact_report import redact_changes, redact_failures
from portroom.render.report import as_markdown, block
from portroom.render.units import Style
from tests.unit import made_scenes as made
from tests.unit.made_failures import AT, counts

HOSTILE = "```\n# mine\x1b[31m `x`"

LOOK = Style()


@pytest.fixture(scope="module")
def saved():
    """Return the report of a made Snapshot whose key is full."""
    return report(Saved(made.small(made.connected(40000, 100))))


@given(st.text(alphabet="`a\n"))
def test_a_block_ends_where_it_should(text):
    """However many backticks it holds, and wherever."""
    first, *others = block(text).splitlines()
    fence = first.removesuffix("text")

    assert re.fullmatch("`{3,}", fence)
    assert fence == others[-1]
    assert [] == [line for line in others[:-1] if line.startswith(fence)]


def test_a_saved_snapshot_has_no_more_than_it_holds(saved):
    """Limits, counters and changes are left out, and that is said."""
    text = as_markdown(saved, LOOK)

    assert "## Limits" not in text
    assert "from a saved Snapshot" in text
    assert "all 100 eligible ports are held" in text
    assert "Not looked at: " in text


def test_limits_and_counters_are_tables(saved):
    """With the share that is used, and what rose meanwhile; unknown is a dash."""
    limits = Limits(
        conntrack_used=90, conntrack_max=100, open_files=(OpenFiles(made.NGINX, 1000, 1024),)
    )
    before = NetCounts(
        active_opens=5,
        time_wait_overflow=0,
        time_wait_reused=0,
        listen_overflows=0,
        listen_drops=0,
    )
    counted = Counted(after_s=1.0, before=before, after=replace(before, active_opens=1235))
    text = as_markdown(replace(saved, limits=limits, counted=counted), LOOK)
    lines = [" ".join(line.split()) for line in text.splitlines()]

    assert "tracked connections 90 100 90 %" in lines
    assert "open files of nginx(4711) 1,000 1,024 97 %" in lines
    assert "open files of the system - - -" in lines
    assert "connects 1,235 1,230" in lines
    assert "packets that tracking dropped - -" in lines


def test_hostile_text_stays_text(saved):
    """A host, a distribution, who changed something: nothing acts, and nothing ends a block."""
    change = ChangeMade(
        number=1,
        at=AT,
        action="set",
        phase="done",
        settings=("net.ipv4.ip_local_port_range",),
        who=HOSTILE,
        words=(HOSTILE,),
        outcome=HOSTILE,
    )
    system = SystemSeen(kernel="Linux", architecture="x", python="3", distribution=HOSTILE)
    hostile = replace(saved, host=HOSTILE, system=system, changes=(change,))
    text = as_markdown(hostile, LOOK)

    assert "\x1b" not in text
    assert [] == [line for line in text.splitlines() if line.startswith("# mine")]


def test_failures_that_are_counted_are_told(saved):
    """Their totals redacted, too; then no row tells of a process or an address."""
    told = as_markdown(replace(saved, failures=counts()), LOOK)
    redacted = as_markdown(replace(saved, failures=redact_failures(counts())), LOOK)
    sentence = next(line for line in told.splitlines() if "failures in" in line)

    assert "gunicorn" in told
    assert sentence in redacted
    assert "gunicorn" not in redacted
    assert "web1" not in redacted


def test_redacted_changes_name_settings_alone():
    """Neither who nor in which words, for a word may name a namespace."""
    change = ChangeMade(
        number=1,
        at=AT,
        action="set",
        phase="done",
        settings=("net.ipv4.tcp_tw_reuse",),
        who="alice",
        words=("tw_reuse=1", "--netns", "customer"),
        outcome="done in customer",
    )
    (redacted,) = redact_changes([change])

    assert ("", (), "") == (redacted.who, redacted.words, redacted.outcome)
    assert change.settings == redacted.settings


def test_each_gap_is_told_once(saved):
    """However many answers have it."""
    gap = Gap("owners", "no CAP_SYS_PTRACE", ("keys.owners",))
    other = replace(gap, affects=("findings",))
    twice = replace(
        saved,
        status=replace(saved.status, gaps=(gap,)),
        findings=replace(saved.findings, gaps=(other,)),
    )

    assert 1 == as_markdown(twice, LOOK).count("no CAP_SYS_PTRACE")
