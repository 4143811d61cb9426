"""One Snapshot gives one number, whoever tells it: that is what a single way of data is for."""

import re
from http import HTTPStatus

import pytest

from portroom.api.sampling import saved_known
from portroom.api.source import Saved, open_sources
from portroom.history.store import Store
from portroom.kernel.sampling import read_instant
from portroom.model.facts.config import Config, HistoryKept
from tests.e2e.faults import ask
from tests.e2e.serving import served
from tests.kernel.harness import wait_until
from tests.kernel.sockets import connected, listener, tcp

REMOTE = ("127.0.0.1", 9000)
RANGE = "40000 40019"
HELD, DOUBTFUL, ELIGIBLE = 12, 3, 20
"""Twelve connections, three bound sockets that may or may not be in the way, of twenty ports."""

Told = tuple[int, int, float]
"""Surely held, surely free, and the occupancy ratio of the tightest key."""


@pytest.fixture(name="told", scope="module")
def _told(netns, tmp_path_factory) -> dict[str, Told]:
    """Return what each door tells of one saved Snapshot."""
    return netns(everything, tmp_path_factory.mktemp("one"), ip_local_port_range=RANGE)


def everything(folder):
    """Fill a key, save it, and ask every door."""
    listener(*REMOTE)
    for _ in range(HELD):
        connected(REMOTE)
    tcp(("127.0.0.1", 40_019))
    file = str(folder / "one.snapshot")
    assert ask("snapshot", "--out", file).status == 0
    with served(folder, "--snapshot", file) as daemon:
        daemon.wait_for("answers on")
        wait_until(lambda: daemon.get("/healthz").status == HTTPStatus.OK, "it is told")
        by_http = {
            "api headroom": of_json(daemon.get("/api/v1/headroom").json["keys"]),
            "api status": of_json(daemon.get("/api/v1/status").json["tightest"]),
            "daemon's metrics": of_metrics(daemon.get("/metrics").text),
        }
    return by_http | {
        "headroom": of_json(ask("headroom", "--snapshot", file, "-o", "json").json["keys"]),
        "status": of_json(ask("status", "--snapshot", file, "-o", "json").json["tightest"]),
        "report": of_json(ask("report", "--snapshot", file, "-o", "json").json["headroom"]["keys"]),
        "metrics": of_metrics(ask("metrics", "--snapshot", file).answer),
        "check": of_perfdata(ask("check", "--snapshot", file).answer),
        "csv": of_csv(ask("headroom", "--snapshot", file, "-o", "csv").answer),
        "history": of_history(folder, file),
    }


def of_json(keys) -> Told:
    """Return the numbers of the first key."""
    return keys[0]["held_ports"], keys[0]["free_ports"], keys[0]["occupancy_ratio"]


def of_metrics(text) -> Told:
    """Return the numbers of the worst key."""

    def value(name):
        """Return one metric."""
        (found,) = re.findall(rf"^portroom_worst_{name} (\S+)$", text, re.MULTILINE)
        return float(found)

    return int(value("held_ports")), int(value("free_ports")), value("occupancy_ratio")


def of_perfdata(line) -> Told:
    """Return the numbers of the plugin's line; what is held is what may not be free."""
    ratio = float(re.findall(r"occupancy=([\d.]+)", line)[0])
    free, most = re.findall(r"free=(\d+);;;0;(\d+)", line)[0]
    return round(ratio * int(most)), int(free), ratio


def of_csv(text) -> Told:
    """Return the numbers of the first row."""
    names, row = (line.split(",") for line in text.splitlines()[:2])
    cells = dict(zip(names, row, strict=True))
    return int(cells["held_ports"]), int(cells["free_ports"]), float(cells["occupancy_ratio"])


def of_history(folder, file) -> Told:
    """Return the numbers that are remembered of the Snapshot."""
    (source,) = open_sources(snapshot=file)
    assert isinstance(source, Saved)
    now = read_instant()
    known = saved_known(source, Config(), now)
    database = str(folder / "history.sqlite")
    store = Store(database, HistoryKept())
    assert store.add([(known.sample, known.forecasts)], now).state == "ok"
    store.close()
    lines = ask("history", "--history", database, "-o", "json").json["lines"]
    return of_json([line["moments"][0] for line in lines if line["key"]["remote_port"] == 9000])


@pytest.mark.parametrize(
    "door",
    [
        "headroom",
        "status",
        "csv",
        "report",
        "metrics",
        "check",
        "api headroom",
        "api status",
        "daemon's metrics",
        "history",
    ],
)
def test_every_door_tells_the_same(told, door):
    """Held, free and the ratio are those of `portroom headroom -o json`, to the last digit."""
    held, free, ratio = told["headroom"]

    assert (held, free, ratio) == told[door]
    assert held / ELIGIBLE == ratio
    assert HELD <= held <= ELIGIBLE - free
