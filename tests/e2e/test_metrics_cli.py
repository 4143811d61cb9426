"""`portroom metrics`, and node_exporter reading its file."""

from __future__ import annotations

import http.client
import os
import stat
import subprocess
import threading
from pathlib import Path

import pytest

from portroom.render.metric_table import METRICS, full_name
from tests.e2e.faults import ask, needs_root
from tests.kernel.harness import wait_until
from tests.kernel.sockets import connected, listener

SERVER = ("127.0.0.1", 9000)
RANGE = "40000 40099"
EXPORTER = ("127.0.0.1", 9100)


def series(text):
    """Return the value of each series of an exposition."""
    lines = (line for line in text.splitlines() if line and not line.startswith("#"))
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


def listing(folder):
    """Return the names in a folder."""
    return sorted(path.name for path in folder.iterdir())


def test_metrics_say_what_headroom_says(netns):
    """The same figures from the same kernel, and addresses only if they are wanted."""

    def job():
        """Connect some, and ask twice."""
        listener(*SERVER)
        held = [connected(SERVER) for _ in range(60)]
        key = ask("headroom", "-o", "json").json["keys"][0]
        return ask("metrics"), ask("metrics", "--destinations"), key, len(held)

    plain, addressed, key, _ = netns(job, ip_local_port_range=RANGE)
    found = series(plain.answer)

    assert (0, "") == (plain.status, plain.told)
    assert key["held_ports"] == found["portroom_worst_held_ports"] == 60
    assert key["free_ports"] == found["portroom_worst_free_ports"]
    assert key["occupancy_ratio"] == found["portroom_worst_occupancy_ratio"]
    assert key["held_ports"] == found['portroom_tightest_held_ports{rank="1"}']
    assert 100 == found["portroom_eligible_ports"]
    assert "127.0.0.1" not in plain.answer
    label = '{destination="127.0.0.1:9000",protocol="tcp"}'
    assert 60 == series(addressed.answer)[f"portroom_destination_held_ports{label}"]


def test_a_saved_snapshot_gives_the_same_metrics_each_time(netns, tmp_path):
    """They are of when it was taken, and those of headroom and check of the same file."""

    def job():
        """Save a namespace with connections."""
        listener(*SERVER)
        held = [connected(SERVER) for _ in range(60)]
        return ask("snapshot", "--out", str(tmp_path / "saved")), len(held)

    netns(job, ip_local_port_range=RANGE)
    saved = ("--snapshot", str(tmp_path / "saved"))
    first, second = ask("metrics", *saved), ask("metrics", *saved)
    key = ask("headroom", *saved, "-o", "json").json["keys"][0]

    assert first == second
    found = series(first.answer)
    assert key["occupancy_ratio"] == found["portroom_worst_occupancy_ratio"] == 0.6
    assert "occupancy=0.6;" in ask("check", *saved).answer


def test_promtool_finds_no_fault():
    """`promtool check metrics` of the real program, on what this host says."""
    checked = subprocess.run(
        ["promtool", "check", "metrics"],
        input=ask("metrics", "--destinations", "--all-netns").answer.encode(),
        capture_output=True,
        check=False,
    )

    assert (0, b"", b"") == (checked.returncode, checked.stdout, checked.stderr)


class TestTextfile:
    """The file is whole at every moment, and others may read it."""

    def test_it_is_readable_and_alone(self, tmp_path):
        """Mode 0644 whatever the umask, and no draft stays beside it."""
        file = tmp_path / "portroom.prom"

        ended = ask("metrics", "--textfile", str(file), before=lambda: os.umask(0o077) and None)

        assert (0, "", "") == ended
        assert 0o644 == stat.S_IMODE(file.stat().st_mode)
        assert ["portroom.prom"] == listing(tmp_path)
        assert series(file.read_text())["portroom_samples_total"] == 1

    def test_nobody_reads_half_of_it(self, tmp_path):
        """
        While it is written again and again it always has its last line, and no other name in
        the folder ends in .prom.
        """
        file = tmp_path / "portroom.prom"
        ask("metrics", "--textfile", str(file))
        last = file.read_text().splitlines()[-1].split()[0]
        over = threading.Event()
        seen = {"names": set(), "half": 0, "files": set()}

        def read():
            """Look until it is over."""
            while not over.is_set():
                seen["names"].update(listing(tmp_path))
                seen["files"].add(file.stat().st_ino)
                seen["half"] += not file.read_text().splitlines()[-1].startswith(last)

        reader = threading.Thread(target=read)
        reader.start()
        try:
            for _ in range(3):
                assert 0 == ask("metrics", "--textfile", str(file)).status
        finally:
            over.set()
            reader.join()

        assert 0 == seen["half"]
        assert len(seen["files"]) > 1
        assert {"portroom.prom"} == {name for name in seen["names"] if name.endswith(".prom")}

    def test_what_cannot_be_read_leaves_no_old_figures(self, tmp_path):
        """The file then says that there was an error, and nothing of keys."""
        file = tmp_path / "portroom.prom"
        ask("metrics", "--textfile", str(file))

        ended = ask("metrics", "--textfile", str(file), "--netns", "there_is_none")

        found = series(file.read_text())
        assert 2 == ended.status
        assert "there_is_none" in ended.told
        assert 1 == found["portroom_missed_samples"]
        assert 1 == found['portroom_sample_errors_total{kind="InvalidRequestError"}']
        assert not [name for name in found if name.startswith(("portroom_worst", "portroom_keys"))]

    @pytest.mark.parametrize("name", ["", "folder", "missing/portroom.prom"])
    def test_what_is_no_file_is_refused(self, tmp_path, name):
        """A folder, and a name in a folder that is not there."""
        (tmp_path / "folder").mkdir()

        ended = ask("metrics", "--textfile", str(tmp_path / name))

        assert ended.status in {2, 4}
        assert 1 == ended.told.count("\n")
        assert ["folder"] == listing(tmp_path)

    @needs_root
    def test_a_full_disk_leaves_the_old_file(self, netns, tmp_path):
        """It is replaced as a whole or not at all; exit status 4."""

        def job():
            """Write once, fill the disk, and write again."""
            from tests.e2e.faults import mount, private_mounts

            private_mounts()
            mount("tmpfs", str(tmp_path), "tmpfs", options="size=64k,mode=755")
            file = tmp_path / "portroom.prom"
            ask("metrics", "--textfile", str(file))
            before = file.read_bytes()
            (tmp_path / "full").write_bytes(bytes(64 * 1024 - 12 * 1024))
            with (tmp_path / "rest").open("wb", buffering=0) as rest:
                try:
                    while True:
                        rest.write(bytes(4096))
                except OSError:
                    pass
            ended = ask("metrics", "--textfile", str(file))
            return ended, before == file.read_bytes(), listing(tmp_path)

        ended, is_same, names = netns(job)

        assert 4 == ended.status, ended
        assert is_same
        assert ["full", "portroom.prom", "rest"] == names


def test_node_exporter_tells_the_same(netns, tmp_path):
    """The real prometheus-node-exporter reads the file, and every series of it is there."""

    def job():
        """Write the file, start the exporter, and ask it as Prometheus does."""
        listener(*SERVER)
        held = [connected(SERVER) for _ in range(60)]
        written = ask("metrics", "--textfile", str(tmp_path / "portroom.prom"))
        exporter = subprocess.Popen(
            [
                "prometheus-node-exporter",
                "--collector.disable-defaults",
                "--collector.textfile",
                f"--collector.textfile.directory={tmp_path}",
                f"--web.listen-address={EXPORTER[0]}:{EXPORTER[1]}",
            ],
            stderr=subprocess.DEVNULL,
        )
        try:
            wait_until(is_there, "node_exporter answers", deadline_s=20)
            return written, scraped(), len(held)
        finally:
            exporter.kill()
            exporter.wait()

    written, text, _ = netns(job, ip_local_port_range=RANGE)
    told = series(text)
    file = series((tmp_path / "portroom.prom").read_text())

    assert 0 == written.status
    assert 0 == told["node_textfile_scrape_error"]
    assert file == {name: told[name] for name in file}
    assert 60 == told["portroom_worst_held_ports"]
    helps = [line.split()[2] for line in text.splitlines() if line.startswith("# HELP portroom")]
    assert set(helps) <= {full_name(metric) for metric in METRICS}


def is_there():
    """Say whether somebody answers at the exporter's address."""
    try:
        return scraped()
    except OSError:
        return ""


def scraped():
    """Return what node_exporter tells."""
    connection = http.client.HTTPConnection(*EXPORTER, timeout=10)
    try:
        connection.request("GET", "/metrics")
        return connection.getresponse().read().decode()
    finally:
        connection.close()


def test_the_folder_of_the_file_is_left_as_it_was(tmp_path):
    """A link is replaced, not what it leads to."""
    real = Path(tmp_path / "real")
    real.write_text("mine")
    (tmp_path / "portroom.prom").symlink_to(real)

    assert 0 == ask("metrics", "--textfile", str(tmp_path / "portroom.prom")).status
    assert "mine" == real.read_text()
    assert not (tmp_path / "portroom.prom").is_symlink()
