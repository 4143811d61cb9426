"""What people type is taken strictly, and refused in words that help."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as some

from portroom.errors import InvalidRequestError
from portroom.model.advice.requests import (
    ADD,
    MYTHS,
    MYTHS_PAGE,
    SET,
    TAKE,
    WRITABLE,
    Wanted,
    parse_words,
)
from portroom.model.facts.ports import LAST_PORT, PortRange, PortSet
from portroom.model.facts.settings import SETTINGS, ValueType, setting_named

RANGE = setting_named("range")
RESERVED = setting_named("reserved")


def refusal(*words):
    """Return what is said to words that are refused."""
    with pytest.raises(InvalidRequestError) as caught:
        parse_words(words)
    return str(caught.value)


TAKEN = {
    "range=15000-64000": "range=15000-64000",
    "range=15000 64000": "range=15000-64000",
    "range=15000    64000": "range=15000-64000",
    "range=15000\t64000": "range=15000-64000",
    "range= 15000 64000 ": "range=15000-64000",
    "range=15000:64000": "range=15000-64000",
    "range=15000,64000": "range=15000-64000",
    "range=15000 - 64000": "range=15000-64000",
    "range=15000" + " " * 5000 + "64000": "range=15000-64000",
    "range=15000 15000": "range=15000-15000",
    "range=1 65535": "range=1-65535",
    "net.ipv4.ip_local_port_range=15000 64000": "range=15000-64000",
    "net/ipv4/ip_local_port_range=15000 64000": "range=15000-64000",
    "net.ipv4.ip_local_port_range = 15000 64000": "range=15000-64000",
    "ip_local_port_range=15000-64000": "range=15000-64000",
    "reserved=8080,9000-9100": "reserved=8080,9000-9100",
    "reserved=8080,8080": "reserved=8080",
    "reserved=8080-8080": "reserved=8080",
    "reserved=8080,": "reserved=8080",
    "reserved=9001,9000": "reserved=9000-9001",
    "reserved=0": "reserved=0",
    "reserved=0-65535": "reserved=0-65535",
    "reserved=none": "reserved=none",
    "reserved+=8080": "reserved+=8080",
    "reserved -= 8080": "reserved-=8080",
    "net.ipv4.ip_local_reserved_ports+=8080": "reserved+=8080",
    "tw_reuse=1": "tcp_tw_reuse=1",
    "net.ipv4.tcp_tw_reuse=1": "tcp_tw_reuse=1",
    "tw_reuse_delay=500": "tcp_tw_reuse_delay=500",
    "autobind_reuse=1": "ip_autobind_reuse=1",
    "unprivileged_port_start=0": "ip_unprivileged_port_start=0",
    "step_width=16": "ip_local_port_step_width=16",
}


@pytest.mark.parametrize("word", TAKEN, ids=lambda word: ascii(word[:40]))
def test_what_can_only_mean_one_thing_is_taken(word):
    """Blanks, tabs and the separators that people use are taken; the value is canonical."""
    (wanted,) = parse_words([word])

    assert TAKEN[word] == str(wanted)


def test_a_word_becomes_a_setting_and_a_typed_value():
    """Settings are rows of the table, values a range, a set of ports or a number."""
    expected = (
        Wanted(RANGE, SET, PortRange(15000, 64001)),
        Wanted(RESERVED, ADD, PortSet.parse("8080,9000-9100")),
        Wanted(setting_named("tcp_tw_reuse"), SET, 1),
    )

    assert expected == parse_words(["range=15000-64001", "reserved+=8080,9000-9100", "tw_reuse=1"])


def test_a_list_over_4_kib_is_taken_whole():
    """Five thousand single ports are five thousand ports."""
    ports = PortSet.of(range(1, 10_001, 2))
    (wanted,) = parse_words([f"reserved={ports}"])

    assert 5000 == len(wanted.value)


# What the kernel takes for something else, or refuses, is refused here; and what to write instead.
REFUSED = {
    "range=15000": "it is one number",
    "range=": "it is empty. Write it like range=15000-64001.",
    "range= ": "it is empty",
    "range=\n": "it holds a line break",
    "range=15000 64000\n": "it holds a line break. Write range=15000-64000.",
    "range=15000 64000\n1 2": "it holds a line break",
    "range=015000 064000": "read it as octal, 6656. Write range=15000-64000.",
    "range=032768 060999": "octal and refuses. Write range=32768-60999.",
    "range=" + "0" * 20 + "15000 64000": "octal and refuses",
    "range=0x3a98 0xfa00": "hexadecimal, and only decimal numbers are taken. Write range=15000-64000.",
    "range=15000 64000 5": "'5' follows the two ports",
    "range=15000 64000 junk": "'junk' follows the two ports",
    "range=15000 64000 # c": "'# c' follows the two ports",
    "range=15000 64000junk": "'junk' follows the two ports",
    "range=15000 64000;": "might drop it silently. Write range=15000-64000.",
    "range='15000 64000'": "quotes are for the shell and no part of it. Write range=15000-64000.",
    'range="15000 64000"': "quotes are for the shell",
    "range=15000 64000\r": "it holds a carriage return",
    "range=15000\0 64000": "it holds a NUL byte",
    "range=\ufeff15000 64000": "it holds a byte order mark",
    "range=15000\xa064000": "it holds a no-break space. Write range=15000-64000.",
    "range=１５０００ 64000": "it holds the character U+FF11",
    "range=15000 ٦٤٠٠٠": "it holds the character U+0666",
    "range=15000\u201364000": "it holds the character U+2013. Write range=15000-64000.",
    "range=\x1b[31m15000 64000": "it holds an escape character",
    "range=\udcff15000 64000": "it holds the character U+DCFF",
    "range=+15000 +64000": "'+15000' has a sign",
    "range=15000 -64000": "'-64000' has a sign",
    "range=-1 5": "'-1' has a sign",
    "range=15000--64000": "'-64000' has a sign",
    "range=1e3 64000": "it is not two ports",
    "range=15000.0 64000": "it is not two ports",
    "range=15_000 64000": "it is not two ports",
    "range=%n 64000": "it is not two ports",
    "range=$(id)": "it is not two ports",
    "range=none": "it is not two ports",
    "range=64000 15000": "64000 lies above its last, 15000. Write range=15000-64000.",
    "range=0 65535": "port 0 is none",
    "range=15000 65536": "'65536' lies above 65535, the last port",
    "range=15000 99999": "'99999' lies above 65535",
    "range=4294967296 4294967297": "'4294967296' lies above 65535",
    "range=4294982296 4294982297": "'4294982296' lies above 65535",
    "range=18446744073709551616 64000": "'18446744073709551616' lies above 65535",
    "range=" + "9" * 10_000 + " 5": "lies above 65535",
    "range=0x" + "f" * 10_000 + " 5": "is hexadecimal",
    "reserved=": "it is empty. Write reserved=none to clear the list.",
    "reserved=\n": "it holds a line break",
    "reserved+=": "it is empty. Write it like reserved+=8080,9000-9100.",
    "reserved+=none": "none neither adds nor takes a port. Write reserved=none to clear the list.",
    "reserved=9100-9000": "'9100-9000' begins above its end. Write reserved=9000-9100.",
    "reserved=65536": "'65536' lies above 65535",
    "reserved=-1": "'-1' is no port and no run of ports",
    "reserved=8080 9090": "parted by commas alone. Write reserved=8080,9090.",
    "reserved=8080, 9090": "parted by commas alone. Write reserved=8080,9090.",
    "reserved=,,": "'' is no port and no run of ports",
    "reserved=8080,,9090": "'' is no port and no run of ports",
    "reserved=;": "';' is no port",
    "reserved=8080-": "'8080-' is no port",
    "reserved=-9000": "'-9000' is no port",
    "reserved=08080": "begins with 0, which the kernel takes for octal and refuses. Write reserved=8080.",
    "reserved=7000,70000": "'70000' lies above 65535",
    "reserved=0x1f90": "hexadecimal, and only decimal numbers are taken. Write reserved=8080.",
    "reserved='8080'": "quotes are for the shell and no part of it. Write reserved=8080.",
    "reserved=all": "'all' is no port",
    "reserved=" + "8080," * 20_000 + "x": "'x' is no port",
    "tw_reuse=3": "it lies outside of 0 to 2. Write tcp_tw_reuse=NUMBER, 0 to 2.",
    "tw_reuse=-1": "it is not one plain number",
    "tw_reuse=on": "it is not one plain number",
    "tw_reuse=": "it is empty",
    "tw_reuse=01": "read it as octal, 1. Write tcp_tw_reuse=1.",
    "tw_reuse=0x1": "is hexadecimal, and only decimal numbers are taken. Write tcp_tw_reuse=1.",
    "tw_reuse='1'": "quotes are for the shell and no part of it. Write tcp_tw_reuse=1.",
    "tw_reuse=" + "9" * 10_000: "it lies outside of 0 to 2",
    "tw_reuse=1 junk": "it is not one plain number",
    "tw_reuse_delay=0": "it lies outside of 1 to 60000",
    "unprivileged_port_start=65536": "it lies outside of 0 to 65535",
    "unprivileged_port_start=80 443": "it is not one plain number",
    "step_width=4294967296": "it lies outside of 0 to 4294967295",
}


@pytest.mark.parametrize("word", REFUSED, ids=lambda word: ascii(word[:40]))
def test_what_may_mean_something_else_is_refused_in_words(word):
    """Each refusal shows the input escaped, says what is wrong, and is short."""
    message = refusal(word)

    assert REFUSED[word] in message
    assert message.isascii()
    assert message.isprintable()
    assert len(message) < 300


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("range", "'range' has no =. Write range=15000-64001."),
        ("range 15000 64000", "Write range=15000-64000."),
        ("range 64000", "'range 64000' has no =. Write range=15000-64001."),
        ("tw_reuse", "Write tcp_tw_reuse=NUMBER, 0 to 2."),
        ("64001", "Two ports in one word: write range=15000-64001"),
        ("15000-64001", "no setting is named. Write NAME=VALUE"),
        ("", "no setting is named"),
        ("=15000-64001", "There is no setting ''."),
        ("range+=5", "'range+=5': += is for lists of ports, and range is none."),
        ("tw_reuse-=1", "-= is for lists of ports, and tcp_tw_reuse is none."),
        ("rnage=15000-64001", "There is no setting 'rnage'. Did you mean 'range'?"),
    ],
)
def test_a_word_that_is_no_request_says_how_to_write_one(word, said):
    """Without name, value or the right operator the error has an example."""
    assert said in refusal(word)


def test_nothing_to_set_is_no_request():
    """A command without words is told what a word is."""
    assert "Nothing to set. Write NAME=VALUE, such as range=15000-64001." == refusal()


@pytest.mark.parametrize(
    "words",
    [
        ("range=15000-64001", "net.ipv4.ip_local_port_range=15000-64001"),
        ("reserved+=8080", "reserved-=8080"),
    ],
)
def test_a_setting_is_named_once(words):
    """The same setting twice is refused, under whichever name."""
    assert "is named twice" in refusal(*words)


@pytest.mark.parametrize(
    "row", [row for row in SETTINGS if not row.writable], ids=lambda row: row.name
)
def test_what_is_not_writable_is_refused(row):
    """Settings that portroom only shows are refused under each of their names."""
    for word in row.words:
        message = refusal(f"{word}=1")

        assert "portroom" in message
        assert "There is no setting" not in message


@pytest.mark.parametrize("name", MYTHS)
def test_a_myth_is_refused_by_name_with_the_page_that_says_why(name):
    """What does not help is refused under its name and its key, with a reason and a page."""
    for word in (name, f"net.ipv4.{name}", f"net/ipv4/{name}"):
        message = refusal(f"{word}=1")

        assert message.startswith(f"portroom does not set {name}. {MYTHS[name]}")
        assert message.endswith(f"{MYTHS_PAGE}#{name}")


@pytest.mark.parametrize(
    "word",
    [
        "kernel.core_pattern=|/tmp/x",
        "kernel.modprobe=/tmp/x",
        "../../kernel/modprobe=1",
        "fs.suid_dumpable=1",
    ],
)
def test_no_other_sysctl_is_ever_taken(word):
    """A right to run portroom is no right to set what gives root."""
    message = refusal(word)

    assert "There is no setting" in message
    assert "file_max" not in message


@given(some.text(max_size=60))
def test_no_text_breaks_the_parser(text):
    """Whatever is typed is a request or refused as one, in printable words."""
    for word in (text, f"range={text}", f"reserved+={text}", f"tw_reuse={text}"):
        try:
            wanted = parse_words([word])
        except InvalidRequestError as error:
            said = str(error)
        else:
            said = " ".join(map(str, wanted))

            assert wanted == parse_words(map(str, wanted))
        assert said.isprintable()


def ranges():
    """Return any ranges."""
    ports = some.integers(1, LAST_PORT)
    return some.tuples(ports, ports).map(lambda ends: PortRange(*sorted(ends)))


@some.composite
def anything_wanted(draw):
    """Return any request for one setting."""
    row = draw(some.sampled_from(WRITABLE))
    if row.type is ValueType.RANGE:
        return Wanted(row, SET, draw(ranges()))
    if row.type is ValueType.NUMBER:
        return Wanted(row, SET, draw(some.integers(row.lowest, row.highest)))
    operator = draw(some.sampled_from([SET, ADD, TAKE]))
    runs = some.lists(ranges(), min_size=operator != SET, max_size=20)
    return Wanted(row, operator, PortSet(draw(runs)))


@given(anything_wanted())
def test_a_request_survives_its_text(wanted):
    """Parsing what a request prints gives that request."""
    assert (wanted,) == parse_words([str(wanted)])
