"""Paragraphs and blocks keep to the width."""

from hypothesis import given
from hypothesis import strategies as st

from portroom.render.flow import TIED, beside, joined, wrap
from portroom.render.units import Style, columns


def test_a_paragraph_is_broken_at_blanks():
    """Lines are as long as they may be; the later ones hang."""
    actual = wrap("one two three four", Style(width=9), hang="  ")

    assert actual == ["one two", "  three", "  four"]


def test_tied_words_stay_together():
    """A number is not parted from its name."""
    actual = wrap(f"aaa bbb{TIED}12 ccc", Style(width=8))

    assert actual == ["aaa", "bbb 12", "ccc"]


def test_without_a_width_nothing_is_broken():
    """A file or pipe gets whole paragraphs, and so does a wide answer."""
    text = "word " * 100 + "end"

    assert wrap(text, Style(width=0)) == [text]
    assert wrap(text, Style(width=20, wide=True)) == [text]


@given(st.lists(st.text("abc", min_size=1, max_size=9), min_size=1))
def test_no_word_is_lost(words):
    """Wrapped text has the same words, each line within the width."""
    lines = wrap(" ".join(words), Style(width=10))

    assert words == " ".join(lines).split(" ")
    assert all(columns(line) <= 10 for line in lines)


def test_blocks_stand_side_by_side_while_they_fit():
    """The block that does not fit begins a new band below."""
    blocks = [["aa", "a"], ["bb"], ["cc"]]

    actual = beside(blocks, [2, 2, 2], Style(width=7))

    assert actual == ["aa   bb", "a", "", "cc"]


def test_lists_in_words():
    """None, one, two and more."""
    actual = [joined(["a", "b", "c"][:count]) for count in range(4)]

    assert actual == ["", "a", "a and b", "a, b and c"]
