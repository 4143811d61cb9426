"""Who holds ports is told in few words, and never guessed."""

from portroom.model.facts.snapshot import Gap, not_looked_at
from portroom.render import owners
from tests.unit.render import examples

UNREADABLE = Gap("owners", "no CAP_SYS_PTRACE", ("keys.owners",))


def test_programs_stand_by_how_much_they_hold():
    """Processes of one name are one entry; TIME_WAIT is unknown, never root."""
    actual = owners.short(examples.TIGHT)

    assert actual == "nginx 8,000, envoy 190, unknown 20,000"


def test_what_may_not_be_seen_is_not_called_unknown():
    """Without the right to look, only TIME_WAIT is unknown."""
    key = examples.key(held=9, states={"TIME_WAIT": 4, "ESTABLISHED": 5})

    actual = owners.short(key, [UNREADABLE])

    assert actual == "unknown 4, not readable 5"


def test_where_nobody_looked_nothing_is_said():
    """Neither a program nor that it is unknown."""
    key = examples.key(held=9)

    actual = owners.short(key, [not_looked_at("owners", "keys.owners")])

    assert actual == ""


def test_each_process_has_a_line_of_its_own():
    """Name, pid, and what runs it."""
    actual = owners.long(examples.TIGHT)

    assert actual == [
        "8,000 nginx (pid 4312, nginx.service)",
        "190 envoy (pid 77)",
        "20,000 unknown",
    ]


def test_a_hostile_name_is_made_printable():
    """A process may call itself anything."""
    key = examples.key(held=1, owners=[examples.owner(examples.HOSTILE)])

    for text in (owners.short(key), *owners.long(key)):
        assert text.isprintable()
