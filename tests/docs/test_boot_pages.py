"""The pages about booting tell every rule, every difference and every outcome, and none more."""

from __future__ import annotations

import re
import tomllib

import pytest

from portroom.model.facts.sysctl_files import DIRECTORIES, FILE, SysctlFile, SysctlTree
from portroom.model.laws.acceptance import KNOWN, write_once
from portroom.model.laws.boot import boot
from portroom.model.laws.dialects import DIALECTS, PROCPS, SYSTEMD, TUNED, Dialect
from portroom.model.laws.outcomes import OUTCOMES
from tests.docs import blocks, examples
from tests.docs.pages import ROOT

EXPLANATION = (ROOT / "docs/explanation/what-decides-at-boot.md").read_text()
REFERENCE = (ROOT / "docs/reference/outcomes.md").read_text()

DIFFERENCES = range(1, 20)
"""The numbers of the differences between the two programs that most hosts have."""


def sections() -> dict[str, str]:
    """Return the sections of the page of outcomes by their headings."""
    parts = re.split(r"(?m)^## (.+)\n", REFERENCE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


RANGE = "net.ipv4.ip_local_port_range"


def kept(rules: Dialect, files: dict[str, str]) -> dict[str, str]:
    """Return what the settings hold after a program applied some files."""
    tree = SysctlTree(
        tuple(SysctlFile(path.encode(), FILE, text.encode()) for path, text in files.items())
    )
    defaults = {key: row.default or "" for key, row in KNOWN.items()}
    return boot(tree, rules, [*KNOWN], defaults).state


@pytest.mark.parametrize("rules", DIALECTS, ids=[rules.name for rules in DIALECTS])
def test_the_recipe_holds_under_every_program(rules):
    """A file written as the page says gives the same with every row of the table."""
    lines = {
        "net.ipv4.ip_unprivileged_port_start": "80",
        RANGE: "80 64999",
        "net.ipv4.ip_local_reserved_ports": "443,8000-8999",
    }
    text = "".join(f"{key} = {value}\n" for key, value in lines.items())
    others = {"/etc/sysctl.conf": "# nothing\n", "/usr/lib/sysctl.d/50-x.conf": f"{RANGE} = 15\n"}

    actual = kept(rules, {"/etc/sysctl.d/90-ports.conf": text} | others)

    assert lines.items() <= actual.items()


@pytest.mark.parametrize("rules", DIALECTS, ids=[rules.name for rules in DIALECTS])
def test_the_classic_trap_is_as_the_page_says(rules):
    """Of the article's two places systemd takes one, and the others the other."""
    files = dict(re.findall(r"(?m)^\| `(/etc/\S+)` \| `([^`]+)` \|$", EXPLANATION))
    expected = {SYSTEMD: "15000 65000", PROCPS: "15000 64000", TUNED: "15000 64000"}

    actual = kept(rules, files)[RANGE]

    assert len(files) == 2
    assert expected[rules.program] == actual


@pytest.mark.parametrize(
    ("written", "held"),
    [
        ("15000 64000", "15000 64000"),
        ("15000", "15000 60999"),
        ("015000 064000", "6656 26624"),
        ("0x3a98 0xfa00", "15000 64000"),
        ("15000 64000 5", "15000 64000"),
        ("15000 64000 # wide", "15000 64000"),
        ("15000 64000junk", None),
        ('"15000 64000"', None),
        ("15000-64000", None),
        ("15000, 64000", None),
        ("64000 15000", None),
        ("80 65535", None),
    ],
)
def test_the_kernel_takes_values_as_the_page_says(written, held):
    """Each text of the table, by the law that is compared with the kernel."""
    state = {"net.ipv4.ip_unprivileged_port_start": "1024"}
    [row] = re.findall(rf"(?m)^\| .*`{re.escape(written)}`.* \| (.*) \|$", EXPLANATION)

    actual = write_once(RANGE, f"{written}\n".encode(), state)

    assert (held is None) == bool(actual.refusal) == row.startswith("refused")
    assert held is None or held == actual.value


def test_every_rule_that_differs_has_words():
    """A field of the table of dialects is told as soon as two rows differ in it."""
    words = tomllib.loads(blocks.DIALECT_WORDS.read_text())

    assert {*blocks.differing()} == words.keys()
    assert words.keys() <= {*Dialect._fields}
    assert "**not documented**" not in EXPLANATION


def test_a_rule_without_words_is_marked(monkeypatch, tmp_path):
    """A new field of the table shows on the page as not documented."""
    empty = tmp_path / "none.toml"
    empty.touch()
    monkeypatch.setattr(blocks, "DIALECT_WORDS", empty)

    assert len(blocks.differing()) == blocks.dialects().count("**not documented**")


def test_the_differences_are_numbered_and_each_is_told():
    """The table has them in their order, and rules name no other number."""
    words = tomllib.loads(blocks.DIALECT_WORDS.read_text())
    named = {number for _, numbers in words.values() for number in numbers}
    told = [int(number) for number in re.findall(r"(?m)^\| (\d+) \|", EXPLANATION)]

    assert [*DIFFERENCES] == told
    assert named <= {*DIFFERENCES}


def test_the_page_has_every_directory_in_its_order():
    """The order that decides which file hides which is that of the code."""
    listed = re.findall(r"(?m)^ +(/etc/sysctl\.d .*)$", EXPLANATION)

    assert ["   ".join(path.decode() for path in DIRECTORIES)] == listed


def test_every_outcome_has_its_section_and_no_other():
    """The words of the law are the headings, and the rows of the table at the top."""
    rows = re.findall(r"(?m)^\| \[(\w+)\]", REFERENCE)

    assert {*OUTCOMES} == sections().keys()
    assert sorted(OUTCOMES) == sorted(rows)


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_a_section_shows_its_outcome_and_says_what_to_do(outcome):
    """A word that is met at night has an example that ends so, and what to do about it."""
    text = sections()[outcome]
    shown = "".join(block for _, block in examples.BLOCK.findall(text))

    assert "What to do" in text or "what to do" in text
    assert re.search(rf"(?m)^ +{outcome}\b", shown)
