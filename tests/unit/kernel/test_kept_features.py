"""Features that were kept are believed if they are of this boot, and of root or oneself."""

import os

import pytest

from portroom.errors import KernelDataError, NotPermittedError
from portroom.kernel.kept_features import ask_features, read_kept_features
from portroom.render.document import as_json


@pytest.fixture(name="kept")
def _kept(tmp_path):
    """Return the path of a file as `portroom features --keep` writes it."""
    path = tmp_path / "features.json"
    path.write_text(as_json(ask_features()))
    path.chmod(0o644)
    return path


def test_what_was_kept_is_what_the_kernel_answered(kept):
    """The daemon goes by it as if it had asked itself."""
    assert ask_features().features == read_kept_features(str(kept))


def test_what_is_of_another_boot_is_not_believed(kept):
    """After a boot the kernel may be another one."""
    kept.write_text(kept.read_text().replace(ask_features().boot_id, "0" * 36))

    with pytest.raises(KernelDataError, match="of another boot"):
        read_kept_features(str(kept))


@pytest.mark.parametrize("mode", [0o664, 0o646])
def test_what_others_may_write_is_not_believed(kept, mode):
    """It decides how many ports are said to be free."""
    kept.chmod(mode)

    with pytest.raises(NotPermittedError, match="may be written by others"):
        read_kept_features(str(kept))


@pytest.mark.parametrize("content", ["", "{}", '{"boot_id": 7, "features": []}', "\x1b[31m"])
def test_another_file_is_told_with_what_it_holds(kept, content):
    """One sentence, quoted."""
    kept.write_text(content)

    with pytest.raises(KernelDataError, match="expected what `portroom features --keep` writes"):
        read_kept_features(str(kept))


def test_a_fifo_or_a_link_is_not_waited_for(tmp_path, kept):
    """Neither blocks the daemon, nor leads it elsewhere."""
    fifo, link = tmp_path / "fifo", tmp_path / "link"
    os.mkfifo(fifo, 0o644)
    link.symlink_to(kept)

    with pytest.raises(NotPermittedError, match="is a FIFO"):
        read_kept_features(str(fifo))
    with pytest.raises(OSError, match="symbolic links"):
        read_kept_features(str(link))
