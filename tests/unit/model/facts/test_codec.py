"""A Snapshot file: read back it answers the same; anything else is one sentence."""

import contextlib
import json
import zlib

import jsonschema
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as some

from portroom.errors import KernelDataError
from portroom.model.facts import codec
from portroom.model.facts.codec import decode, encode, encode_json, schema
from portroom.model.facts.document import FORMAT, FORMAT_VERSION, PackedPorts
from portroom.model.facts.ports import PortSet
from portroom.model.facts.saved import PARTS, as_document
from portroom.model.facts.snapshot import (
    Counters,
    Gap,
    Groups,
    KeyOwners,
    Owners,
    Route,
    Rows,
)
from portroom.model.facts.sockets import (
    Family,
    Kind,
    Operation,
    Owner,
    Protocol,
    TcpState,
)
from portroom.model.laws.headroom import KeysWanted, as_key, find_keys
from tests.unit.made_boot import FULL_WITH_TUNED
from tests.unit.made_groups import (
    ANY_FEATURES,
    ANY_SETTINGS,
    any_groups,
    group_key,
    inbound,
    listener,
    settings,
    snapshot,
    table,
)

WHERE = "/tmp/saved"
HOSTILE = "evil\x1b[2J\n\u202e"
OWNER = Owner(4711, 99_000, HOSTILE, 33, "nginx.service", None, 3)


def full():
    """Return a Snapshot with every part."""
    groups = Groups(
        (
            table(40001, 40000),
            table(40002),
            table(40003, 40004, state=TcpState.TIME_WAIT, remaining_ms=(59_000, 1)),
            table(40005, kind=Kind.NO_PORT, local="2001:db8::1", remote=("2001:db8::2", 443)),
            table(5356, 5356, protocol=Protocol.UDP, remote=("0.0.0.0", 0), state=TcpState.CLOSE),
            listener(40009, "::", v6only=False),
        ),
        (inbound(40009, 1_000_000),),
        interrupted=True,
        active={(2, group_key()): frozenset({40000, 40002})},
    )
    return msgspec.structs.replace(
        snapshot(groups, settings(reserved="40007", tcp_tw_reuse=2)),
        rows=Rows(
            [Protocol.TCP, Protocol.UDP],
            [Family.IPV4, Family.IPV6],
            [TcpState.ESTABLISHED, TcpState.CLOSE],
            ["192.0.2.1", "::"],
            [40000, 5353],
            ["198.51.100.1", "::"],
            [443, 0],
            [0, 1],
            [2**32 - 1, 0],
            [33, 0],
            [4026, 0],
            [0, 2],
        ),
        owners=Owners(
            (KeyOwners(Protocol.TCP, Family.IPV4, group_key(), (OWNER,), 2),),
            {4026: (OWNER,)},
            complete=False,
        ),
        counters=Counters(*range(15)),
        routes=(Route("198.51.100.1", "192.0.2.1", 2),),
        boot=FULL_WITH_TUNED,
        users={33: "www-data"},
        gaps=(Gap("sock_diag", "for the test", ("keys",)),),
    )


def answers(taken):
    """Return every key of a Snapshot."""
    wanted = KeysWanted(), KeysWanted(operation=Operation.BIND0)
    return [key for one in wanted for key in map(as_key, find_keys(taken, one).measured)]


@given(any_groups(), ANY_SETTINGS, ANY_FEATURES)
def test_any_snapshot_comes_back_whole(groups, of, features):
    """The same answers in the same order, and the same bytes when saved again."""
    taken = snapshot(groups, of, features)
    content = encode(taken)
    again = decode(content, WHERE)

    assert answers(taken) == answers(again)
    assert content == encode(again)


def test_every_part_comes_back():
    """Each part is what it was; groups of one key are one group."""
    taken, again = full(), decode(encode(full()), WHERE)

    for name in taken.__struct_fields__:
        if name != "groups":
            assert getattr(taken, name) == getattr(again, name), name
    assert as_document(taken) == as_document(again)
    assert answers(taken) == answers(again)


def test_groups_with_one_key_lose_no_port():
    """v4-mapped and plain sockets are two tables with one key: a file has both."""
    again = decode(encode(full()), WHERE)
    ports = sorted(
        port
        for one in again.groups.tables
        if one.state is TcpState.ESTABLISHED
        for port in one.ports.get(group_key(), ())
    )

    assert [40000, 40001, 40002] == ports
    assert {(2, group_key()): frozenset({40000, 40002})} == again.groups.active


def test_times_stay_with_their_ports():
    """Sorting the ports moves the remaining times along."""
    taken = snapshot(
        Groups((table(9, 7, 8, state=TcpState.TIME_WAIT, remaining_ms=(90, 70, 80)),), ()),
        settings(),
    )
    (group,) = as_document(taken).groups.groups

    assert [7, 8, 9] == list(group.ports.ports)
    assert [70, 80, 90] == group.remaining_ms


def test_a_part_that_was_not_read_keeps_its_gap():
    """A Gap is saved with its words, and never becomes a part."""
    taken = snapshot(Gap("groups", "for the test", ("keys",)), settings())
    again = decode(encode(taken), WHERE)

    assert {name: getattr(taken, name) for name in PARTS} == {
        name: getattr(again, name) for name in PARTS
    }


@given(some.lists(some.integers(0, 65535), max_size=50))
def test_packed_ports_are_big_endian_pairs_of_bytes(ports):
    """Numbers to bytes and back, in any order; the text is the canonical one."""
    packed = PackedPorts.of(ports)

    assert b"".join(port.to_bytes(2, "big") for port in ports) == packed.packed
    assert ports == list(packed.ports)
    assert str(PortSet.of(ports)) == str(packed)
    assert packed == PackedPorts(packed.packed)
    assert hash(packed) == hash(PackedPorts(packed.packed))
    assert packed != ports


def test_saved_ports_are_sorted_pairs_of_big_endian_bytes():
    """In a file the ports of each group ascend, 16 bits each, the high byte first."""
    document = msgspec.msgpack.decode(inflated(encode(full())))
    packed = [group["ports"] for group in document["groups"]["groups"]]

    assert bytes.fromhex("9c409c419c42") in packed
    assert all(
        pairs == sorted(pairs)
        for pairs in ([one[at : at + 2] for at in range(0, len(one), 2)] for one in packed)
    )


def inflated(content):
    """Return the parts of a file, uncompressed."""
    return zlib.decompress(content.partition(b"\n")[2])


def test_json_has_the_published_schema():
    """The JSON form is valid, with ports as canonical text."""
    document = json.loads(encode_json(full()))
    jsonschema.validate(document, schema())
    ports = [group["ports"] for group in document["groups"]["groups"]]

    assert "40000-40002" in ports


def test_the_first_line_tells_what_it_is():
    """Anybody can read it, and it tells how long the rest is."""
    line, _, parts = encode(full()).partition(b"\n")
    header = json.loads(line)

    assert (FORMAT, FORMAT_VERSION) == (header["format"], header["format_version"])
    assert ("web-1.example", len(parts)) == (header["host"], header["compressed_bytes"])


def refusal(content):
    """Return the sentence with which a file is refused."""
    with pytest.raises(KernelDataError) as caught:
        decode(content, WHERE)
    message = str(caught.value)
    assert message.startswith(f"{WHERE}: ")
    assert message.isprintable()
    return message


def test_a_file_cut_at_any_length_is_refused():
    """Each beginning of a file, however long, is one sentence."""
    content = encode(full())
    first_line = content.index(b"\n")

    for length in range(len(content)):
        wanted = "no Snapshot of portroom" if length <= first_line else "cut short"
        assert wanted in refusal(content[:length]), length


@given(some.data())
def test_flipped_bits_are_refused_or_harmless(data):
    """Wrong bits are damage; only words of the first line that nobody reads may differ."""
    content = bytearray(CONTENT)
    for place in data.draw(some.sets(some.integers(0, len(content) * 8 - 1), min_size=1)):
        content[place // 8] ^= 1 << place % 8
    with contextlib.suppress(KernelDataError):
        assert encode(decode(bytes(content), WHERE)) == CONTENT


CONTENT = encode(full())


@given(some.binary(max_size=300))
def test_foreign_bytes_are_refused(content):
    """A file that is none of ours is named so."""
    assert "no Snapshot of portroom" in refusal(content)


@pytest.mark.parametrize("content", [b"", b"\n", b"{}\n", b"[1]\n", b"\x00" * 100_000 + b"\n"])
def test_files_that_are_no_snapshot(content):
    """Nothing, another JSON, a line without end."""
    assert "it begins with" in refusal(content)


def headed(parts, **changes):
    """Return a file with these parts, and changes in its first line."""
    header = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "host": "h",
        "taken_at": "t",
        "compressed_bytes": len(parts),
        **changes,
    }
    return json.dumps(header).encode() + b"\n" + parts


def test_another_format_is_named():
    """A file of another program that looks like ours is quoted."""
    assert "no Snapshot of portroom but 'other'" in refusal(headed(b"", format="other"))


def test_a_newer_version_says_what_to_do():
    """What a later portroom wrote is not guessed at."""
    message = refusal(headed(b"", format_version=FORMAT_VERSION + 1))

    assert f"format version {FORMAT_VERSION + 1}" in message
    assert "Use the newer portroom" in message


@pytest.mark.parametrize("size", [-1, 0, 5, 2**70])
def test_a_wrong_size_in_the_first_line_is_damage(size):
    """However large or small it is."""
    refusal(headed(inflated(CONTENT), compressed_bytes=size))


def test_a_zip_bomb_is_not_unpacked():
    """Parts that would not fit are damage as soon as the limit is reached."""
    bomb = zlib.compress(bytes(10_000_000))

    with pytest.raises(ValueError, match="do not end where they should"):
        codec._inflate(bomb, 1_000_000)


def changed(change):
    """Return a whole file in which *change* was made to the parts."""
    document = msgspec.msgpack.decode(inflated(CONTENT))
    change(document)
    return headed(zlib.compress(msgspec.msgpack.encode(document)))


def set_group(**values):
    """Return a change of the first group with times."""

    def change(document):
        """Change it."""
        group = next(one for one in document["groups"]["groups"] if one.get("remaining_ms"))
        group.update(values)

    return change


NONSENSE = {
    "unknown state": set_group(state="DREAMING"),
    "unknown family": set_group(family=7),
    "no address": set_group(local_address="localhost"),
    "address of another family": set_group(local_address="::1"),
    "port too large": set_group(remote_port=65536),
    "negative device": set_group(device=-1),
    "half a port": set_group(ports=b"\x9c"),
    "ports as text": set_group(ports="40000"),
    "more times than ports": set_group(remaining_ms=[1, 2, 3]),
    "the same group twice": lambda document: document["groups"]["groups"].append(
        document["groups"]["groups"][0]
    ),
    "settings without a range": lambda document: document.update(settings=[]),
    "a range upside down": lambda document: document["settings"][0].update(value="2 1"),
    "a range of one": lambda document: document["settings"][0].update(value="1"),
    "reserved nonsense": lambda document: document["settings"][1].update(value="a-b"),
    "a scope that is none": lambda document: document["groups"].update(scope="all"),
    "columns of several lengths": lambda document: document["rows"]["uid"].append(0),
    "a row with no address": lambda document: document["rows"]["local_address"].__setitem__(0, "?"),
    "an inbound port that is none": lambda document: document["groups"]["inbound"][0].update(
        local_port=70000
    ),
    "fewer than no sockets": lambda document: document["groups"]["inbound"][0].update(sockets=-1),
    "a part of another type": lambda document: document.update(counters=[1, 2]),
    "no host": lambda document: document.pop("host"),
}


@pytest.mark.parametrize("change", NONSENSE.values(), ids=NONSENSE)
def test_a_file_that_tells_what_cannot_be_is_damaged(change):
    """Values that would break an answer later are refused when the file is read."""
    assert ": damaged: " in refusal(changed(change))


def test_a_field_of_a_later_portroom_is_passed_over():
    """Additions do not change the version, so they are no damage."""
    content = changed(lambda document: document.update(weather="fine"))

    assert answers(full()) == answers(decode(content, WHERE))
