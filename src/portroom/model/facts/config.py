"""The configuration of the daemon: one table of keys, and their values as types.

Rules of this file:

- a key is a row of KEYS and a field of its section, and nowhere else: options,
  checks and the reference of the documentation are made from the table;
- values are in the units of the field's name; how they are written is the kind's
  (``model.laws.config``).
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

DURATION, SIZE, RATIO, SWITCH, COUNT, TEXT, TEXTS = (
    "duration",
    "size",
    "ratio",
    "switch",
    "count",
    "text",
    "texts",
)
KINDS = (DURATION, SIZE, RATIO, SWITCH, COUNT, TEXT, TEXTS)
"""``10s``/``5m``/``48h``/``30d``/``2y`` · ``256MiB`` · 0…1 · true/false · 20 · "…" · ["…"]."""

DAY_S = 86_400.0
PORT = 9765


class Serve(msgspec.Struct, frozen=True, kw_only=True):
    """What is sampled and who may ask."""

    listen: tuple[str, ...] = (f"127.0.0.1:{PORT}", f"[::1]:{PORT}")
    interval_s: float = 10.0
    full_interval_s: float = 300.0
    all_netns: bool = False
    most_netns: int = 200
    keys: int = 100
    hosts: tuple[str, ...] = ()
    token_file: str = ""
    features_file: str = ""
    log: str = "text"


class HistoryKept(msgspec.Struct, frozen=True, kw_only=True):
    """How long what was seen is remembered."""

    file: str = ""
    raw_s: float = 2 * DAY_S
    minute_s: float = 30 * DAY_S
    hour_s: float = 730 * DAY_S
    most_bytes: int = 256 << 20
    keys: int = 20


class Recorder(msgspec.Struct, frozen=True, kw_only=True):
    """Full Snapshots around every crossing of a threshold."""

    enabled: bool = True
    keep: int = 50
    most_bytes: int = 256 << 20
    after: int = 3


class OwnersKept(msgspec.Struct, frozen=True, kw_only=True):
    """Who left the TIME_WAITs."""

    enabled: bool = True
    most_work_ratio: float = 0.0025


class Metrics(msgspec.Struct, frozen=True, kw_only=True):
    """What is told to Prometheus."""

    destinations: bool = False
    most_destinations: int = 50


class Alerts(msgspec.Struct, frozen=True, kw_only=True):
    """When somebody is told, and how."""

    notify: tuple[str, ...] = ()
    notify_file: str = ""
    half_ratio: float = 0.5
    warning_ratio: float = 0.8
    critical_ratio: float = 0.95
    clear_ratio: float = 0.05
    for_s: float = 30.0
    forecast_s: float = 900.0
    repeat_s: float = 4 * 3600.0
    least_severity: str = "warning"
    drift: bool = True
    collision: bool = True


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """All of it; each part by the name of its section in the file."""

    serve: Serve = Serve()
    history: HistoryKept = HistoryKept()
    recorder: Recorder = Recorder()
    owners: OwnersKept = OwnersKept()
    metrics: Metrics = Metrics()
    alerts: Alerts = Alerts()


class ConfigKey(NamedTuple):
    """
    A key: its section and name in the file, its field, kind, bounds and meaning.

    ``least`` and ``most`` are both included, in the field's unit; None is no bound.
    ``words`` are all that a text may be, none for any.
    """

    section: str
    name: str
    field: str
    kind: str
    meaning: str
    least: float | None = None
    most: float | None = None
    words: tuple[str, ...] = ()
    reloads: bool = True


LEAST_RATIO = 0.5
"""The least threshold: below half of a key nobody looks, so nothing could be told."""

KEYS: tuple[ConfigKey, ...] = (
    ConfigKey(
        "serve", "listen", "listen", TEXTS, "Addresses and ports to answer on.", reloads=False
    ),
    ConfigKey("serve", "interval", "interval_s", DURATION, "Time from sample to sample.", 1, 3600),
    ConfigKey(
        "serve",
        "full_interval",
        "full_interval_s",
        DURATION,
        "Time between samples of every socket, with settings and findings.",
        10,
        DAY_S,
    ),
    ConfigKey("serve", "all_netns", "all_netns", SWITCH, "Sample every network namespace."),
    ConfigKey("serve", "most_netns", "most_netns", COUNT, "Namespaces sampled at most.", 1, 10_000),
    ConfigKey("serve", "keys", "keys", COUNT, "Keys kept of each sample.", 10, 1000),
    ConfigKey(
        "serve", "hosts", "hosts", TEXTS, "Names by which the host may be asked, beside its own."
    ),
    ConfigKey(
        "serve",
        "token_file",
        "token_file",
        TEXT,
        "File with the token for other addresses than loopback; made if it is missing.",
        reloads=False,
    ),
    ConfigKey(
        "serve",
        "features_file",
        "features_file",
        TEXT,
        "File of `portroom features --keep`, by who may ask; empty asks the kernel itself.",
        reloads=False,
    ),
    ConfigKey("serve", "log", "log", TEXT, "Form of the log.", words=("text", "json")),
    ConfigKey(
        "history",
        "file",
        "file",
        TEXT,
        "The database; empty for the state folder.",
        reloads=False,
    ),
    ConfigKey("history", "raw", "raw_s", DURATION, "How long every sample is kept.", 60),
    ConfigKey("history", "minute", "minute_s", DURATION, "How long minutes are kept.", 60),
    ConfigKey("history", "hour", "hour_s", DURATION, "How long hours are kept.", 3600),
    ConfigKey("history", "most_size", "most_bytes", SIZE, "Size of the database at most.", 1 << 20),
    ConfigKey("history", "keys", "keys", COUNT, "Keys remembered of each sample.", 1, 100),
    ConfigKey("recorder", "enabled", "enabled", SWITCH, "Keep Snapshots around a crossing."),
    ConfigKey("recorder", "keep", "keep", COUNT, "Snapshots kept at most.", 1, 10_000),
    ConfigKey("recorder", "most_size", "most_bytes", SIZE, "Their size at most.", 1 << 20),
    ConfigKey("recorder", "after", "after", COUNT, "Snapshots kept after a crossing.", 0, 100),
    ConfigKey("owners", "enabled", "enabled", SWITCH, "Remember who left the TIME_WAITs."),
    ConfigKey(
        "owners",
        "most_work",
        "most_work_ratio",
        RATIO,
        "Part of one core that looking for owners may take.",
        0.0001,
        0.5,
    ),
    ConfigKey("metrics", "destinations", "destinations", SWITCH, "Addresses as labels of metrics."),
    ConfigKey(
        "metrics",
        "most_destinations",
        "most_destinations",
        COUNT,
        "Distinct destinations a day as labels; the rest is told as other.",
        1,
        50,
    ),
    ConfigKey("alerts", "notify", "notify", TEXTS, "Where alerts go: addresses of Apprise."),
    ConfigKey(
        "alerts", "notify_file", "notify_file", TEXT, "File with such addresses, one a line."
    ),
    ConfigKey("alerts", "half", "half_ratio", RATIO, "Occupancy told as info.", LEAST_RATIO, 1),
    ConfigKey("alerts", "warning", "warning_ratio", RATIO, "Occupancy that warns.", LEAST_RATIO, 1),
    ConfigKey(
        "alerts", "critical", "critical_ratio", RATIO, "Occupancy that is critical.", LEAST_RATIO, 1
    ),
    ConfigKey(
        "alerts",
        "clear",
        "clear_ratio",
        RATIO,
        "How far below its threshold an occupancy has to fall before the alert ends.",
        0,
        0.5,
    ),
    ConfigKey("alerts", "for", "for_s", DURATION, "How long it has to last.", 0, 3600),
    ConfigKey("alerts", "forecast", "forecast_s", DURATION, "How far ahead to warn.", 0, DAY_S),
    ConfigKey("alerts", "repeat", "repeat_s", DURATION, "When to tell again what lasts.", 60),
    ConfigKey(
        "alerts",
        "least_severity",
        "least_severity",
        TEXT,
        "What is sent: this severity and those above.",
        words=("info", "warning", "critical"),
    ),
    ConfigKey("alerts", "drift", "drift", SWITCH, "Warn of drift."),
    ConfigKey("alerts", "collision", "collision", SWITCH, "Warn of listeners inside the range."),
)
