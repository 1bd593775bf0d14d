"""Ways to spoil a file: its bytes, its lines and fields, or, in a format that is known, with lines made up for it."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from random import Random

Mutate = Callable[[bytes, bytes, Random], bytes]  # a file, another one to take from, where chance comes from

# What has gone wrong in readers before: ends of ranges, digits that are not ASCII, other blanks and line ends.
TOKENS: Sequence[bytes] = (
    *(b"", b".", b"-", b"*", b"0", b"-0", b"1", b"-1", b"+1", b"1e9", b"nan", b"inf", b"-inf", b"1.5", b"1_0", b"0x1f"),
    *(b"2147483647", b"2147483648", b"4294967296", b"9223372036854775807", b"9223372036854775808", b"9" * 30),
    *(b"9" * 5000, b"A" * 3000, b"\xc2\xb2", b"\xd9\xa3", b"\xff", b"\xed\xa0\x80", b"\xe2\x80\xa8", b"\xef\xbb\xbf"),
    *(b"\0", b"\r", b"\n", b"\r\n", b"\x0b", b"\x0c", b"\x1c", b"\x85", b" ", b"\t", b"\t\t", b'"', b"'", b"\\", b"#"),
    *(
        b"##",
        b">",
        b";",
        b":",
        b",",
        b"=",
        b"%",
        b"%00",
        b"%ff",
        b"<",
        b"[",
        b"]",
        b"<DEL>",
        b"]c1:5]",
        b"N[c1:5[",
        b"N",
    ),
    *(
        b"c1",
        b"c2",
        b"contig1",
        b"true",
        b"True",
        b"null",
        b"{}",
        b"[]",
        b"+",
        b"?",
        b"\t" * 300,
        b"(" * 2000,
        b"[" * 2000,
    ),
)
_NUMBERS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


def spoil_bytes(data: bytes, other: bytes, random: Random) -> bytes:
    """Change, take out, put in, double or exchange a few stretches of bytes."""
    out = bytearray(data)
    for _ in range(1 + int(random.expovariate(0.7))):
        at = random.randrange(len(out) + 1)
        end = min(len(out), at + 1 + int(random.expovariate(0.1)))
        match random.randrange(9):
            case 0 if at < len(out):
                out[at] ^= 1 << random.randrange(8)
            case 1 if at < len(out):
                out[at] = random.randrange(256)
            case 2:
                del out[at:end]
            case 3:
                out[at:at] = random.randbytes(1 + random.randrange(8))
            case 4:
                out[at:at] = out[at:end] * (1 + random.randrange(3))
            case 5:
                size = random.choice((1, 2, 4, 8))
                out[at : at + size] = struct.pack("<Q", random.choice(_NUMBERS) + random.choice((-1, 0, 1)) & _ALL)[
                    :size
                ]
            case 6:
                del out[at:]
            case 7:
                start = random.randrange(len(other) + 1)
                out[at:end] = other[start : start + 1 + int(random.expovariate(0.05))]
            case _:
                start = random.randrange(len(out) + 1)
                out[at:end] = out[start : start + end - at]
    return bytes(out)


_ALL = (1 << 64) - 1


def spoil_text(
    tokens: Sequence[bytes] = (), line: Callable[[Random], bytes] | None = None, separators: bytes = b"\t;=,: \n"
) -> Mutate:
    """Return a mutation of text: of its bytes, of its fields (some become `tokens`), and of its lines.

    `line` makes up a line that the format might have.
    """
    words = (*TOKENS, *tokens, *tokens)

    def spoil(data: bytes, other: bytes, random: Random) -> bytes:
        kind = random.randrange(8)
        if kind == 0:
            return spoil_bytes(data, other, random)
        for _ in range(1 + int(random.expovariate(0.7))):
            data = (
                _spoil_lines(data, other, random, line) if kind > 4 else _spoil_field(data, random, words, separators)
            )
        return data

    return spoil


def _spoil_lines(data: bytes, other: bytes, random: Random, line: Callable[[Random], bytes] | None) -> bytes:
    lines = data.splitlines(keepends=True)
    at = random.randrange(len(lines) + 1)
    match random.randrange(7):
        case 0:
            del lines[at : at + 1]
        case 1:
            lines[at:at] = lines[at : at + 1 + random.randrange(3)]
        case 2:
            random.shuffle(lines)
        case 3:
            theirs = other.splitlines(keepends=True)
            start = random.randrange(len(theirs) + 1)
            lines[at:at] = theirs[start : start + 1 + random.randrange(4)]
        case 4:
            return data.replace(b"\n", random.choice((b"\r\n", b"\r", b"\n\n", b"")))
        case _ if line is not None:
            lines[at : at + random.randrange(2)] = [line(random) for _ in range(1 + random.randrange(3))]
        case _:
            lines[at : at + 1] = [part[: random.randrange(len(part) + 1)] for part in lines[at : at + 1]]
    return b"".join(lines)


def _spoil_field(data: bytes, random: Random, words: Sequence[bytes], separators: bytes) -> bytes:
    """Put a word in place of a field, before it, or behind it."""
    at = random.randrange(len(data) + 1)
    start, end = at, at
    while start > 0 and data[start - 1] not in separators:
        start -= 1
    while end < len(data) and data[end] not in separators:
        end += 1
    word = random.choice(words)
    match random.randrange(6):
        case 0:
            end = start
        case 1:
            start = end
        case 2:
            word = random.choice([separators[i : i + 1] for i in range(len(separators))])
            start, end = end, end + 1
        case _:
            pass
    return data[:start] + word + data[end:]
