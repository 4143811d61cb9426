"""A query is read strictly, and what is wrong with it is told."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portroom.daemon.endpoints import LIMIT, NETNS, OF_HISTORY, OFFSET
from portroom.daemon.query import parse_query
from portroom.errors import InvalidRequestError

PAGED = (NETNS, LIMIT, OFFSET)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (b"", {"netns": None, "limit": 100, "offset": 0}),
        (b"limit=1000&offset=7", {"netns": None, "limit": 1000, "offset": 7}),
        (b"netns=docker%3A3f2a", {"netns": "docker:3f2a", "limit": 100, "offset": 0}),
    ],
)
def test_parameters_have_types_and_defaults(query, expected):
    """What is not given has its default."""
    assert expected == parse_query(query, PAGED)


def test_times_are_written_as_in_the_configuration():
    """With a unit, or in seconds."""
    found = parse_query(b"since=2h&until=90", OF_HISTORY)

    assert (7200.0, 90.0) == (found["since"], found["until"])


@pytest.mark.parametrize(
    ("query", "told"),
    [
        (b"limt=3", "Did you mean 'limit'?"),
        (b"x=3", "There are: netns, limit, offset."),
        (b"limit=3&limit=4", "limit is given twice."),
        (b"limit=0", "expected a whole number from 1 to 1000, got '0'."),
        (b"limit=1001", "expected a whole number from 1 to 1000"),
        (b"limit=-1", "expected a whole number"),
        (b"limit=", "got ''"),
        (b"limit=1e3", "expected a whole number"),
        (b"limit=%D9%A3", "expected a whole number"),
        (b"limit=" + b"9" * 5000, "expected a whole number"),
        (b"netns=", "expected a text of 1 to 300"),
        (b"netns=a%00b", "printable"),
        (b"netns=a%0Ab", "printable"),
        (b"netns=caf%C3%A9", "printable"),
        (b"netns=%E2%80%AEabc", "printable"),
        (b"netns=" + b"a" * 301, "expected a text"),
        (b"netns=%ff", "The query cannot be read"),
        (b"netns=\xff", "The query cannot be read"),
        (b"limit", "The query cannot be read"),
        (b"&", "The query cannot be read"),
    ],
)
def test_what_cannot_be_is_told(query, told):
    """In a sentence that names the parameter, what was expected and what was seen."""
    with pytest.raises(InvalidRequestError) as caught:
        parse_query(query, PAGED)

    assert told in str(caught.value)
    assert str(caught.value).isprintable()


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(query):
    """Nothing else comes of them."""
    try:
        told = set(parse_query(query, PAGED))
    except InvalidRequestError as error:
        told = str(error).isprintable()

    assert told in (True, {"netns", "limit", "offset"})
