"""Myths: advice that is often given and does not help, the truth, and what helps.

`portroom doctor NAME` tells them by what people type; ``beliefs.py`` finds where one
was followed.
"""

from __future__ import annotations

import msgspec

from portroom.model.advice.findings.words import page
from portroom.model.advice.spelling import EXAMPLE
from portroom.model.facts.settings import setting_named


class Myth(msgspec.Struct, frozen=True, kw_only=True):
    """
    One myth: what they say, how it is, and what to do instead.

    ``words`` are what people type for it, besides ``name``; ``command`` is the
    better command.
    """

    name: str
    title: str
    words: tuple[str, ...]
    claim: str
    truth: str
    instead: str
    command: str

    @property
    def page(self) -> str:
        """Return the page of the documentation."""
        return page(self.name)


MYTHS = (
    Myth(
        name="myth_fin_timeout",
        title="tcp_fin_timeout does not shorten TIME_WAIT",
        words=("tcp_fin_timeout", "fin_timeout", "net.ipv4.tcp_fin_timeout"),
        claim="Lower tcp_fin_timeout, so that TIME_WAIT is shorter.",
        truth=(
            f"{setting_named('tcp_fin_timeout').does_not} The setting is about FIN_WAIT2: a closed "
            "connection that waits for the other side to close."
        ),
        instead="Keep connections open; then let connect() take over TIME_WAITs (tcp_tw_reuse).",
        command="portroom set tcp_tw_reuse=1 --try",
    ),
    Myth(
        name="myth_tw_recycle",
        title="tcp_tw_recycle is gone, and broke clients behind NAT",
        words=("tcp_tw_recycle", "tw_recycle", "net.ipv4.tcp_tw_recycle"),
        claim="Set tcp_tw_recycle to 1.",
        truth=(
            "It is gone since Linux 4.12, so that setting it fails. Before, it dropped connections "
            "of clients that share one address by NAT, now and then and without a word."
        ),
        instead="Remove the line. tcp_tw_reuse is another thing, and safe where both use timestamps.",
        command="portroom set tcp_tw_reuse=1 --try",
    ),
    Myth(
        name="myth_tw_buckets",
        title="tcp_max_tw_buckets is no setting for ports",
        words=("tcp_max_tw_buckets", "max_tw_buckets", "net.ipv4.tcp_max_tw_buckets"),
        claim="Lower tcp_max_tw_buckets to free ports.",
        truth=(
            f"{setting_named('tcp_max_tw_buckets').does_not} Which connections lose their "
            "TIME_WAIT is chance."
        ),
        instead="Leave it as the kernel made it, remove the line; keep connections open.",
        command="portroom headroom",
    ),
    Myth(
        name="myth_wide_range",
        title="1024-65535 is not for everyone",
        words=("1024-65535", "1024 65535", "1024:65535", "1024,65535", "wide_range"),
        claim="Set the range to 1024-65535 everywhere.",
        truth=(
            "64,512 ports instead of 28,232, and among them those of your own services, NodePorts "
            "and overlay networks. The kernel gives them to outgoing connections, and a service "
            "that starts later fails with EADDRINUSE. Firewalls on the path may drop low source "
            "ports, and SELinux no longer guards the ports inside."
        ),
        instead=(
            "Begin the range above the ports of services, and reserve those that lie inside: "
            "--reserve finds them."
        ),
        command=f"portroom set range={EXAMPLE} --reserve --try",
    ),
    Myth(
        name="myth_count",
        title="The default range has 28,232 ports, for each destination",
        words=(
            "28231",
            "28,231",
            "28232",
            "28,232",
            "28233",
            "28,233",
            "32768-61000",
            "32768-60999",
        ),
        claim="The range has 28,231 (or 28,233) ports, and so many connections fit.",
        truth=(
            "Both ends count: 60999 - 32768 + 1 = 28,232. 28,233 is 32768-61000, the default "
            "before Linux 4.2, with ends of one parity, of which one port is lost. And so many fit "
            "to one remote address and port from one local address, minus what is reserved or "
            "bound; together only for UDP and after bind() to port 0."
        ),
        instead="Ask for each destination.",
        command="portroom headroom",
    ),
)
"""All myths, by the names of their findings."""


def myth_named(word: str) -> Myth | None:
    """
    Return the myth that a word means, None where it means none.

    >>> myth_named("tcp_tw_recycle").name, myth_named("28231").name, myth_named("doctor")
    ('myth_tw_recycle', 'myth_count', None)
    """
    plain = word.strip().lower().replace("/", ".")
    return next((one for one in MYTHS if plain == one.name or plain in one.words), None)
