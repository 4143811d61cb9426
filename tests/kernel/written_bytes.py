"""Random bytes to write to a sysctl: nearly right, odd, wrong and hostile ones.

Every text is drawn from a ``Random`` with a given seed, so a test writes the
same bytes each time.
"""

from __future__ import annotations

from random import Random

# Where the kernel's answer may change: bounds of ports, of settings, and of types.
TURNING_POINTS = [
    *(0, 1, 2, 3, 79, 80, 255, 256, 1023, 1024, 1025, 15_000, 32_767, 32_768, 32_769),
    *(60_000, 60_001, 60_999, 61_000, 65_534, 65_535, 65_536, 99_999),
    *(
        (2**31 - 1) // ticks_per_s + over
        for ticks_per_s in (100, 250, 300, 1000)
        for over in (0, 1)
    ),
    *(2**31 - 1, 2**31, 2**31 + 1, 2**32 - 1, 2**32, 2**32 + 15_000),
    *(2**63 - 1, 2**63, 2**64 - 1, 2**64, 2**64 + 15_000, 10**19, 10**20),
]
SEPARATORS = [
    *(b" ", b"\t", b"\n", b",", b"-", b"\0", b"\r", b"\v", b"\f", b"\xa0", b":", b";"),
    *(b"", b"  ", b", ", b",,", b"--", b"\n\n", b" \r", b" \xa0", b"\xc2\xa0"),
]
ENDS = [
    *(b"", b"\n", b" ", b" \n", b" \r\n", b"\r\n", b" \xa0", b",", b"\0"),
    *(b" junk", b"junk", b" # note", b"\n15000 64000\n"),
]
NEAR_THE_PAGE = [4_000, 4_080, 4_085, 4_089, 4_090, 4_091, 4_094, 4_095, 4_096, 5_000]
SPELLINGS = ["%d"] * 12 + ["0x%x", "0X%X", "0%o", "0%d", "+%d", "-%d", "-0x%x", "%d.5", "%de3"]


def any_bytes(random: Random, held: list[int], *, is_list: bool) -> bytes:
    """
    Return bytes that somebody may write to a sysctl.

    Args:
        random: Where chance comes from.
        held: Numbers that decide what is taken; those next to them are drawn often.
        is_list: The sysctl holds a list of ports, so most texts look like one.
    """
    points = TURNING_POINTS + [number + near for number in held for near in (-1, 0, 1)] * 3
    text = _ports(random, points) if is_list else _numbers(random, points)
    text += random.choice(ENDS) if random.random() < 0.4 else b""
    for _ in range(random.choice((0, 0, 0, 0, 1, 1, 2))):
        text = _damaged(random, text, points)
    if random.random() < 0.06:
        blank = random.choice((b" ", b"\n", b"\t"))
        place = random.choice((0, len(text), text.find(b" ") + 1))
        text = text[:place] + blank * random.choice(NEAR_THE_PAGE) + text[place:]
    if len(text) > 4_095 and random.random() < 0.5:
        text = text[: random.randrange(4_090, 4_100)]
    return text


def _numbers(random: Random, points: list[int]) -> bytes:
    """Return up to three numbers, mostly with a blank between, mostly ascending."""
    count = random.choice((0, 1, 1, 1, 2, 2, 2, 2, 3))
    ports = sorted(random.randrange(65_536) for _ in range(count))
    if random.random() < 0.5:
        return b" ".join(b"%d" % port for port in ports)
    words = [_number(random, points) for _ in range(count)]
    return _joined(random, words, b" ")


def _ports(random: Random, points: list[int]) -> bytes:
    """Return a list of ports and runs, now and then longer than one write takes."""
    count = random.choice((0, 1, 2, 3, 5, 8, 8, random.choice((600, 750, 820, 1_500))))
    wild = random.random() < 0.4
    words = []
    for _ in range(count):
        first = random.randrange(65_536)
        last = min(65_535, first + random.randrange(300))
        word = b"%d" % first if random.random() < 0.7 else b"%d-%d" % (first, last)
        words.append(_number(random, points) if wild and random.random() < 3 / count else word)
    return _joined(random, words, b",")


def _number(random: Random, points: list[int]) -> bytes:
    """Return a number in one of many spellings."""
    value = random.choice(points) if random.random() < 0.5 else random.randrange(65_536)
    zeros = "0" * random.choice((0,) * 20 + (1, 2, 14, 15, 16, 17, 20, 25))
    return (zeros + random.choice(SPELLINGS) % value).encode()


def _joined(random: Random, words: list[bytes], separator: bytes) -> bytes:
    """Return *words*, mostly with *separator* between."""
    text = words[0] if words else b""
    for word in words[1:]:
        odd = random.random() < 0.5 / len(words)
        text += (random.choice(SEPARATORS) if odd else separator) + word
    return text


def _damaged(random: Random, text: bytes, points: list[int]) -> bytes:
    """Return *text* with something put in, taken out or changed at one place."""
    place = random.randrange(len(text) + 1)
    byte = bytes([random.randrange(256)])
    new = random.choice((b"", byte, _number(random, points), random.choice(SEPARATORS)))
    return text[:place] + new + text[place + random.choice((0, 1)) :]
