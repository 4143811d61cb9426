"""What the daemon makes of crossings, and of namespaces that end, look after look."""

import os
import re
import shutil
import signal
from pathlib import Path

import msgspec

from portroom.api.observing import Observer
from portroom.kernel.saved_file import read_snapshot
from portroom.model.facts.config import Alerts, Config, Serve
from portroom.model.facts.sample import BELOW_HALF, FULL, IN_RANGE
from tests.e2e.faults import alone, ask, needs_root
from tests.kernel.harness import enter_new_namespace, write_settings
from tests.kernel.sockets import fill, listener, reset

SERVER = ("127.0.0.1", 9000)


def recorded(folder):
    """Return what the flight recorder kept, without numbers, times and namespaces."""
    names = sorted(one.name for one in Path(folder, "recorded").iterdir())
    return [re.sub(r"^[0-9]{8}-[^-]+-[^-]+-", "", one).removesuffix(".snapshot") for one in names]


def seen_to_fall(folder):
    """Fill most of a key, let go of all of it, and return what is kept and how deep one looked."""
    write_settings(ip_local_port_range="40000 40099")
    listener(*SERVER)
    observer = Observer(Config(), str(folder))
    observer.tick()
    filled = fill(SERVER, at_most=85)
    observer.tick()
    reset(filled.sockets)
    watched = [observer.tick() for _ in range(4)]
    files = sorted(Path(folder, "recorded").iterdir())
    snapshots = [read_snapshot(str(one)).groups is not None for one in files]
    return recorded(folder), {one.namespaces[0].sample.depth for one in watched}, snapshots


def test_what_falls_below_half_is_recorded_when_it_does(netns, tmp_path):
    """Though nobody asks for sockets then; and the Snapshots after are of after that."""
    names, depths, snapshots = netns(seen_to_fall, tmp_path)

    assert {BELOW_HALF} == depths
    assert ["before", "above-80"] == names[:2]
    assert ["below-50", *["after"] * 3] == names[-4:]
    assert all(snapshots)


def untold(folder):
    """Cross a threshold where nothing can be kept, and return what is told of it."""
    write_settings(ip_local_port_range="40000 40099")
    listener(*SERVER)
    Path(folder, "recorded").write_text("in the way")
    observer = Observer(Config(), str(folder))
    observer.tick()
    fill(SERVER, at_most=85)
    watched = observer.tick()
    Path(folder, "recorded").unlink()
    after = observer.tick()
    return [
        [gap.reason for gap in one.namespaces[0].sample.gaps if gap.source == "recorder"]
        for one in (watched, after)
    ]


def test_what_the_recorder_cannot_keep_is_told(netns, tmp_path):
    """For as long as that is so: on the page, in the log and among the metrics."""
    told, after = netns(untold, tmp_path)

    assert [True] == ["Not a directory" in one for one in told], told
    assert [] == after


def unwritten(folder):
    """Fire an alert where nothing can be written, and return what is told of it, then and after."""
    write_settings(ip_local_port_range="40000 40099")
    listener(*SERVER)
    fill(SERVER, at_most=99)
    config = msgspec.structs.replace(Config(), alerts=Alerts(for_s=0.0))
    place = Path(folder, "state")
    observer = Observer(config, str(place))
    shutil.rmtree(place)
    place.write_text("in the way")
    told = [observer.tick(), observer.tick(), observer.tick()]
    place.unlink()
    observer.close()
    return [
        (one.error, [gap.reason for gap in one.namespaces[0].sample.gaps if gap.source == "state"])
        for one in told
    ]


def test_what_cannot_be_written_is_no_sample_that_failed(netns, tmp_path):
    """It is told for as long as that is so, and the samples are as good as ever."""
    told = netns(unwritten, tmp_path)
    errors, reasons = zip(*told, strict=True)

    assert {""} == set(errors)
    assert ["alerts.json" in one for one in reasons[-1]] == [True], reasons


def held_by_two():
    """Return a child in a namespace of its own, and a child of that child."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        enter_new_namespace()
        other = os.fork()
        if other:
            os.write(writing, b"%d" % other)
        signal.pause()
    return child, int(os.read(reading, 20))


def watched_to_its_end():
    """End what holds a namespace, first one process, then the other; return what is told."""
    first, second = held_by_two()
    config = msgspec.structs.replace(Config(), serve=Serve(all_netns=True))
    folder = Path("/run/state")
    observer = Observer(config, str(folder))
    told = [observer.tick()]
    for pid in (first, second):
        os.kill(pid, signal.SIGKILL)
        # Process 1 here is this one, so that it inherits the other.
        os.waitpid(pid, 0)
        told += [observer.tick(), observer.tick()]
    return [(len(one.namespaces), one.error, dict(one.errors_total)) for one in told]


@needs_root
def test_a_namespace_that_ends_is_no_error_and_one_that_goes_on_is_found_at_once():
    """It is no sample that failed; what another process holds is sampled with the next look."""
    told = alone(watched_to_its_end)

    assert [2, 1, 2, 1, 1] == [namespaces for namespaces, _, _ in told]
    assert [("", {})] * 5 == [(error, errors) for _, error, errors in told]


def looked_at_closer(folder):
    """Fill a key, and return how deep was looked, and what is remembered of it."""
    write_settings(ip_local_port_range="40000 40099")
    listener(*SERVER)
    observer = Observer(Config(alerts=Alerts(for_s=0.0)), str(folder))
    observer.tick()
    fill(SERVER)
    depths = [observer.tick().namespaces[0].sample.depth for _ in range(3)]
    told = [one.name for one in observer.tick().namespaces[0].findings.findings]
    observer.close()
    return depths, told, ask("history", "--history", f"{folder}/history.sqlite", "-o", "json").json


def test_where_an_alert_begins_it_is_looked_closer_at_once(netns, tmp_path):
    """Findings are of then, not of five minutes before; history has the alert and one crossing."""
    depths, told, history = netns(looked_at_closer, tmp_path)
    marks = [(mark["kind"], mark["text"].split()[0]) for mark in history["marks"]]

    assert [IN_RANGE, FULL, IN_RANGE] == depths
    assert "tight_key" in told
    assert ("alert", "key_critical") in marks
    assert 1 == [kind for kind, _ in marks].count("recorded")
