"""A recording is renewed as a whole, or not at all."""

import json
import shutil

import pytest

from tests.kernels.recordings import place, with_table
from tests.replay.recordings import DATA, KERNELS, Recording, disagreements

OLD, *_, NEWEST = KERNELS


@pytest.fixture
def data(tmp_path):
    """Return a folder with the oldest and the newest recording, and their README."""
    folder = tmp_path / "data"
    for kernel in (OLD, NEWEST):
        shutil.copytree(DATA / kernel, folder / kernel)
    shutil.copy(DATA / "README.md", folder)
    return folder


@pytest.fixture
def renewed(tmp_path):
    """Return a recording of the series of the oldest kernel, made later."""
    folder = shutil.copytree(DATA / OLD, tmp_path / "results")
    rewrite(folder / "manifest.json", {"version": later(OLD)})
    return folder


def later(kernel):
    """Return a later version of the same series."""
    return f"{kernel}9"


def rewrite(path, changed):
    """Change some members of a JSON file."""
    path.write_text(json.dumps(json.loads(path.read_text()) | changed))


def contents(folder):
    """Return all files of a folder with their content."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_a_new_recording_replaces_the_one_of_its_series(data, renewed):
    """The folder bears the new version, the old one is gone, the other series stays."""
    place(renewed, later(OLD), data)

    assert {"README.md", later(OLD), NEWEST} == {path.name for path in data.iterdir()}
    assert contents(renewed) == contents(data / later(OLD))
    assert {"data", "results"} == {path.name for path in data.parent.iterdir()}


def test_a_new_series_is_added(data, renewed):
    """A series of which there was no recording replaces none."""
    rewrite(renewed / "manifest.json", {"version": "99.1.2"})

    place(renewed, "99.1.2", data)

    assert {"README.md", OLD, NEWEST, "99.1.2"} == {path.name for path in data.iterdir()}


def test_the_readme_tells_of_the_new_recording(data, renewed):
    """Its table has a line for each folder and no other; all else stays as it was."""
    place(renewed, later(OLD), data)
    text = (data / "README.md").read_text()
    told = [line.split(" | ")[0] for line in text.splitlines() if line[2:3].isdigit()]

    assert [f"| {later(OLD)}", f"| {NEWEST}"] == told
    assert (DATA / "README.md").read_text() == with_table(text, DATA)


def test_the_readme_is_of_the_recordings_that_there_are():
    """The table in the repository is the one that would be written."""
    text = (DATA / "README.md").read_text()

    assert text == with_table(text, DATA)


def without_a_file(folder):
    """Take one file away."""
    (folder / "diag-udp6.bin").unlink()


def with_an_unknown_socket(folder):
    """Let the manifest forget a socket."""
    sockets = json.loads((folder / "manifest.json").read_text())["sockets"]
    rewrite(folder / "manifest.json", {"sockets": sockets[1:]})


def with_a_socket_too_many(folder):
    """Let the manifest tell of a socket that was never made."""
    sockets = json.loads((folder / "manifest.json").read_text())["sockets"]
    rewrite(folder / "manifest.json", {"sockets": [sockets[0], *sockets]})


def of_another_kernel(folder):
    """Let the recording be of another kernel."""
    rewrite(folder / "manifest.json", {"version": "another"})


def with_an_unknown_feature(folder):
    """Let it be unknown whether a bucket forgets."""
    rewrite(folder / "features.json", {"bucket_forgets": None})


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (without_a_file, "lacks diag-udp6.bin"),
        (with_an_unknown_socket, "not explained: Made"),
        (with_a_socket_too_many, "not listed: Made"),
        (of_another_kernel, "recorded on '.* another'"),
        (with_an_unknown_feature, "could not be asked: bucket_forgets"),
    ],
)
def test_what_cannot_be_trusted_replaces_nothing(data, renewed, spoil, reason):
    """The reason is told, and every file stays as it was."""
    before = contents(data)
    spoil(renewed)

    with pytest.raises(ValueError, match=reason):
        place(renewed, later(OLD), data)
    assert before == contents(data)


def test_a_full_dump_without_a_socket_is_told(renewed):
    """A row that the kernel did not give is named with both of its ends."""
    with_a_socket_too_many(renewed)

    (told,) = disagreements(Recording(renewed))

    assert "local_port=9000" in told
