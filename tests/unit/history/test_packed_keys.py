"""A key comes back as it was, from as few bytes as it needs."""

import hypothesis
import hypothesis.strategies as st
import pytest

from portroom.history.packed_keys import pack, unpack
from portroom.model.facts.watched import KeyName

ADDRESSES = st.ip_addresses().map(str)
ODD = st.text(max_size=20)

KEYS = st.builds(
    KeyName,
    protocol=st.sampled_from(["tcp", "udp", "mptcp"]) | ODD,
    operation=st.sampled_from(["connect", "bind0"]) | ODD,
    local_address=ADDRESSES | ODD,
    remote_address=st.none() | ADDRESSES | ODD,
    remote_port=st.none() | st.integers(0, 65535),
    vrf=st.none() | st.text(min_size=1, max_size=15),
)


@hypothesis.given(KEYS)
def test_any_key_comes_back(key):
    """Whatever stands in it, though the kernel would never tell so."""
    assert key == unpack(pack(key))


@hypothesis.given(KEYS, KEYS)
def test_two_keys_are_never_one(one, other):
    """Different keys have different bytes, and none has none."""
    assert (one == other) == (pack(one) == pack(other))
    assert b"" not in {pack(one), pack(other)}


@hypothesis.given(st.binary(max_size=60))
def test_bytes_that_are_no_key_are_refused(content):
    """A damaged row is an error and no wrong key."""
    try:
        key = unpack(content)
    except ValueError:
        return

    assert isinstance(key, KeyName)


@pytest.mark.parametrize(("address", "size"), [("10.0.0.1", 12), ("2001:db8::1", 36)])
def test_a_key_is_small(address, size):
    """Twenty of them stand in each sample."""
    assert size == len(pack(KeyName("tcp", "connect", address, address, 443)))
