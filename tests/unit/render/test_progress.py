"""The line of progress fits, is true, and is one line."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portroom.render.progress import BAR_COLUMNS, Work, as_line
from portroom.render.units import Style, columns

works = st.builds(
    Work,
    what=st.text(max_size=60),
    total=st.integers(0, 10_000),
    done=st.integers(0, 10_000),
    seconds=st.floats(0, 1e6),
)
styles = st.builds(Style, width=st.integers(0, 200), ascii=st.booleans())


@given(works, st.floats(0, 1e7), styles)
def test_it_fits_and_is_one_line(work, elapsed_s, style):
    """However narrow the terminal is, whatever is done, and nothing in it acts."""
    line = as_line(work, elapsed_s, style)

    assert line.isprintable()
    assert not style.width or columns(line) <= max(style.width, 1)


@given(st.integers(1, 5000), st.integers(0, 6000))
def test_the_bar_is_full_only_when_all_is_done(total, done):
    """It never says more than is done."""
    line = as_line(Work("reading", total, done), 1.0, Style(0, ascii=True))

    assert ("#" * BAR_COLUMNS in line) == (done >= total)
    assert 0 <= line.count("#") <= min(done, total) / total * BAR_COLUMNS


@pytest.mark.parametrize(
    ("width", "expected"),
    [
        (80, "reading network namespaces  #####...............  3 of 12, 2 s"),
        (50, "reading network namespaces  3 of 12, 2 s"),
        (30, "reading network namespaces"),
        (10, "reading n~"),
    ],
)
def test_what_matters_least_goes_first(width, expected):
    """The bar, then the figures; what is done stays."""
    work = Work("reading network namespaces", 12, 3)

    assert expected == as_line(work, 2.2, Style(width, ascii=True))


def test_a_wait_ends_with_its_time():
    """What takes longer than was said stays at its end."""
    work = Work("watching the counters", seconds=1.5)

    assert "watching the counters  ████████████████████  1 s of 2 s" == as_line(work, 9.0, Style())
