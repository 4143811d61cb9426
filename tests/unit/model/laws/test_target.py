"""A written destination is split as its writer meant it, or refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portroom.errors import InvalidRequestError
from portroom.model.laws.target import Target, parse_target


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1.2.3.4", Target("1.2.3.4", None)),
        ("1.2.3.4:443", Target("1.2.3.4", "443")),
        ("2001:db8::1", Target("2001:db8::1", None)),
        ("::1", Target("::1", None)),
        ("::ffff:1.2.3.4", Target("::ffff:1.2.3.4", None)),
        ("[2001:db8::1]", Target("2001:db8::1", None)),
        ("[2001:db8::1]:443", Target("2001:db8::1", "443")),
        ("[fe80::1%eth0]:53", Target("fe80::1%eth0", "53")),
        ("db.example.com:postgresql", Target("db.example.com", "postgresql")),
        ("localhost", Target("localhost", None)),
        ("h:1", Target("h", "1")),
        ("h:65535", Target("h", "65535")),
    ],
)
def test_each_documented_form_is_understood(text, expected):
    """IPv4, IPv6 bare and in brackets, names, service names, with and without port."""
    actual = parse_target(text)

    assert expected == actual


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":",
        ":443",
        "h:",
        "h:0",
        "h:65536",
        "h:-1",
        "h:+1",
        "h:99999999999999999999",
        "h:²",
        "[::1",
        "[::1]443",
        "[::1]:",
        "[1.2.3.4]:443",
        "[name]:443",
        "1.2.3.4:443:5",
        "https://example.com",
        "https://example.com:443",
        "user@host",
        "10.0.0.0/8",
        "two words",
        "a\x1b[31m:1",
        "h:\x07",
    ],
)
def test_what_is_no_destination_is_refused_and_quoted(text):
    """A text of another form is refused in printable characters that quote it."""
    with pytest.raises(InvalidRequestError) as refusal:
        parse_target(text)

    assert repr(text) in str(refusal.value)
    assert str(refusal.value).isprintable()


@given(st.text())
def test_any_text_is_split_or_refused(text):
    """No text breaks the parser, and what it accepts has a host."""
    try:
        target = parse_target(text)
    except InvalidRequestError:
        return

    assert target.host
    assert target.port != ""
