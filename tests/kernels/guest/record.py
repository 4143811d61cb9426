"""Record what this kernel answers about a known population of sockets.

    python -m tests.kernels.guest.record FOLDER

Writes the files that ``tests/replay/data/README.md`` tells of, and compares them
with what is known of each socket: exits 1, and says which, where they disagree.

Rules of this file:

- replies are kept byte for byte, texts as they were read;
- nothing of the machine goes into a file but the name of its kernel.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from portroom.kernel.features import read_features
from tests.kernel.harness import in_namespace
from tests.kernel.sockets import accept_all, fill, listener
from tests.kernels.guest import known
from tests.kernels.guest.dumps import Reply, ask, dumps_of, many
from tests.kernels.guest.population import populate
from tests.replay.recordings import Recording, disagreements

TEXTS = tuple("tcp tcp6 udp udp6 sockstat sockstat6 netstat snmp snmp6".split())
"""Files of /proc/net, the most fleeting first."""

PRINTED = {
    "tcp": ("ss", "-Htan"),
    "tcp-extended": ("ss", "-Htane"),
    "udp": ("ss", "-Huan"),
    "summary": ("ss", "-s"),
}

SYSCTLS = (
    "ip_local_port_range",
    "ip_local_reserved_ports",
    "ip_unprivileged_port_start",
    "ip_autobind_reuse",
    "tcp_tw_reuse",
    "tcp_tw_reuse_delay",
    "tcp_timestamps",
    "tcp_fin_timeout",
    "tcp_max_tw_buckets",
    "tcp_fastopen",
    "ip_local_port_step_width",
    "tcp_ehash_entries",
    "tcp_child_ehash_entries",
)

MANY = 150
MANY_PORTS = "40000 40199"

YOUNG_S = 0.9
"""What every kernel still holds: some reuse a TIME_WAIT after a second, or within it."""

ATTEMPTS = 10


class Recorded(NamedTuple):
    """What was recorded of the known sockets; ``seconds`` is the age of the first TIME_WAIT."""

    manifest: list[dict[str, Any]]
    missing: list[str]
    replies: list[Reply]
    texts: dict[str, str]
    seconds: float


def main(folder: Path) -> int:
    """Record into a folder, say what is wrong, and return the exit status."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in record().items():
        (folder / name).write_bytes(content)
    wrong = disagreements(Recording(folder))
    sys.stderr.writelines(f"{line}\n" for line in wrong)
    return 1 if wrong else 0


def record() -> dict[str, bytes]:
    """
    Return the content of each file.

    Raises:
        RuntimeError: Chance gave two sockets one port again and again, or the machine
            is too slow.
    """
    for _ in range(ATTEMPTS):
        recorded: Recorded = in_namespace(record_known, **known.SETTINGS)
        if is_telling(recorded.manifest) and recorded.seconds < YOUNG_S:
            reply, ports = in_namespace(record_many, ip_local_port_range=MANY_PORTS)
            return files(recorded, reply, ports)
    raise RuntimeError(f"none of {ATTEMPTS} populations could be recorded")


def record_known() -> Recorded:
    """Return what the kernel tells of the known sockets, made in the present namespace."""
    made = populate()
    replies = [ask(dump) for dump in dumps_of(made.manifest)]
    texts = {f"proc-net-{name}.txt": Path(f"/proc/net/{name}").read_text() for name in TEXTS}
    seconds = time.monotonic() - made.closing_since
    printed = {f"ss-{name}.txt": output_of(command) for name, command in PRINTED.items()}
    settings = {"sysctl.json": as_json(sysctls())}
    return Recorded(made.manifest, made.missing, replies, texts | printed | settings, seconds)


def is_telling(manifest: list[dict[str, Any]]) -> bool:
    """
    Say whether each chosen port that counts for itself belongs to one socket.

    Those are the ports of UDP, and those of TCP that connect() did not choose: where
    chance lets two sockets share one, numbers of ports differ between kernels for no
    other reason.
    """
    places = Counter((one["protocol"], one["local"]["port"]) for one in manifest)
    return not any(
        places[one["protocol"], one["local"]["port"]] > 1
        for one in manifest
        if one["local"]["port"] in known.CHOSEN
        and (one["protocol"] == "udp" or known.BY_CONNECT not in one["port_from"])
    )


def record_many() -> tuple[Reply, list[int]]:
    """Return the dump of many connections, and the ports of their clients."""
    server = listener("127.0.0.1", 9000)
    clients = fill(("127.0.0.1", 9000), at_most=MANY)
    accept_all(server, MANY)
    return ask(many(MANY)), sorted(clients.ports)


def files(recorded: Recorded, reply: Reply, ports: list[int]) -> dict[str, bytes]:
    """Return the content of each file."""
    replies = [*recorded.replies, reply]
    index = {one.dump.file: one.told for one in replies}
    index[reply.dump.file]["client_ports"] = ports
    texts = recorded.texts | {
        "index.json": as_json(index),
        "manifest.json": as_json(about(recorded)),
        "features.json": as_json(msgspec.structs.asdict(read_features())),
    }
    content = {name: text.encode() for name, text in texts.items()}
    return content | {one.dump.file: b"".join(one.datagrams) for one in replies}


def about(recorded: Recorded) -> dict[str, Any]:
    """Return the manifest: the kernel, the ports, and each socket."""
    kernel = os.uname()
    return {
        "kernel": kernel.release,
        "version": kernel.version,
        "machine": kernel.machine,
        "byte_order": sys.byteorder,
        "range": known.SETTINGS["ip_local_port_range"].replace(" ", "-"),
        "reserved": known.SETTINGS["ip_local_reserved_ports"],
        "missing": recorded.missing,
        "sockets": recorded.manifest,
    }


def sysctls() -> dict[str, str | None]:
    """Return the settings of the present namespace as text, None where there is no such file."""
    found = {}
    for name in SYSCTLS:
        path = Path(f"/proc/sys/net/ipv4/{name}")
        found[f"net.ipv4.{name}"] = path.read_text() if path.exists() else None
    return found


def output_of(command: tuple[str, ...]) -> str:
    """Return what a program prints."""
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def as_json(value: object) -> str:
    """Return the text of a file."""
    return json.dumps(value, indent=1) + "\n"


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
