"""Pages of a trace buffer as the kernel makes them, and those that it made."""

from __future__ import annotations

from pathlib import Path

from portroom.trace.events import Decoders, Watched, make_decoders
from portroom.trace.pages import Layout, parse_layout

RECORDED = Path(__file__).parent / "recorded"
"""Of Linux 6.18 on x86-64, each page from one processor and cut where its events end."""


def text_of(name: str) -> str:
    """Return a recorded description."""
    return (RECORDED / f"{name}.txt").read_text()


def page_of(name: str) -> bytes:
    """Return a recorded page."""
    return bytes.fromhex((RECORDED / f"{name}.hex").read_text())


def recorded_layout() -> Layout:
    """Return the layout of recorded pages."""
    return parse_layout(text_of("header_page"), text_of("header_event"))


def recorded_decoders(watched: tuple[Watched, ...]) -> Decoders:
    """Return decoders by the recorded descriptions."""
    return make_decoders((row, text_of(row.event.rpartition("/")[2])) for row in watched)


def word(kind: int, delta: int) -> bytes:
    """Return the first word of an event."""
    return (delta << 5 | kind).to_bytes(4, "little")


def data_event(delta: int, payload: bytes) -> bytes:
    """Return an event of data, whole words of them; a long one has its length behind its head."""
    if len(payload) <= 28 * 4:
        return word(len(payload) // 4, delta) + payload
    return word(0, delta) + (len(payload) + 4).to_bytes(4, "little") + payload


def time_extend(delta: int) -> bytes:
    """Return an event that only lets time pass."""
    return word(30, delta & (1 << 27) - 1) + (delta >> 27).to_bytes(4, "little")


def time_stamp(at_ns: int) -> bytes:
    """Return an event that sets the time."""
    return word(31, at_ns & (1 << 27) - 1) + (at_ns >> 27).to_bytes(4, "little")


def discarded(delta: int, size: int) -> bytes:
    """Return an event that was given up, of *size* bytes behind its head."""
    return word(29, delta) + size.to_bytes(4, "little") + bytes(size - 4)


def page(at_ns: int, *events: bytes, missed: bool = False) -> bytes:
    """Return a page with some events, as read(2) gives it: 4096 bytes."""
    data = b"".join(events)
    commit = len(data) | (1 << 31 if missed else 0)
    head = at_ns.to_bytes(8, "little") + commit.to_bytes(8, "little")
    return (head + data).ljust(4096, b"\0")
