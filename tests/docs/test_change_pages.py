"""The pages about changes tell every reason, every phase and every fault, and none more."""

from __future__ import annotations

import re
import tomllib

import pytest

from portroom.model.advice.reasons import CODES
from portroom.model.facts import journal
from portroom.model.facts.settings import SETTINGS
from portroom.render.journal import COLUMNS, WIDE_COLUMNS
from tests.docs import blocks
from tests.docs.pages import ROOT

REASONS = (ROOT / "docs/reference/reasons.md").read_text()
STATE = (ROOT / "docs/reference/state-on-disk.md").read_text()
THREATS = (ROOT / "docs/explanation/the-writer-and-its-threats.md").read_text()
MYTHS = (ROOT / "docs/explanation/myths.md").read_text()

FAULTS = [f"F{number}" for number in range(1, 17)]
"""The faults that a change must survive."""


def test_every_reason_has_its_section_and_no_other():
    """A code that a plan may carry is found on the page by its word."""
    assert sorted(CODES) == sorted(re.findall(r"(?m)^### (\w+)$", REASONS))


def test_every_reason_says_what_to_do():
    """There are words for each code, and for none that is gone."""
    assert CODES.keys() == tomllib.loads(blocks.REMEDIES.read_text()).keys()
    assert "**not documented**" not in REASONS


def test_a_reason_without_words_is_marked(monkeypatch, tmp_path):
    """A new code shows on the page as not documented."""
    empty = tmp_path / "none.toml"
    empty.touch()
    monkeypatch.setattr(blocks, "REMEDIES", empty)

    assert blocks.reasons("note").count("**not documented**") == blocks.reasons("note").count("###")


NO_PHASES = {"SET", "UNDO", "REBOOTED", "IN_FILE"}
"""Words of the journal that say what a change was, or how its outcome begins."""


def test_every_phase_is_in_the_table_as_the_code_has_it():
    """How far a change came, and whether that is open."""
    phases = {
        word
        for name, word in vars(journal).items()
        if name.isupper() and isinstance(word, str) and name not in NO_PHASES
    }
    told = dict(re.findall(r"(?m)^\| `(\w+)` \| (open|closed) \|", STATE))

    assert phases == told.keys()
    assert journal.OPEN == {phase for phase, word in told.items() if word == "open"}


def test_the_page_of_the_journal_names_what_wide_adds():
    """The columns that `-o wide` has and a table has not, by their words."""
    page = (ROOT / "docs/reference/commands/journal.md").read_text().partition("## Options")[0]
    sentence = page.partition("The latest first. `-o wide` adds ")[2].partition(";")[0]
    names = {column.title.lower() for column in COLUMNS}
    added = [column.title.lower() for column in WIDE_COLUMNS if column.title.lower() not in names]

    assert added
    assert [] == [name for name in added if name not in sentence]


def test_every_fault_has_its_row():
    """What happens at each is told once, in order."""
    assert FAULTS == re.findall(r"(?m)^\| (F\d+) \|", THREATS)


@pytest.mark.parametrize("setting", [one for one in SETTINGS if one.writable], ids=str)
def test_the_threat_model_names_every_setting_that_may_be_written(setting):
    """A setting more is a decision more."""
    last = setting.key.rpartition(".")[2]
    words = {"range": "the range", "reserved": "the reserved ports"}

    assert words.get(setting.name, f"`{last}`") in THREATS.partition("## Who may call it")[0]


@pytest.mark.parametrize("name", ["tcp_fin_timeout", "tcp_max_tw_buckets", "tcp_tw_recycle"])
def test_every_myth_has_its_section(name):
    """What `set` refuses by name is explained under that name."""
    assert f"\n## {name}\n" in MYTHS
