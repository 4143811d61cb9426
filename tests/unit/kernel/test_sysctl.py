"""The text of a sysctl becomes a value, or an error that quotes it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portroom.errors import KernelDataError
from portroom.kernel.files import LARGEST_READ_BYTES
from portroom.kernel.sysctl import parse_number, parse_ports, parse_range, read_value
from portroom.model.facts.ports import PortRange, PortSet

PORTS = st.integers(1, 65535)


@given(st.tuples(PORTS, PORTS))
def test_a_range_survives_its_kernel_form(ports):
    """
    Parsing what the kernel prints of a range gives that range.
    """
    first, last = sorted(ports)

    assert PortRange(first, last) == parse_range(f"{first}\t{last}\n", where="range")


@given(st.sets(st.integers(0, 65535), max_size=50))
def test_a_set_of_ports_survives_its_kernel_form(ports):
    """
    Parsing what the kernel prints of a set of ports gives that set.
    """
    reserved = PortSet.of(ports)

    assert reserved == parse_ports(f"{reserved}\n", where="reserved")


@given(st.integers(-(2**31), 2**63 - 1))
def test_a_number_survives_its_kernel_form(number):
    """
    Parsing what the kernel prints of a number gives that number.
    """
    assert number == parse_number(f"{number}\n", where="number")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        "32768\n",
        "1\t2\t3\n",
        "a\tb\n",
        "60999\t32768\n",
        "0\t5\n",
        "1\t65536\n",
    ],
)
def test_what_is_no_range_is_quoted(text):
    """
    Anything but two ports, the lower first, is an error that quotes the text.
    """
    with pytest.raises(KernelDataError) as caught:
        parse_range(text, where="ip_local_port_range")

    assert f"ip_local_port_range: expected two ports, got {text!r}." == str(caught.value)


@pytest.mark.parametrize("text", ["1-", "70000", "5-4", "a", "1 2"])
def test_what_is_no_set_of_ports_is_quoted(text):
    """
    A part that is no port and no run of ports is an error that quotes it.
    """
    with pytest.raises(KernelDataError, match="reserved: no port and no run of ports"):
        parse_ports(text, where="reserved")


@pytest.mark.parametrize("text", ["", "\n", "1 2\n", "0x1\n", "yes\n"])
def test_what_is_no_number_is_quoted(text):
    """
    Anything but one decimal number is an error that quotes the text.
    """
    with pytest.raises(KernelDataError, match="tw_reuse: expected a number, got"):
        parse_number(text, where="tw_reuse")


def test_a_value_longer_than_one_read_is_an_error(tmp_path):
    """
    A value that fills the one read is cut, and so not believed.
    """
    folder = tmp_path / "sys/net/ipv4"
    folder.mkdir(parents=True)
    (folder / "ip_local_reserved_ports").write_text("1" * (LARGEST_READ_BYTES + 1))

    with pytest.raises(KernelDataError, match="expected fewer than 1048576 bytes"):
        read_value("net.ipv4.ip_local_reserved_ports", str(tmp_path))
