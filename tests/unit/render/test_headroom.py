"""Headroom says the sure figure first, and a doubt in words."""

import json

import pytest

from portroom.model.facts.snapshot import Gap, NetnsId
from portroom.render import headroom
from portroom.render.units import Style, columns
from tests.unit.render import examples


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (examples.TIGHT, "42 more connections fit to 10.0.0.9:443."),
        (
            examples.key(held=examples.ELIGIBLE - 1),
            "1 more connection fits to 10.0.0.9:443.",
        ),
        (
            examples.EXHAUSTED,
            (
                "No more connections fit to [2001:db8:12:34::1234]:8443: "
                "all 28,232 eligible ports are held."
            ),
        ),
        (
            examples.DOUBTFUL,
            "Between 11,231 and 19,231 more connections fit to 10.0.0.10:5432.",
        ),
        (examples.UDP, "28,220 more UDP sockets fit on 0.0.0.0."),
        (examples.BIND0, "28,202 more TCP sockets bound to port 0 fit on 0.0.0.0."),
    ],
)
def test_the_answer_is_a_sentence(key, expected):
    """What fits and to where: connections, UDP sockets, binds to port 0."""
    actual = headroom.fits(key)

    assert expected == actual


def test_a_doubt_is_said_and_how_to_settle_it():
    """The kernel does not tell; the probe does, for a TCP destination."""
    actual = headroom.doubt(examples.DOUBTFUL)

    assert actual == (
        "the kernel does not tell of 8,000 ports whether they can be chosen. "
        "Settle it with: portroom headroom 10.0.0.10:5432 --probe"
    )
    assert headroom.doubt(examples.TIGHT) == ""


def test_what_settles_a_doubt_looks_into_the_same_namespace():
    """The command that is told is the right one in a namespace, by name or by pid."""
    named = examples.netns("web")
    container = NetnsId("docker:3f2a9c", 9, 4026532009, "container", 4312)

    assert headroom.doubt(examples.DOUBTFUL, examples.HOST).endswith("--probe")
    assert headroom.doubt(examples.DOUBTFUL, named).endswith("--probe --netns web")
    assert headroom.doubt(examples.DOUBTFUL, container).endswith("--netns 4312")


def test_what_cannot_be_probed_is_not_told_to():
    """UDP and bind0 have no probe."""
    doubtful = examples.key(None, doubtful=5, protocol="udp")

    actual = headroom.doubt(doubtful)

    assert "does not tell" in actual
    assert "--probe" not in actual


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (examples.EASY, ""),
        (examples.DOUBTFUL, ""),
        (examples.TIGHT, "tight"),
        (examples.EXHAUSTED, "exhausted"),
        (examples.key(doubtful=examples.ELIGIBLE), "in doubt"),
    ],
)
def test_a_state_is_a_word(key, expected):
    """The sure figures decide; what may be tight is in doubt and not tight."""
    actual = headroom.state(key)

    assert expected == actual


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (examples.EASY, "........"),
        (examples.DOUBTFUL, "##??...."),
        (examples.TIGHT, "#######."),
        (examples.EXHAUSTED, "########"),
    ],
)
def test_a_bar_never_overstates(key, expected):
    """A cell is full once its whole share is held; doubt has a glyph of its own."""
    actual = headroom.bar(key, Style(ascii=True))

    assert expected == actual


def test_the_tightest_key_stands_first():
    """Sorted by what surely fits, whatever the order of the answer."""
    keys = [examples.EASY, examples.TIGHT, examples.EXHAUSTED]

    lines = headroom.as_text(examples.headroom(keys), Style(width=0)).splitlines()

    assert lines[0].startswith("No more connections fit to [2001:db8:12:34::1234]:8443")
    assert [line.split()[0] for line in lines[3:6]] == [
        "[2001:db8:12:34::1234]:8443",
        "10.0.0.9:443",
        "192.0.2.7:80",
    ]


def test_one_key_is_told_in_full():
    """Each figure, the states, each owner, and what the remote address is."""
    actual = headroom.as_text(examples.headroom([examples.TIGHT]), Style(width=80))

    assert actual == (
        "42 more connections fit to 10.0.0.9:443.\n"
        "\n"
        "  local address 10.0.0.1\n"
        "  eligible      28,232\n"
        "  held          28,190\n"
        "  in doubt      0\n"
        "  free          42\n"
        "  occupancy     ███████░ 99 % tight\n"
        "  its sockets   20,000 TIME_WAIT\n"
        "                8,190 ESTABLISHED\n"
        "  owners        8,000 nginx (pid 4312, nginx.service)\n"
        "                190 envoy (pid 77)\n"
        "                20,000 unknown\n"
        "\n"
        "The remote address is the one that the socket has: a ClusterIP under "
        "kube-proxy,\n"
        "the pod's own under socket-level load balancing.\n"
        "\n"
        "web1, namespace host, 2026-03-01 12:00:00 UTC.\n"
    )


@pytest.mark.parametrize("width", [40, 60, 80, 160])
def test_every_line_fits_the_terminal(width):
    """From 40 columns on, no line is longer than the terminal is wide."""
    answer = examples.headroom(omitted=1100)

    for line in headroom.as_text(answer, Style(width=width)).splitlines():
        assert columns(line) <= width


def test_keys_not_shown_are_counted():
    """The limit is told, and how to see all."""
    actual = headroom.as_text(examples.headroom(omitted=1100), Style(width=0))

    assert "1,100 less tight keys not shown; --limit 0 shows all." in actual


def test_no_key_is_an_answer_but_not_if_keys_could_not_be_read():
    """Nothing held is told as such only if it was seen."""
    unread = Gap("groups", "refused", ("keys",))

    seen = headroom.as_text(examples.headroom([]), Style())
    unseen = headroom.as_text(examples.headroom([], gaps=[unread]), Style())

    assert "Nothing holds a local port" in seen
    assert "not known" in unseen
    assert "Nothing holds" not in unseen


def test_keys_of_one_destination_are_told_apart_by_their_local_address():
    """The column FROM stays where it is what differs."""
    keys = [examples.key(local="10.0.0.1"), examples.key(local="10.0.0.2")]

    actual = headroom.as_text(examples.headroom(keys), Style(width=50))

    assert "10.0.0.2" in actual


def test_keys_of_all_namespaces_share_one_table():
    """The namespace is a column then, and a field of CSV always."""
    answers = [
        examples.headroom([examples.EASY]),
        examples.headroom([examples.TIGHT], where=examples.netns("db")),
    ]

    text = headroom.all_as_text(answers, Style(width=0))
    table = headroom.as_csv_text(answers)

    assert "NETNS" in text
    assert text.splitlines()[3].startswith("db")
    assert [line.split(",")[0] for line in table.splitlines()] == [
        "netns",
        "host",
        "db",
    ]


def test_hostile_text_is_made_printable_everywhere():
    """Neither the screen nor CSV lets a name act."""
    where = examples.netns(examples.HOSTILE)
    hostile = examples.owner(examples.HOSTILE)
    answer = examples.headroom([examples.key(held=1, owners=[hostile])], where=where)

    for text in (
        headroom.as_text(answer, Style()),
        headroom.all_as_text([answer, answer], Style(wide=True)),
        headroom.as_csv_text([answer]),
    ):
        assert all(line.isprintable() for line in text.split("\n"))


def test_json_lines_have_a_key_each():
    """One object a line, with the fields of the key beside the header."""
    lines = headroom.as_jsonl(examples.headroom()).splitlines()

    actual = [json.loads(line)["occupancy_ratio"] for line in lines]

    assert actual == [key.occupancy_ratio for key in examples.KEYS]


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (
            examples.EXHAUSTED,
            "EADDRNOTAVAIL --remote [2001:db8:12:34::1234]:8443 --from 2001:db8::1 --netns web",
        ),
        (
            examples.key(None, held=examples.ELIGIBLE, protocol="udp", local="0.0.0.0"),
            "EAGAIN --from 0.0.0.0 --proto udp --netns web",
        ),
        (
            examples.key(None, held=examples.ELIGIBLE, operation="bind0", local="0.0.0.0"),
            "EADDRINUSE --from 0.0.0.0 --proto tcp --netns web",
        ),
    ],
)
def test_an_exhausted_key_says_which_command_tells_why(key, expected):
    """With the error that programs get; a key with a free port has no such line."""
    full = headroom.as_text(examples.headroom([key], where=examples.netns()), Style(width=0))
    free = headroom.as_text(examples.headroom([examples.TIGHT]), Style(width=0))

    assert f"\n\nWhy, and what to do: portroom explain {expected}\n\n" in full
    assert "portroom explain" not in free


def test_a_namespace_is_quoted_for_the_shell():
    """As everywhere else; what a terminal must not see is escaped besides."""
    assert " --netns 'a b'" == headroom.option(NetnsId("a b", 1, 2, "named"))
    assert "\x1b" not in headroom.option(NetnsId("a\x1b[2Jb", 1, 2, "named"))
    assert "" == headroom.option(NetnsId("host", 1, 2, "host"))
