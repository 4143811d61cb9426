"""What has to be told reaches every address once, as soon as the address takes it."""

import asyncio
import threading

from portroom.daemon.notify import Notifier
from portroom.model.advice import notices
from portroom.model.advice.alerts import step
from portroom.model.facts.config import Alerts
from tests.unit.made_alarms import instant, key, known, watched

GOOD, BAD = "json://good/", "json://bad:secret@host/"


class Post:
    """Addresses that take messages, but for those that refuse."""

    def __init__(self, *refusing):
        self.refusing = set(refusing)
        self.taken = []
        self.tried = 0
        self.event = threading.Event()

    def __call__(self, address, title, *_):
        """Take a message, or say why not."""
        self.tried += 1
        self.event.set()
        if address in self.refusing:
            return "nobody is there"
        self.taken.append((address, title))
        return ""


class Lines:
    """A log that keeps what it is told."""

    def __init__(self):
        self.told = []

    def tell(self, level, event, message):
        """Keep a line."""
        self.told.append((level, event, message))


class Days:
    """Alerts as time goes on."""

    def __init__(self):
        self.alerts = ()

    def at(self, seconds, held):
        """Return what is known at a moment, with its alerts."""
        now = instant(seconds)
        one = watched(known(key(held), at=now), at=now)
        self.alerts = step(self.alerts, one, Alerts(for_s=0)).alerts
        return watched(known(key(held), at=now), at=now, alerts=self.alerts)


def notified(folder, addresses, post, scenario, log=None):
    """Run a notifier beside a scenario, and return it."""

    async def main():
        """Run it until the scenario has ended."""
        notifier = Notifier(addresses, str(folder), log or Lines(), post)
        running = asyncio.ensure_future(notifier.run())
        async with asyncio.timeout(10):
            await scenario(notifier)
        notifier.stop()
        async with asyncio.timeout(10):
            await running
        return notifier

    return asyncio.run(main())


async def until(condition):
    """Return when a condition holds."""
    while not condition():  # noqa: ASYNC110 - no event tells of all that may be waited for
        await asyncio.sleep(0.001)


CRITICAL = "[critical] made: A destination has hardly a port left"
ENDED = "[resolved] made: A destination has hardly a port left"


def test_a_beginning_and_an_end_are_each_sent_once_to_each(tmp_path):
    """However often the same is known anew."""
    post, days = Post(), Days()

    async def scenario(notifier):
        """Let it begin, last and end."""
        for seconds in range(3):
            notifier.offer(days.at(seconds, 960))
            await until(lambda: len(post.taken) == 2)
        notifier.offer(days.at(10, 0))
        await until(lambda: len(post.taken) == 4)

    notifier = notified(tmp_path, ("json://one/", "json://two/"), post, scenario)

    assert [CRITICAL, CRITICAL, ENDED, ENDED] == [title for _, title in post.taken]
    assert 0 == notifier.failures_total


def test_a_restart_sends_nothing_again(tmp_path):
    """What was sent is written down, by digests: no password stands in the file."""
    days = Days()
    known_now = days.at(0, 960)

    def once(post):
        """Offer the same."""

        async def scenario(notifier):
            """Wait until it was looked at."""
            notifier.offer(known_now)
            await until(lambda: post.taken or not notices.due(known_now.alerts, sent(notifier)))

        return scenario

    def sent(notifier):
        """Return what the address was told."""
        return notifier._places[0].sent

    first, second = Post(), Post()
    notified(tmp_path, (BAD,), first, once(first))
    notified(tmp_path, (BAD,), second, once(second))

    assert [(BAD, CRITICAL)] == first.taken
    assert [] == second.taken
    assert "secret" not in (tmp_path / "sent.json").read_text()
    assert 0o600 == (tmp_path / "sent.json").stat().st_mode & 0o777


def test_an_address_that_refuses_is_asked_again_and_holds_up_nobody(tmp_path, monkeypatch):
    """The other has its message; the log tells of the first failure and of the end."""
    monkeypatch.setattr(notices, "wait_s", lambda failures: failures / 100)
    post, days, log = Post(BAD), Days(), Lines()

    async def scenario(notifier):
        """Refuse three times, then take it."""
        notifier.offer(days.at(0, 960))
        await until(lambda: notifier.failures_total >= 3)
        post.refusing.clear()
        await until(lambda: len(post.taken) == 2)
        await until(lambda: len(log.told) == 2)

    notifier = notified(tmp_path, (BAD, GOOD), post, scenario, log)

    assert [(GOOD, CRITICAL), (BAD, CRITICAL)] == post.taken
    assert 3 <= notifier.failures_total < 10
    assert ["error", "notice"] == [level for level, *_ in log.told]
    assert "1 alert could not be sent to json: nobody is there." in log.told[0][2]
    assert "secret" not in str(log.told)


def test_what_ended_while_nobody_could_be_reached_is_told_in_the_end(tmp_path, monkeypatch):
    """As one message, that it was and is over."""
    monkeypatch.setattr(notices, "wait_s", lambda _: 0.01)
    post, days = Post(GOOD), Days()

    async def scenario(notifier):
        """Refuse while it begins and ends."""
        notifier.offer(days.at(0, 960))
        await until(lambda: notifier.failures_total)
        notifier.offer(days.at(10, 0))
        await until(lambda: notifier.failures_total >= 3)
        post.refusing.clear()
        await until(lambda: post.taken)

    notified(tmp_path, (GOOD,), post, scenario)

    assert [(GOOD, ENDED)] == post.taken


def test_other_addresses_hold_from_a_reload_on(tmp_path):
    """One that stays is not told again, one that is new is."""
    post, days = Post(), Days()

    async def scenario(notifier):
        """Add an address."""
        notifier.offer(days.at(0, 960))
        await until(lambda: len(post.taken) == 1)
        await until((tmp_path / "sent.json").exists)
        notifier.reload((GOOD, "json://new/"))
        await until(lambda: len(post.taken) == 2)

    notified(tmp_path, (GOOD,), post, scenario)

    assert [(GOOD, CRITICAL), ("json://new/", CRITICAL)] == post.taken


def test_without_an_address_nothing_is_sent(tmp_path):
    """And nothing is written down."""
    post = Post()

    async def scenario(notifier):
        """Offer an alert."""
        notifier.offer(Days().at(0, 960))
        await asyncio.sleep(0)

    notified(tmp_path, (), post, scenario)

    assert [] == post.taken
    assert [] == list(tmp_path.iterdir())


def test_a_folder_that_takes_nothing_stops_no_alert(tmp_path):
    """It is told in the log, and the alert is sent."""
    post, log = Post(), Lines()
    blocked = tmp_path / "file"
    blocked.write_text("")

    async def scenario(notifier):
        """Offer an alert."""
        notifier.offer(Days().at(0, 960))
        await until(lambda: log.told)

    notified(blocked, (GOOD,), post, scenario, log)

    assert [(GOOD, CRITICAL)] == post.taken
    assert log.told[0][2].startswith("What was sent is not written down: ")


def test_it_ends_at_once_while_an_address_hangs(tmp_path):
    """A thread that hangs is left behind."""
    go_on = threading.Event()
    began = threading.Event()

    def hanging(*_):
        """Hang until the test is over."""
        began.set()
        go_on.wait(10)
        return ""

    async def main():
        """Stop it while it sends."""
        notifier = Notifier((GOOD,), str(tmp_path), Lines(), hanging)
        running = asyncio.ensure_future(notifier.run())
        notifier.offer(Days().at(0, 960))
        await until(began.is_set)
        notifier.stop()
        running.cancel()
        await asyncio.wait({running}, timeout=1)
        is_done = running.done()
        go_on.set()
        return is_done

    assert asyncio.run(main())
