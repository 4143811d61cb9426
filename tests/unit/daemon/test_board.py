"""The board wakes who waits, drops what is old, and renders once."""

import asyncio

import msgspec

from portroom.daemon import board as boards
from portroom.daemon.board import Board
from portroom.daemon.events import as_event, stream
from tests.unit.daemon import made_web


def another(number):
    """Return a Watched that differs from others by its number."""
    return made_web.watched(samples_total=number)


async def first(updates, count):
    """Return so many of the updates."""
    found = []
    async for watched in updates:
        found.append(watched)
        if len(found) == count:
            break
    return found


def test_who_comes_is_told_the_newest_at_once():
    """And then each that is put up while it waits."""

    async def story():
        """Put up one before, and one after somebody came."""
        board = Board()
        board.publish(another(1))
        waiting = asyncio.ensure_future(first(board.updates(), 2))
        await asyncio.sleep(0)
        board.publish(another(2))
        return await waiting

    assert [another(1), another(2)] == asyncio.run(story())


def test_who_is_slow_sees_the_newest_alone():
    """What came in between is left out, and nothing is kept for anybody."""

    async def story():
        """Put up a thousand while one is busy."""
        board = Board()
        board.publish(another(1))
        updates = board.updates()
        seen = [await anext(updates)]
        for number in range(2, 1002):
            board.publish(another(number))
        return [*seen, await anext(updates)]

    assert [another(1), another(1001)] == asyncio.run(story())


def test_closing_ends_who_waits_and_who_comes_later():
    """What is up is told still."""

    async def story():
        """Close while one waits, then come."""
        board = Board()
        waiting = asyncio.ensure_future(first(board.updates(), 1))
        await asyncio.sleep(0)
        board.close()
        early = await waiting
        board.publish(another(1))
        return early, await first(board.updates(), 2)

    assert ([], [another(1)]) == asyncio.run(story())


def test_a_hundred_streams_render_once():
    """Whoever comes first renders; the others send the same bytes."""
    rendered = []

    async def story():
        """Let a hundred streams tell of three Watched."""
        board = Board()

        def render(watched):
            """Count, and return an event."""
            return board.body("event", watched, lambda: made(watched))

        def made(watched):
            """Render one."""
            rendered.append(watched.samples_total)
            return as_event("status", 1, b"{}")

        streams = [stream(board, render).body_iterator for _ in range(100)]
        for number in range(3):
            board.publish(another(number))
            await asyncio.gather(*(anext(one) for one in streams))

    asyncio.run(story())

    assert [0, 1, 2] == rendered


def test_bodies_are_bounded(monkeypatch):
    """However many are asked for, and however large they are."""
    monkeypatch.setattr(boards, "MOST_BYTES", 100)
    board = Board()
    board.publish(another(1))

    for number in range(1000):
        board.body(f"a{number}", board.newest, lambda: b"x")
    board.body("large", board.newest, lambda: b"x" * 90)

    assert boards.MOST_BODIES == len(board._bodies)
    assert board.found("large") is None


def test_what_is_old_is_rendered_and_not_remembered():
    """A body never outlives the Watched that it is of."""
    board = Board()
    board.publish(another(1))
    old = board.newest
    board.body("a", old, lambda: b"old")
    board.publish(msgspec.structs.replace(old, samples_total=2))

    assert board.found("a") is None
    assert b"older" == board.body("a", old, lambda: b"older")
    assert b"new" == board.body("a", board.newest, lambda: b"new")
