"""Every setting of the table is read below a given root, and typed."""

import pytest

from portroom.errors import KernelDataError, NotSupportedError
from portroom.kernel.settings import read_settings
from portroom.model.facts.ports import PortRange, PortSet
from portroom.model.facts.settings import SETTINGS


def write_sysctls(root, values):
    """Write *values*, text by sysctl key, below *root* as proc has them."""
    for key, text in values.items():
        path = root / "sys" / key.replace(".", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_settings_are_typed(tmp_path):
    """
    A range, a set of ports and a number come back as such.
    """
    write_sysctls(
        tmp_path,
        {
            "net.ipv4.ip_local_port_range": "40000\t40009\n",
            "net.ipv4.ip_local_reserved_ports": "40003,50000-50009\n",
            "net.ipv4.tcp_tw_reuse": "2\n",
            "fs.file-max": "9223372036854775807\n",
        },
    )

    settings = read_settings(str(tmp_path))

    assert PortRange(40000, 40009) == settings.ephemeral
    assert PortSet.parse("40003,50000-50009") == settings.reserved
    assert 2 == settings.number("net.ipv4.tcp_tw_reuse", 0)
    assert 2**63 - 1 == settings.number("fs.file-max", 0)


def test_a_setting_that_does_not_exist_is_absent(tmp_path):
    """
    What this kernel does not have is left out, and is never a default.
    """
    write_sysctls(tmp_path, {"net.ipv4.ip_local_port_range": "32768\t60999\n"})

    assert ["net.ipv4.ip_local_port_range"] == list(read_settings(str(tmp_path)).values)


def test_without_a_range_there_are_no_settings(tmp_path):
    """
    A proc without sysctls is said to be that, with what to do.
    """
    with pytest.raises(NotSupportedError, match="ip_local_port_range does not exist"):
        read_settings(str(tmp_path))


def test_garbage_is_named_by_its_key(tmp_path):
    """
    A value of another type is an error that names the sysctl and quotes it.
    """
    write_sysctls(
        tmp_path,
        {"net.ipv4.ip_local_port_range": "32768\t60999\n", "net.ipv4.tcp_tw_reuse": "maybe\n"},
    )

    with pytest.raises(KernelDataError) as caught:
        read_settings(str(tmp_path))

    assert r"net.ipv4.tcp_tw_reuse: expected a number, got 'maybe\n'." == str(caught.value)


def test_keys_are_read_in_the_order_of_the_table(tmp_path):
    """
    Settings keep the order of the table, whatever the order on disk.
    """
    texts = {"range": "1\t2\n", "ports": "\n", "number": "7\n"}
    write_sysctls(tmp_path, {row.key: texts[row.type.value] for row in reversed(SETTINGS)})

    assert [row.key for row in SETTINGS] == list(read_settings(str(tmp_path)).values)
