"""Signals wait while something is half done, and are delivered after it."""

import os
import signal

import pytest

from portroom.change.signals import held_back, stop_if_asked
from tests.kernel.harness import in_child


def send(number):
    """Send a signal to this process."""
    os.kill(os.getpid(), number)


def test_ctrl_c_waits_until_the_end():
    """
    Inside nothing is interrupted; after it, all is as always.
    """
    seen = []

    def work():
        """Be interrupted, and go on."""
        with held_back():
            send(signal.SIGINT)
            seen.append("went on")

    with pytest.raises(KeyboardInterrupt):
        work()

    assert ["went on"] == seen
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])


def test_blocks_may_be_nested():
    """
    The outermost one lets signals through.
    """
    seen = []

    def work():
        """Be interrupted further inside, and go on."""
        with held_back():
            with held_back():
                send(signal.SIGINT)
            seen.append("went on")

    with pytest.raises(KeyboardInterrupt):
        work()

    assert ["went on"] == seen


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT])
def test_whoever_asks_is_told_that_one_waits(number):
    """
    Between two steps there is time to take back.
    """

    def job():
        """Be asked to end, and ask."""
        signal.signal(number, signal.SIG_DFL)
        with held_back():
            stop_if_asked()
            send(number)
            try:
                stop_if_asked()
            except KeyboardInterrupt:
                os._exit(0 if taken(number) else 1)

    def taken(waiting):
        """Take the signal out of the queue, so that it ends nothing."""
        return signal.sigwait([waiting]) == waiting

    child = os.fork()
    if child == 0:
        job()
        os._exit(2)

    assert 0 == os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_a_signal_that_is_ignored_stops_nothing():
    """
    Under nohup a closed terminal means nothing.
    """

    def job():
        """Ignore it, and ask."""
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        with held_back():
            send(signal.SIGHUP)
            stop_if_asked()
        return "went on"

    assert "went on" == in_child(job)


def test_ctrl_z_waits_too_and_takes_nothing_back():
    """
    A process that is stopped would keep the lock; stopping is no end.
    """

    def job():
        """Be asked to stop, and go on."""
        with held_back():
            send(signal.SIGTSTP)
            stop_if_asked()
            signal.sigwait([signal.SIGTSTP])
        return "went on"

    assert "went on" == in_child(job)
