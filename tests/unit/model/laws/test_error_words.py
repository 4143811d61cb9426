"""An errno is understood by number, by name, and in the line of a log."""

import pytest

from portroom.errors import InvalidRequestError
from portroom.model.facts.explanation import ERRORS
from portroom.model.laws.error_words import MESSAGES, known_words, parse_error


@pytest.mark.parametrize(("name", "number"), ERRORS.items())
def test_number_name_and_message_are_one(name, number):
    """However somebody writes it, in whatever case."""
    forms = [str(number), name, name.lower(), *MESSAGES[name]]

    actual = {parse_error([form]) for form in forms} | {parse_error(MESSAGES[name][0].split())}

    assert {name} == actual


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("OSError: [Errno 99] Cannot assign requested address", "EADDRNOTAVAIL"),
        ("dial tcp 10.0.0.11:98: connect: cannot assign requested address", "EADDRNOTAVAIL"),
        ("connect() failed (99: Cannot assign requested address)", "EADDRNOTAVAIL"),
        ("connect EADDRNOTAVAIL 10.0.0.1:5432 - Local (0.0.0.0:0)", "EADDRNOTAVAIL"),
        ("java.net.BindException: Address already in use (Bind failed)", "EADDRINUSE"),
        ("accept4: too many open files in system", "ENFILE"),
        ("EWOULDBLOCK", "EAGAIN"),
        ("errno=110", "ETIMEDOUT"),
        ("  99 ", "EADDRNOTAVAIL"),
    ],
)
def test_a_line_of_a_log_is_understood(line, expected):
    """What programs print around it does not matter, nor do numbers that are ports."""
    actual = parse_error([line])

    assert expected == actual


@pytest.mark.parametrize("words", [[], [""], ["  "]])
def test_nothing_is_no_error(words):
    """Then whatever would fail is asked about."""
    assert parse_error(words) is None


@pytest.mark.parametrize(
    "text", ["EFOO", "111", "Connection refused", "99.5", "-7", "\x1b[2J", "99 or 98 EAGAIN EPERM"]
)
def test_anything_else_is_refused_with_what_it_takes(text):
    """The text is quoted, and every error that can be explained is named."""
    with pytest.raises(InvalidRequestError) as refused:
        parse_error([text])

    assert repr(text) in refused.value.message
    assert known_words() in refused.value.hint
    assert "Cannot assign requested address" in refused.value.hint
