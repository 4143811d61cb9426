"""The loop looks at the beat, whatever looking does, and ends at once."""

import asyncio
import contextlib
import math
import threading

import pytest

from portroom.daemon.log import Log
from portroom.daemon.loop import Loop
from portroom.model.facts.config import Config, Serve
from tests.unit.daemon.made import Told, watched


class Looks:
    """Looks as a test wants it: each look is a function, the last one again and again."""

    def __init__(self, *looks):
        self.looks = list(looks)
        self.threads = set()
        self.configs = []
        self.is_closed = False

    def tick(self):
        """Look once."""
        self.threads.add(threading.get_ident())
        look = self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]
        return look()

    def reload(self, config):
        """Note another configuration."""
        self.threads.add(threading.get_ident())
        self.configs.append(config)

    def close(self):
        """Note the end."""
        self.threads.add(threading.get_ident())
        self.is_closed = True


class Published(list):
    """What was published, and a way to wait for it."""

    def __init__(self):
        super().__init__()
        self.event = asyncio.Event()

    def __call__(self, one):
        """Publish."""
        self.append(one)
        self.event.set()

    async def upto(self, count):
        """Return once so many were published."""
        async with asyncio.timeout(10):
            while len(self) < count:
                self.event.clear()
                await self.event.wait()


def run(looks, scenario, interval_s=0.0, log=None):
    """Let a loop run beside a scenario, and return what was published."""

    async def main():
        """Open, run, and close it."""
        published = Published()
        loop = Loop(interval_s, published, log or Log())
        await loop.open(lambda: looks)
        running = asyncio.ensure_future(loop.run())
        try:
            await scenario(loop, published)
        finally:
            await loop.close(5.0)
            await running
        return published

    return asyncio.run(main())


def test_it_looks_again_and_again_in_one_thread():
    """The thread is another one than that of requests, and the observer is closed in it."""
    looks = Looks(watched)

    async def scenario(loop, published):
        """Wait for some looks."""
        await published.upto(5)
        assert loop.looked.is_set()

    run(looks, scenario)

    assert looks.is_closed
    assert 1 == len(looks.threads)
    assert threading.get_ident() not in looks.threads


def test_a_saved_snapshot_is_looked_at_once():
    """Nothing changes in it."""
    looks = Looks(watched)

    async def scenario(loop, published):
        """Wait for the look, and ask for another one."""
        await published.upto(1)
        await loop.reload(Config())
        await published.upto(2)
        assert math.isinf(loop.interval_s)

    assert 2 == len(run(looks, scenario, math.inf))


def test_another_configuration_holds_at_once():
    """A long interval is not waited for."""
    looks = Looks(watched)
    wanted = Config(serve=Serve(interval_s=900.0))

    async def scenario(loop, published):
        """Reload in the middle of an interval."""
        await published.upto(1)
        await loop.reload(wanted)
        await published.upto(2)
        assert loop.interval_s == 900.0

    run(looks, scenario, 3600.0)

    assert [wanted] == looks.configs


def test_a_bug_ends_nothing_and_is_told_once():
    """What was known before stays, with what is wrong, until a look succeeds."""

    def broken():
        """Fail as no look should."""
        raise ZeroDivisionError("by none")

    looks = Looks(watched, broken, broken, watched)
    log = Told()

    async def scenario(_, published):
        """Wait until it is over."""
        await published.upto(4)

    published = run(looks, scenario, log=log)

    assert [0, 1, 2, 0] == [one.missed_samples for one in published[:4]]
    assert "ZeroDivisionError: by none" in published[2].error
    assert ["bug"] == log.events


def test_a_look_that_takes_long_is_told_as_missed():
    """Who asks learns that what it sees is old."""
    go_on = threading.Event()

    def slow():
        """Look until the test lets it end."""
        go_on.wait(10)
        return watched()

    looks = Looks(watched, slow, watched)

    async def scenario(_, published):
        """Wait until two are missing, then let it go on."""
        await published.upto(3)
        go_on.set()
        await published.upto(4)

    published = run(looks, scenario, 1.0)

    assert [0, 1, 2, 0] == [one.missed_samples for one in published[:4]]
    assert "takes longer than 1 s" in published[1].error


def test_a_first_look_that_takes_long_is_logged_once():
    """There is nothing yet that could be published."""
    go_on = threading.Event()
    log = Told()

    async def scenario(loop, published):
        """Say twice that it is late, as the clock would."""
        await asyncio.sleep(0)
        loop._tell_late()
        loop._tell_late()
        go_on.set()
        await published.upto(1)

    published = run(Looks(lambda: go_on.wait(10) and watched()), scenario, 1.0, log)

    assert ["late"] == log.events
    assert 0 == published[0].missed_samples


def test_it_ends_at_once_though_a_look_hangs():
    """The thread is left to itself."""
    go_on = threading.Event()

    async def main():
        """End it while the first look hangs."""
        loop = Loop(10.0, lambda _: None, Log())
        await loop.open(lambda: Looks(lambda: go_on.wait(10)))
        running = asyncio.ensure_future(loop.run())
        await asyncio.sleep(0)
        clock = asyncio.get_running_loop().time
        began_s = clock()
        await loop.close(0.1)
        await running
        took_s = clock() - began_s
        go_on.set()
        return took_s

    assert asyncio.run(main()) < 1.0


@pytest.mark.parametrize("interval_s", [10.0, math.inf])
def test_a_look_hangs_only_after_long(interval_s):
    """A big host takes seconds; the watchdog is fed all the while, but not for ever."""
    go_on = threading.Event()

    async def main():
        """Look at the clock as if it had gone on."""
        loop = Loop(interval_s, lambda _: None, Log())
        await loop.open(lambda: Looks(lambda: go_on.wait(10)))
        running = asyncio.ensure_future(loop.run())
        await asyncio.sleep(0)
        before = loop.is_hung()
        loop._look_began_s -= 121
        after = loop.is_hung()
        go_on.set()
        with contextlib.suppress(AttributeError):  # it returned no Watched
            await loop.close(1)
        await running
        return before, after

    assert (False, True) == asyncio.run(main())
