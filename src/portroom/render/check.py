"""Check: one line for a monitoring system, with perfdata.

Rules of this file: one line of ASCII, whatever names it holds; a bar stands before the
perfdata and nowhere else; nothing is rounded over a threshold.

Source: Monitoring Plugins Development Guidelines, plugin output and performance data.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from portroom.model.facts.answers import Key
from portroom.model.facts.check import UNKNOWN, Rate, Verdict
from portroom.render.headroom import destination, local
from portroom.render.units import Style, cut, duration, number, percent, plural, printable, span

PLAIN = Style(width=0, ascii=True)

LONGEST_TEXT = 600
"""Columns before the perfdata: agents pass about a thousand bytes on."""

LONGEST_NAME = 60

PLACES = 4


def as_line(verdict: Verdict) -> str:
    """Return the state, what decides it, and the perfdata."""
    words = ", ".join(filter(None, _words(verdict)))
    return line(verdict.state, words, " ".join(_perfdata(verdict)))


def as_unknown(sentence: str) -> str:
    r"""
    Return the line of a question that could not be answered.

    >>> as_unknown("no such option: --a|b")
    'UNKNOWN: no such option: --a\\x7cb'
    """
    return line(UNKNOWN, sentence)


def line(state: str, words: str, perfdata: str = "") -> str:
    """Return one line: what a person reads, a bar, and what a machine reads."""
    text = cut(_plain(words), LONGEST_TEXT, PLAIN)
    return f"{state}: {text} | {perfdata}" if perfdata else f"{state}: {text}"


def _plain(text: str) -> str:
    """Return text that neither ends the line nor begins the perfdata."""
    shown = printable(text).replace("|", "\\x7c")
    return shown.encode("ascii", "backslashreplace").decode()


def _words(verdict: Verdict) -> Iterator[str]:
    """Yield what a person is told."""
    missing = [verdict.unseen, verdict.rate.reason if verdict.rate else ""]
    if verdict.state == UNKNOWN:
        yield from missing
    if verdict.doubtful is not None:
        yield f"in doubt: {_figures(verdict.doubtful)}{_where(verdict)}"
    elif verdict.key is not None:
        yield f"{_figures(verdict.key)}{_where(verdict)}"
    elif not verdict.unseen:
        yield _none(verdict)
    if verdict.rate is not None:
        yield _speed(verdict.rate)
    if verdict.state != UNKNOWN:
        yield from missing


def _figures(key: Key) -> str:
    """Return how many ports a key has left, and how full it is."""
    free = span(key.free_ports, key.free_ports_max, PLAIN)
    source = "" if key.remote_address is None else f" from {local(key)}"
    held = percent(key.occupancy_ratio)
    most = percent(key.occupancy_ratio_max)
    ratio = held if held == most else f"{held} to {most}"
    ports = number(key.eligible_ports)
    return f"{free} of {ports} ports free for {destination(key)}{source}, {ratio} held"


def _none(verdict: Verdict) -> str:
    """Return what is said where there is no key."""
    target = f" to {verdict.address}" if verdict.address else ""
    return f"no connection{target}, {number(verdict.eligible_ports)} ports free{_where(verdict)}"


def _where(verdict: Verdict) -> str:
    """Return the namespace of what is told, where several were looked at."""
    if verdict.namespaces == 1 or verdict.netns is None:
        return ""
    if verdict.key is None:
        return f" in each of {plural(verdict.namespaces, 'namespace')}"
    return f" in namespace {cut(printable(verdict.netns.name), LONGEST_NAME, PLAIN, middle=True)}"


def _speed(rate: Rate) -> str:
    """Return how fast connections came, and when none fits any more."""
    if rate.connects_per_s is None:
        return ""
    # A key that is full already is told as such by its figures.
    when = f", full in {duration(rate.exhausted_in_s)}" if rate.exhausted_in_s else ""
    return f"{_number(rate.connects_per_s)} connects/s{when}"


def _perfdata(verdict: Verdict) -> Iterator[str]:
    """Yield each figure as ``label=value;warning;critical;lowest;highest``."""
    key, limits, ports = verdict.key, verdict.limits, verdict.eligible_ports
    if ports is None or (key is None and verdict.unseen):
        return
    ratio = key.occupancy_ratio if key else 0.0
    free = key.free_ports if key else ports
    yield f"occupancy={_ratio(ratio)};{_number(limits.warning)};{_number(limits.critical)};0;1"
    yield f"free={free};;;0;{ports}"
    if verdict.rate is not None and verdict.rate.connects_per_s is not None:
        yield f"connects_per_s={_number(verdict.rate.connects_per_s)};;;0"


def _ratio(ratio: float) -> str:
    """
    Return a ratio, rounded down, and 0 only where nothing is held.

    >>> [_ratio(ratio) for ratio in (0.52, 0.79999999, 0.00001, 0.0, 1.0)]
    ['0.52', '0.7999', '0.0001', '0', '1']
    """
    if not 0 < ratio < 1:
        return _number(ratio)
    scale = 10**PLACES
    # 0.29 * 100 is 28.999999999999996: what is a hair below was meant to be there.
    return _number(max(math.floor(ratio * scale + 1e-6), 1) / scale)


def _number(value: float) -> str:
    """
    Return a number as perfdata has it: no exponent, no zeros at its end.

    >>> [_number(value) for value in (0.8, 1.0, 12.34567, 1e-9)]
    ['0.8', '1', '12.3457', '0']
    """
    text = f"{value:.{PLACES}f}"
    return text.rstrip("0").rstrip(".")
