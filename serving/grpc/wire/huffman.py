"""The code of texts in header blocks: RFC 7541, section 5.2 and appendix B."""

from __future__ import annotations

from functools import cache, lru_cache

_DIGITS = "0123456789abcdefghijklmnopqrstu"
_LENGTHS = (
    "dnsssssssoussussssssssusssssssss6aacd68baa8b8666555666666678f6cad67777777777777777777777878djde6"
    "f56565666577666567655677777fbedskmkkmmmnmnnnnnonoomnonnnnlmnmnnomlkmmnnlnmmolmnnllmlnmnnkmmmnmmn"
    "qqkjmnmpqqqrrqopjlqrrqrollqqsrrrkoklmllnmmppooqnqrqqrrrrrsrrrrrqu"
)
"""Bits of each byte's code, and of the end's; the codes follow from them, for they ascend by length and then by byte."""
_END = 256
_CACHED_BYTES = 128


class HuffmanError(ValueError):
    """No such text."""


def decode(coded: bytes) -> bytes:
    """
    Raises:
        HuffmanError: the padding is not the beginning of the end's code, or too long; or the end is in the text.
    """
    return _known(coded) if len(coded) <= _CACHED_BYTES else _decode(coded)


def _decode(coded: bytes) -> bytes:
    moves, may_end = _automaton()
    state, text = 0, bytearray()
    for byte in coded:
        state, got = moves[state << 4 | byte >> 4]
        if got is not None:
            text.append(got)
        state, got = moves[state << 4 | byte & 15]
        if got is not None:
            text.append(got)
        if state < 0:
            raise HuffmanError
    if state not in may_end:
        raise HuffmanError
    return bytes(text)


_known = lru_cache(maxsize=1024)(_decode)


def codes() -> list[tuple[int, int]]:
    """Code and its length in bits, of each byte and of the end."""
    lengths = [_DIGITS.index(one) for one in _LENGTHS]
    made = [(0, 0)] * len(lengths)
    code = before = 0
    for symbol in sorted(range(len(lengths)), key=lambda one: (lengths[one], one)):
        code <<= lengths[symbol] - before
        before = lengths[symbol]
        made[symbol] = (code, before)
        code += 1
    return made


@cache
def _automaton() -> tuple[list[tuple[int, int | None]], frozenset[int]]:
    """What four bits do in each state: the next state (-1 for what may not be) and the byte that is complete.

    A code has at least five bits, so four bits complete one byte at most.
    """
    tree = _tree()
    moves: list[tuple[int, int | None]] = []
    for state in range(len(tree)):
        moves.extend(_move(tree, state, bits) for bits in range(16))
    # From -1 no way leads back, whatever comes: Python reads the last 16 entries for it.
    moves.extend([(-1, None)] * 16)
    return moves, frozenset(_endings(tree))


def _tree() -> list[list[int]]:
    """Both ways from each inner node: to another one, or to the byte `-1 - way`."""
    tree = [[0, 0]]
    for symbol, (code, length) in enumerate(codes()):
        node = 0
        for place in range(length - 1, 0, -1):
            bit = code >> place & 1
            if not tree[node][bit]:
                tree.append([0, 0])
                tree[node][bit] = len(tree) - 1
            node = tree[node][bit]
        tree[node][code & 1] = -1 - symbol
    return tree


def _move(tree: list[list[int]], state: int, bits: int) -> tuple[int, int | None]:
    got = None
    for place in (3, 2, 1, 0):
        way = tree[state][bits >> place & 1]
        if way == -1 - _END:
            return -1, None
        if way < 0:
            got, way = -1 - way, 0
        state = way
    return state, got


def _endings(tree: list[list[int]]) -> list[int]:
    """Where a text may end: up to seven ones into the end's code."""
    found, node = [0], 0
    for _ in range(7):
        node = tree[node][1]
        found.append(node)
    return found
