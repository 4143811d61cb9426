"""Long tables: laid out by column, and equal to short ones."""

from hypothesis import given
from hypothesis import strategies as some

from portroom.render import long_table
from portroom.render.table import Column, as_table
from portroom.render.units import Style, columns

HEADING = (
    Column("NAME", least=4),
    Column("PORT", right=True),
    Column("ENDPOINT", least=8, middle=True),
    Column("EXTRA", drop=1),
)
TEXT = some.text(some.sampled_from("abc:1 日é"), max_size=12)
NAMED = TEXT.filter(bool)
ROWS = some.lists(some.tuples(NAMED, TEXT, TEXT, TEXT), min_size=1, max_size=6)
STYLES = some.builds(
    Style,
    width=some.sampled_from([0, 20, 40, 80]),
    colour=some.booleans(),
    ascii=some.booleans(),
    wide=some.booleans(),
)


@given(ROWS, STYLES)
def test_a_long_table_is_the_table(rows, style):
    """Line by line what ``as_table`` makes of the same rows."""
    expected = as_table(HEADING, rows, style)
    texts = list(zip(*rows, strict=True))

    assert expected == list(long_table.as_lines(HEADING, texts, style))


def test_a_long_table_fits_the_width():
    """The widest texts are cut, each to the width of its column."""
    texts = [["x" * 50, "y"], ["65535", "1"], ["[2001:db8::1]:443", ""], ["", ""]]
    lines = list(long_table.as_lines(HEADING, texts, Style(width=30)))

    assert max(map(columns, lines)) <= 30
    assert lines[1].endswith(":443")
