"""What writes the pages can be seen to fail."""

from __future__ import annotations

import msgspec
import pytest

from tests.docs import blocks, examples, pages
from tests.docs.test_pages import FORBIDDEN, links


class Planted(msgspec.Struct):
    """A type that nobody documented."""

    secret_ports: int


def test_a_field_without_words_is_marked():
    """It is written as not documented, which the test of fields looks for."""
    text = blocks.fields_of(Planted, [Planted])

    assert "| `secret_ports` | integer | ports | **not documented** |" in text


def test_a_part_that_is_not_current_is_rewritten():
    """Whatever stood between the marks gives way to what the code says."""
    begin = "<!-- begin: error_table, written by python -m tests.docs -->\n"

    actual = pages.rewritten(f"before\n{begin}stale\n<!-- end -->\nafter\n")

    assert f"before\n{begin}\n{blocks.error_table()}\n\n<!-- end -->\nafter\n" == actual


def test_a_page_of_two_examples_has_two_commands():
    """A command may go over several lines, and may print nothing."""
    block = "$ cat <<END\n> a\n> END\na\n$ true\n"

    assert [("cat <<END\na\nEND", "a\n"), ("true", "")] == list(examples.split(block))


@pytest.mark.parametrize(
    ("shown", "printed", "same"),
    [
        ("4,876 more fit", "12 more fit", True),
        ("in 2 s.", "in 2.01 s.", True),
        ("held  ██░░ 81 %", "held ▒▒▒▒▒▒░░ 3 %", True),
        ("4,876 more fit", "4,876 more fits", False),
        ("free", "free\nheld", False),
    ],
)
def test_shapes_leave_out_numbers_and_nothing_else(shown, printed, same):
    """Two outputs with the same words have the same shape."""
    assert same == (examples.shape(shown) == examples.shape(printed))


@pytest.mark.parametrize("text", ["see /home/me/x", "pip --index-url x", "FIXME later"])
def test_forbidden_words_are_found(text):
    """Paths and places of a writer's machine."""
    assert FORBIDDEN.search(text)


def test_links_in_code_are_no_links():
    """Brackets in backquotes and blocks are what they are."""
    assert ["b.md"] == links("`[x](a.md)` and [y](b.md)\n```\n[z](c.md)\n```\n[w](https://e.org)")
