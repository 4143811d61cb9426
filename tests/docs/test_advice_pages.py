"""Every cause and every finding has its page, with what a reader in a hurry looks for."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from portroom.model.advice.causes import pools, unanswered
from portroom.model.advice.causes import table as causes
from portroom.model.advice.findings import beliefs, keys, limits, piles, programs
from portroom.model.advice.findings import table as findings
from portroom.model.advice.findings.myths import MYTHS
from portroom.model.facts.answers import CRITICAL, INFO, WARNING
from portroom.model.facts.explanation import ERRORS, VERDICTS
from portroom.model.facts.settings import DEFAULT_RANGE
from portroom.model.laws.rates import max_connect_rate
from portroom.model.laws.time_wait import TIME_WAIT_MS
from tests.docs.advice import CAUSE_PAGES, FINDING_PAGES, heading, names_of
from tests.docs.pages import ROOT

EXPLANATION = (ROOT / "docs/explanation/where-local-ports-go.md").read_text()
MYTH_PAGE = (ROOT / "docs/explanation/myths.md").read_text()

TITLES = {
    **{causes.page(name): heading(row.title) for name, row in causes.CAUSES.items()},
    **{findings.PAGES[name]: row.title for name, row in findings.FINDINGS.items()},
}
"""Of each page, by its path, the title that its table has."""

SECTIONS = ("How portroom knows", "Check by hand", "What to do for good")
NIGHT = ("What to do now", "What does not help")
"""What the page of every cause has besides."""


def text_of(page: str) -> str:
    """Return a page by its path below the root."""
    return (ROOT / page).read_text()


def test_every_cause_has_a_page_and_every_page_a_cause():
    """What explain and trace name is found by that name."""
    assert causes.CAUSES.keys() == names_of(CAUSE_PAGES)


def test_every_finding_has_a_page_and_every_page_a_finding():
    """What doctor names is found by that name."""
    assert findings.FINDINGS.keys() == names_of(FINDING_PAGES)


@pytest.mark.parametrize("page", TITLES)
def test_a_page_is_headed_and_called_as_its_table_says(page):
    """The title, and below it the name that is typed."""
    title, _, rest = text_of(page).partition("\n\n")

    assert f"# {TITLES[page]}" == title
    assert rest.startswith(f"`{Path(page).stem}` · ")


@pytest.mark.parametrize("name", causes.CAUSES)
def test_the_page_of_a_cause_tells_its_errnos_first(name):
    """In the line below the title, all of them and no other."""
    line = text_of(causes.page(name)).splitlines()[2]

    assert set(causes.CAUSES[name].errors) == set(re.findall(r"`(E[A-Z]+)`", line))


@pytest.mark.parametrize("page", TITLES)
def test_a_page_has_its_sections_in_order(page):
    """How it is known, how to check it, what to do; of a cause also at night, and what not."""
    found = re.findall(r"(?m)^## (.+)$", text_of(page))
    wanted = (*SECTIONS, *NIGHT) if page.startswith("docs/causes/") else SECTIONS[:2]

    assert [] == [section for section in wanted if section not in found]
    assert found[:2] == [*SECTIONS[:2]]
    assert "\nSee also: [" in text_of(page)


@pytest.mark.parametrize("page", TITLES)
def test_a_page_is_short(page):
    """A page for the night fits on two screens."""
    assert len(text_of(page).splitlines()) <= 75


@pytest.mark.parametrize("page", TITLES)
def test_the_commands_of_a_page_are_well_formed(page):
    """The shell takes each block, without running it."""
    for block in re.findall(r"(?ms)^```sh\n(.*?)^```", text_of(page)):
        done = subprocess.run(
            ["sh", "-n"], input=block, capture_output=True, text=True, check=False
        )

        assert done.stderr == ""


SOCKETS = """\
LISTEN    0 4096 0.0.0.0:443     0.0.0.0:*
LISTEN    0 4096 127.0.0.1:9000  0.0.0.0:*
ESTAB     0 0    10.0.0.10:40000 10.0.0.20:5432
ESTAB     0 0    10.0.0.10:40001 10.0.0.20:5432
ESTAB     0 0    [2001:db8::1]:40003 [2001:db8::2]:443
TIME-WAIT 0 0    10.0.0.10:61001 10.0.0.20:5432
"""
"""What `ss -Htan` prints."""


@pytest.mark.parametrize(
    ("name", "expected"),
    [("bind0_pool_full", "40000\n40001\n40003\n"), ("ports_blocked", "1 even 3 odd\n")],
)
def test_ports_are_counted_by_hand_as_numbers(name, expected):
    """A port below the range is none of it: 443 and 9000 are smaller than 32768."""
    (program,) = re.findall(r"ss -Htan .*?\| awk '([^']*)'", text_of(causes.page(name)))

    done = subprocess.run(
        ["awk", program], input=SOCKETS, capture_output=True, text=True, check=False
    )

    assert expected == done.stdout


def test_connections_are_counted_by_hand_by_program():
    """One line a program and parity, however many files it has open."""
    (program,) = re.findall(r"awk '([^']*)'", text_of(findings.PAGES["bind_first"]))
    rows = "".join(
        f'0 0 10.0.0.10:{port} 10.0.0.20:5432 users:(("perl",pid=7,fd={port}))\n'
        for port in (40001, 40003, 40004)
    )

    done = subprocess.run(["awk", program], input=rows, capture_output=True, text=True, check=False)

    program_words = 'users:(("perl",pid=7'
    assert [f"{odd} {program_words}" for odd in ("odd", "odd", "even")] == done.stdout.splitlines()


def test_every_errno_has_its_list_of_causes():
    """Whoever has only the error begins there."""
    page = (CAUSE_PAGES / "README.md").read_text()

    assert [] == [error for error in ERRORS if f"begin: causes {error}," not in page]


def test_every_verdict_and_severity_is_explained():
    """The words that an answer has beside each cause and finding."""
    verdicts = {word.replace("_", " ") for word in VERDICTS}
    of_causes = (CAUSE_PAGES / "README.md").read_text()
    of_findings = (FINDING_PAGES / "README.md").read_text()

    assert [] == [word for word in verdicts if f"| {word} |" not in of_causes]
    assert [] == [word for word in (CRITICAL, WARNING, INFO) if f"| {word} |" not in of_findings]


@pytest.mark.parametrize("myth", MYTHS, ids=[one.name for one in MYTHS])
def test_every_myth_is_told_on_the_page_of_myths_too(myth):
    """With a link to its page, which is headed as the myth is."""
    assert f"findings/{myth.name}.md" in MYTH_PAGE
    assert myth.title == findings.FINDINGS[myth.name].title


@pytest.mark.parametrize(
    ("page", "number", "told"),
    [
        ("findings/tight_key", keys.CLIFF_RATIO, "above 50 %"),
        ("findings/tight_key", keys.TIGHT_RATIO, "above 80 %"),
        ("findings/tight_key", keys.NEARLY_FULL_RATIO, "above 95 %"),
        ("findings/tight_key", keys.MOST_TOLD, "At most five keys"),
        ("findings/tight_key", keys.CLIFF_PORTS, "from 2,000 eligible ports"),
        ("findings/bind_first", programs.LEAST_PORTS, "at least eight ports"),
        ("findings/udp_port_each", piles.MANY_PORTS, "from 256 such sockets"),
        ("findings/udp_port_each", piles.SHARE_OF_POOL, "from a tenth"),
        ("findings/udp_port_each", piles.HALF_OF_POOL, "above half of the pool"),
        ("findings/close_wait_pile", piles.MANY_CLOSE_WAIT, "from 100 connections"),
        ("findings/close_wait_pile", piles.SHARE_OF_RANGE, "5 % of a small range"),
        ("findings/snat_tight", limits.SNAT_TRIES, "tries 248 ports"),
        ("findings/snat_tight", limits.SNAT_FIRST_TRIES, "up to 128 ports"),
        ("findings/myth_wide_range", beliefs.FIXED_PORTS_END, "begins below 10000"),
        ("causes/key_full", pools.SHARE_THAT_COUNTS, "less than a twentieth"),
        ("causes/no_answer", unanswered.PILE, "Three or more"),
        ("causes/no_answer", unanswered.PILE_SHARE, "a tenth of all connections"),
    ],
)
def test_a_threshold_is_told_as_it_is(page, number, told):
    """The number of the code, in the words of the page."""
    words = {
        "five": 5,
        "eight": 8,
        "Three": 3,
        "a tenth": 0.1,
        "half": 0.5,
        "a twentieth": 0.05,
    }
    spelled = [value for word, value in words.items() if word in told]
    digits = [
        int(text) / (100 if "%" in told else 1)
        for text in re.findall(r"\d+", told.replace(",", ""))
    ]

    assert [number] == (spelled or digits)
    assert told in text_of(f"docs/{page}.md")


@pytest.mark.parametrize(
    "number",
    [
        DEFAULT_RANGE.ports,
        DEFAULT_RANGE.ports // 2,
        round(max_connect_rate(DEFAULT_RANGE.ports, TIME_WAIT_MS / 1000) // 10 * 10),
        limits.SNAT_RANGE.ports,
        limits.SNAT_TRIES,
    ],
)
def test_the_numbers_of_the_explanation_are_computed(number):
    """Ports, half of them, connections a second, ports of SNAT and how many of them it tries."""
    assert re.search(rf"(?<![\d,]){number:,}(?![\d,]\d)", EXPLANATION)
