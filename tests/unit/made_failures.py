"""Failures made in few words."""

import datetime

from portroom.model.facts.failure import FailedProcess, Failure, FailureCounts
from portroom.model.facts.snapshot import Gap, NetnsId
from portroom.model.laws.failure_counts import Tally

AT = datetime.datetime(2026, 3, 1, 12, 0, 0, 250_000, tzinfo=datetime.UTC)

HOST = NetnsId("host", 1, 4026531840, "host")

UNSEEN = Gap("trace", "a send of an unbound UDP socket is not seen", ("failures_total",))


def process(**others):
    """Return who failed."""
    known = {
        "tid": 4312,
        "pid": 4312,
        "start_time": 1000,
        "command": "gunicorn",
        "uid": 33,
        "unit": "shop.service",
        "container": None,
        "netns": "host",
        "netns_inode": 4026531840,
    }
    return FailedProcess(**known | others)


def failure(**others):
    """Return a failed connect for want of a port."""
    known = {
        "at": AT,
        "operation": "connect",
        "error": "EADDRNOTAVAIL",
        "errno": 99,
        "protocol": "tcp",
        "local_address": "10.0.0.10",
        "local_port": None,
        "remote_address": "10.0.0.20",
        "remote_port": 5432,
        "address_source": "kernel",
        "cause": "key_full",
        "process": process(),
    }
    return Failure(**known | others)


ENDED = process(
    pid=None, start_time=None, command=None, uid=None, unit=None, netns=None, netns_inode=None
)

BACKLOG = failure(
    error="EAGAIN",
    errno=11,
    protocol=None,
    local_address=None,
    remote_address=None,
    remote_port=None,
    address_source=None,
    cause="unix_backlog_full",
    process=process(command="php-fpm", unit=None, container="docker:3f2a", netns="docker:3f2a"),
)

BIND = failure(
    operation="bind",
    error="EADDRINUSE",
    errno=98,
    local_address="0.0.0.0",
    local_port=8080,
    remote_address=None,
    remote_port=None,
    address_source="memory",
    cause="port_taken",
    process=process(command="java", netns="web"),
)

UNKNOWN = failure(cause=None, process=ENDED, remote_address="2001:db8:12:34:56:78:9:1234")

EVERY = (failure(), BACKLOG, BIND, UNKNOWN)


def counts(failures=EVERY, *, times=1, gaps=(UNSEEN,), omitted=0, lost=0):
    """Return the counts of some failures, each seen so many times."""
    tally = Tally()
    for one in failures:
        for _ in range(times):
            tally.add(one, exhausted=one.errno == 99)
    return FailureCounts(
        host="web1",
        taken_at=AT + datetime.timedelta(seconds=30),
        netns=HOST,
        gaps=tuple(gaps),
        since=AT,
        failures_total=tally.failures_total,
        exhausted_total=tally.exhausted_total,
        lost_events=lost,
        counts=tally.counts(),
        counts_omitted=tally.counts_omitted + omitted,
    )
