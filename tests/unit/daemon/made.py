"""What the daemon is told, in as few words as its own tests need."""

import datetime

import msgspec

from portroom.model.facts.answers import Key
from portroom.model.facts.gaps import Gap
from portroom.model.facts.sample import BELOW_HALF, FULL, Instant, Sample
from portroom.model.facts.snapshot import NetnsId
from portroom.model.facts.watched import Known, Watched

AT = datetime.datetime(2026, 3, 1, 12, 0, tzinfo=datetime.UTC)
NOW = Instant("boot-1", 5000.0, AT)
HOST = NetnsId("host", 1, 4_026_531_840, "host")
BELOW = Gap("keys", "below half: 3 TCP sockets cannot fill half of 1000 ports", ("keys",))


class Told:
    """A log that keeps the events that it is told, and their sentences."""

    def __init__(self):
        self.events = []
        self.sentences = []

    def tell(self, _, event, message):
        """Keep it."""
        self.events.append(event)
        self.sentences.append(message)


def sampled(*gaps, depth=FULL, netns=HOST, keys=()):
    """Return what is known of a namespace whose newest sample has gaps."""
    return Known(
        sample=Sample(
            host="made",
            taken_at=AT,
            netns=netns,
            gaps=gaps,
            instant=NOW,
            depth=depth,
            range=None,
            keys=keys,
        )
    )


def below_half():
    """Return what is known of a namespace below half."""
    return sampled(BELOW, depth=BELOW_HALF)


def key(held):
    """Return a key of a thousand ports."""
    return Key(
        protocol="tcp",
        operation="connect",
        local_address="10.0.0.1",
        remote_address="10.0.0.20",
        remote_port=5432,
        eligible_ports=1000,
        held_ports=held,
        doubtful_ports=0,
        free_ports=1000 - held,
        free_ports_max=1000 - held,
        occupancy_ratio=held / 1000,
        occupancy_ratio_max=held / 1000,
        exhausted=False,
        states={},
    )


def watched(*namespaces, **more):
    """Return all that is known."""
    empty = Watched(version="1", host="made", started_at=AT, now=NOW, interval_s=10.0)
    return msgspec.structs.replace(empty, namespaces=namespaces, **more)
