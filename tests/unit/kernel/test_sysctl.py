"""A sysctl is read whole, or not believed."""

import pytest

from portroom.errors import KernelDataError
from portroom.kernel.files import LARGEST_READ_BYTES
from portroom.kernel.sysctl import read_value


def test_a_value_longer_than_one_read_is_an_error(tmp_path):
    """
    A value that fills the one read is cut, and so not believed.
    """
    folder = tmp_path / "sys/net/ipv4"
    folder.mkdir(parents=True)
    (folder / "ip_local_reserved_ports").write_text("1" * (LARGEST_READ_BYTES + 1))

    with pytest.raises(KernelDataError, match="expected fewer than 1048576 bytes"):
        read_value("net.ipv4.ip_local_reserved_ports", str(tmp_path))
