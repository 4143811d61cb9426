"""The man pages are complete, current, and nothing in them is taken for a macro."""

from __future__ import annotations

import os
import re
import shutil
import subprocess

import pytest

from portroom.cli.commands import COMMANDS
from tests.docs import blocks, man

NAMES = [path.stem for path in man.pages()]

needs_groff = pytest.mark.skipif(shutil.which("groff") is None, reason="groff is not installed")
needs_man = pytest.mark.skipif(shutil.which("man") is None, reason="man is not installed")
needs_mandoc = pytest.mark.skipif(shutil.which("mandoc") is None, reason="mandoc is not installed")


def plain(text: str) -> str:
    """Return what groff makes of a page, its blanks as one."""
    words = ["groff", "-man", "-ww", "-Tascii", "-P-cbou", "-rLL=200n"]
    made = subprocess.run(words, input=text, capture_output=True, text=True, check=True)

    assert made.stderr == ""
    return " ".join(made.stdout.split())


@pytest.fixture(params=NAMES)
def page(request) -> str:
    """Return each page in turn, as it lies there."""
    return (man.FOLDER / f"{request.param}.1").read_text()


def test_the_man_pages_are_current():
    """``python -m tests.docs --parts`` would change nothing, and there are no others."""
    assert man.pages() == {path: path.read_text() for path in man.FOLDER.glob("*.1")}


def test_a_page_has_what_people_look_for(page):
    """In the order of man-pages(7)."""
    titles = re.findall(r'(?m)^\.SH "(.*)"$', page)
    wanted = ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXIT STATUS", "SEE ALSO"]

    assert wanted == [title for title in titles if title in wanted]


@pytest.mark.parametrize("name", COMMANDS)
def test_who_writes_says_where(name):
    """A command that changes something has the section of files, and no other has."""
    page = (man.FOLDER / f"portroom-{name}.1").read_text()
    changes = 5 in dict(blocks.exit_statuses(name))

    assert changes == ('.SH "FILES"' in page)
    assert changes == (name in man.WRITERS)


def test_pages_are_plain_ascii(page):
    """So that each troff reads them."""
    assert page.isascii()


@needs_groff
def test_groff_has_nothing_to_warn_of(page):
    """All of its warnings are on."""
    assert plain(page)


@needs_man
def test_man_has_nothing_to_warn_of(page, tmp_path):
    """It is shown as it is, without a pager."""
    path = tmp_path / "page.1"
    path.write_text(page)
    environment = os.environ | {"MANPAGER": "cat", "LC_ALL": "C.UTF-8", "MANWIDTH": "80"}
    words = ["man", "--warnings=w", "-l", str(path)]
    made = subprocess.run(words, capture_output=True, text=True, check=True, env=environment)

    assert made.stderr == ""
    assert "portroom" in made.stdout


@needs_mandoc
def test_mandoc_finds_no_error():
    """The other program that shows man pages; that there is no date is below an error."""
    words = ["mandoc", "-T", "lint", "-W", "error", *map(str, man.pages())]
    made = subprocess.run(words, capture_output=True, text=True, check=False)

    assert made.returncode == 0, made.stdout


@needs_groff
@pytest.mark.parametrize("name", COMMANDS)
def test_what_is_read_is_what_the_help_says(name):
    """Every word of the help comes out of groff as it went in."""
    found, context = blocks.command(name), blocks.context_of(name)
    text = plain((man.FOLDER / f"portroom-{name}.1").read_text())
    records = [parameter.get_help_record(context) for parameter in found.get_params(context)]
    wanted = [found.help or "", *(words for one in records if one for words in one)]
    wanted += [meaning for _, meaning in blocks.exit_statuses(name)]
    words = {word for one in wanted for word in shown(one).split()}

    assert set() == {word for word in words if word not in text}


def shown(text: str) -> str:
    """Return a text without its marks, as it is read."""
    return text.replace("`", "").replace("\b", "").replace("…", "...")


@needs_groff
@pytest.mark.parametrize(
    "text",
    [
        ".TH X 1",
        "'so /etc/passwd",
        r"a\nb \fBc\fR \\",
        "-x --long-name 1-2 'quoted' \"double\" ^ ~",
        "`.SH \\e`, then `'x'`. `A` begins.",
    ],
)
def test_text_is_text_whatever_it_is(text):
    """Nothing of it is a macro, an escape or another dash."""
    made = plain(f".TH X 1\n.nh\n.ad l\n.SH T\n{man.man_text(text)}\n")

    assert text.replace("`", "") in made
