"""
Parts of the documentation about causes, findings and software that is known by its name.

Each cause and each finding has a page of its own, ``docs/causes/NAME.md`` and
``docs/findings/NAME.md``; what is written here are the lists of them.
"""

from __future__ import annotations

from pathlib import Path

from portroom.model.advice.causes.table import CAUSES
from portroom.model.advice.findings.recipes import RECIPES
from portroom.model.advice.findings.table import FINDINGS
from portroom.model.facts.explanation import ERRORS
from tests.docs.blocks import table
from tests.docs.pages import ROOT

CAUSE_PAGES, FINDING_PAGES = ROOT / "docs/causes", ROOT / "docs/findings"


def causes(error: str) -> str:
    """Return the table of the causes of one errno, each with a link to its page."""
    rows = [
        (f"[`{name}`]({name}.md)", heading(row.title))
        for name, row in CAUSES.items()
        if error in row.errors
    ]
    return table(("cause", f"{error} ({ERRORS[error]}) because"), rows)


def findings() -> str:
    """Return the table of all findings, each with a link to its page."""
    rows = [(f"[`{name}`]({name}.md)", row.title) for name, row in FINDINGS.items()]
    return table(("finding", "says"), rows)


def recipes() -> str:
    """Return the table of software that is known by the name of its process."""
    rows = [
        (
            recipe.software,
            ", ".join(f"`{name}`" for name in recipe.names),
            f"{recipe.setting}: {recipe.value}; {recipe.where}",
        )
        for recipe in RECIPES
    ]
    return table(("software", "process names", "its setting"), rows)


def heading(title: str) -> str:
    """
    Return a title as the heading of a page: a word that is code keeps its small letter.

    >>> heading("the address is gone"), heading("bind() finds none")
    ('The address is gone', 'bind() finds none')
    """
    word = title.partition(" ")[0]
    return title if word.endswith("()") or "_" in word else title[:1].upper() + title[1:]


def names_of(folder: Path) -> set[str]:
    """Return the names of the pages of a folder, its list left out."""
    return {path.stem for path in folder.glob("*.md")} - {"README"}
