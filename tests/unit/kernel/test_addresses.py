"""What is no address is refused; the rest the kernel decides."""

import pytest

from portroom.errors import InvalidRequestError
from portroom.kernel.addresses import read_address


@pytest.mark.parametrize("text", ["", "localhost", "1.2.3", "1.2.3.4:80", "::1::", "300.1.1.1"])
def test_what_is_no_address_is_refused_and_quoted(text):
    """
    Names and ports are not addresses.
    """
    with pytest.raises(InvalidRequestError) as refused:
        read_address(text)

    assert f"{text!r} is no IP address." == refused.value.message


def test_a_zone_that_is_no_device_is_refused():
    """
    The kernel would only say that there is no such device.
    """
    with pytest.raises(InvalidRequestError) as refused:
        read_address("fe80::1%none9")

    assert "No device 'none9', as in 'fe80::1%none9'." == refused.value.message
