"""The words of `portroom explain` become a question that nobody can misread."""

import click
import pytest

from portroom import cli
from portroom.cli.explain import _local_end, _question, complete_error
from portroom.errors import InvalidRequestError
from portroom.model.facts.explanation import ERRORS, ExplainQuestion
from portroom.model.facts.sockets import Protocol

NOTHING = {"pid": None, "remote": None, "local": None, "proto": None, "no_probe": False}


def ended(capsys, *words):
    """Return exit status, stdout and stderr of a command line."""
    status = cli.run(["explain", *words])
    said = capsys.readouterr()
    return status, said.out, said.err


def test_nothing_asked_is_any_failure():
    """Without a word the question is what would fail now, and the kernel may be asked."""
    actual = _question((), **NOTHING)

    assert ExplainQuestion() == actual


def test_every_word_has_its_place():
    """Error, both ends, protocol, process, and no probe."""
    actual = _question(
        ("Resource", "temporarily", "unavailable"),
        pid=77,
        remote="db:5432",
        local="[2001:db8::1]:8443",
        proto="udp",
        no_probe=True,
    )

    assert actual == ExplainQuestion(
        error="EAGAIN",
        remote="db:5432",
        from_address="2001:db8::1",
        from_port=8443,
        protocol=Protocol.UDP,
        pid=77,
        probe=False,
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, (None, 0)),
        ("10.0.0.1", ("10.0.0.1", 0)),
        ("10.0.0.1:8080", ("10.0.0.1", 8080)),
        ("2001:db8::1", ("2001:db8::1", 0)),
        ("[2001:db8::1]:80", ("2001:db8::1", 80)),
        ("*:8080", (None, 8080)),
        (":8080", (None, 8080)),
        ("::", ("::", 0)),
        ("::1", ("::1", 0)),
        ("[::]:80", ("::", 80)),
        ("0.0.0.0:8080", ("0.0.0.0", 8080)),
    ],
)
def test_the_local_end_is_an_address_a_port_or_both(text, expected):
    """A port alone is one on any address."""
    actual = _local_end(text)

    assert expected == actual


@pytest.mark.parametrize("text", ["10.0.0.1:http", ":99999", ":", "a b", "10.0.0.1:²"])
def test_a_local_end_that_cannot_be_is_refused(text):
    """The words are quoted."""
    with pytest.raises(InvalidRequestError):
        _local_end(text)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("EFOO",), "'EFOO' names no error that `explain` knows. It takes 99 EADDRNOTAVAIL, "),
        (("",), "An empty word names no error."),
        (("99", "98"), "99 and 98 are several errors."),
        (("99", "--remote", "10.0.0.1"), "--remote: '10.0.0.1' has no port."),
        (("99", "--remote", "https://a"), "is not a destination"),
        (("--pid", "1", "--snapshot", "/nowhere"), "--pid asks the kernel: not with --snapshot."),
        (("--pid", "1", "--netns", "web"), "not with --netns."),
        (("--pid", "0"), "'--pid'"),
    ],
)
def test_wrong_words_are_one_line_and_exit_2(capsys, words, told):
    """What is wrong, and what to write instead."""
    status, out, err = ended(capsys, *words)

    assert (2, "", 1) == (status, out, err.count("\n"))
    assert told in err


@pytest.mark.parametrize(
    ("begun", "expected"),
    [
        ("", list(ERRORS)),
        ("eaddr", ["EADDRNOTAVAIL", "EADDRINUSE"]),
        ("9", ["99", "98"]),
        ("x", []),
    ],
)
def test_errors_are_completed(begun, expected):
    """By name, in any case, or by number."""
    actual = complete_error(click.Context(click.Command("explain")), None, begun)

    assert expected == actual
