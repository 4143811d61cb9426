"""Filter programs: the bytes, and what they do when run as the kernel runs them."""

import struct

from hypothesis import given
from hypothesis import strategies as some

from portroom.kernel import bytecode
from portroom.model.facts.ports import PortRange
from portroom.model.facts.sockets import packed_address

PORTS = some.integers(0, 65535)
RANGES = some.tuples(PORTS, PORTS).map(lambda ends: PortRange(*sorted(ends)))


def run(program, *, local_port=0, remote_port=0, automatic=False, device=0):
    """Run a program as inet_diag_bc_run does; True means that the socket passes."""
    left = len(program)
    while left > 0:
        start = len(program) - left
        code, yes, no = struct.unpack_from("=BBH", program, start)
        value = struct.unpack_from("=H", program, start + 6)[0] if yes >= 8 else 0
        holds = {
            bytecode.JUMP: False,
            bytecode.LOCAL_GE: local_port >= value,
            bytecode.LOCAL_LE: local_port <= value,
            bytecode.REMOTE_GE: remote_port >= value,
            bytecode.REMOTE_LE: remote_port <= value,
            bytecode.AUTO: automatic,
            bytecode.DEVICE: program[start + 4 : start + 8] == struct.pack("=I", device),
        }[code]
        left -= yes if holds else no
    return left == 0


def test_a_single_test_has_the_bytes_that_the_kernel_took():
    """AUTO alone is one operation that rejects four bytes past the end."""
    expected = struct.pack("=BBH", 6, 4, 8)

    assert expected == bytecode.program([bytecode.automatic()])


def test_a_negated_test_jumps_over_the_rejecting_jump():
    """Not AUTO is AUTO, then a jump that always leaves the program."""
    expected = struct.pack("=BBHBBH", 6, 4, 8, 1, 4, 8)

    assert expected == bytecode.program([bytecode.unless(bytecode.automatic())])


def test_no_condition_is_no_program():
    """Without a condition every socket passes, so nothing is sent."""
    assert bytecode.program([]) == b""


def test_a_full_range_needs_no_test():
    """0-65535 is every port."""
    assert bytecode.local_ports(PortRange(0, 65535)) == ()


def test_an_ipv4_test_carries_four_bytes_and_an_ipv6_test_sixteen():
    """The operand is a host condition with any port, then the address."""
    lengths = [
        len(bytecode.local_address(*packed_address(text), prefix_bits=8).operand)
        for text in ("10.0.0.0", "2001:db8::")
    ]

    assert [8 + 4, 8 + 16] == lengths


@given(RANGES, RANGES, PORTS, PORTS, some.booleans(), some.booleans())
def test_a_program_passes_exactly_the_sockets_that_all_tests_hold_for(
    local, remote, local_port, remote_port, automatic, wanted
):
    """Ports and AUTO together mean all of them at once."""
    auto = bytecode.automatic()
    program = bytecode.program(
        [
            *bytecode.local_ports(local),
            auto if wanted else bytecode.unless(auto),
            *bytecode.remote_ports(remote),
        ]
    )
    expected = local_port in local and remote_port in remote and automatic == wanted
    passed = run(program, local_port=local_port, remote_port=remote_port, automatic=automatic)

    assert expected == passed


@given(some.integers(1, 2**32 - 1), some.integers(1, 2**32 - 1))
def test_a_device_test_compares_the_whole_index(wanted, bound):
    """A socket bound to another device does not pass."""
    program = bytecode.program([bytecode.device(wanted)])

    assert (wanted == bound) == run(program, device=bound)
