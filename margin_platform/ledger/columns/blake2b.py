"""BLAKE2b (RFC 7693) without a key, compiled: digests of many short texts at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from margin_platform.kernel.sweep.compiled import inlined, kernel

Bytes = NDArray[np.uint8]
Words = NDArray[np.uint64]

_BLOCK = 128  # bytes that are mixed in together
_START = np.array(
    [
        0x6A09E667F3BCC908,
        0xBB67AE8584CAA73B,
        0x3C6EF372FE94F82B,
        0xA54FF53A5F1D36F1,
        0x510E527FADE682D1,
        0x9B05688C2B3E6C1F,
        0x1F83D9ABFB41BD6B,
        0x5BE0CD19137E2179,
    ],
    dtype=np.uint64,
)
_ORDERS = (
    (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15),
    (14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3),
    (11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4),
    (7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8),
    (9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13),
    (2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9),
    (12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11),
    (13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10),
    (6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5),
    (10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0),
)
_ROUNDS = np.array([*_ORDERS, *_ORDERS[:2]], dtype=np.uint8)  # which words of a block each round mixes in
_OF_SIZE = np.uint64(0x01010000)  # a digest without a key; its size is added
_ALL = np.uint64(0xFFFFFFFFFFFFFFFF)
_WIDTH = np.uint64(64)


@inlined
def _turned(word: np.uint64, by: int) -> np.uint64:
    right = np.uint64(by)
    return (word >> right) | (word << (_WIDTH - right))


@inlined
def _mixed(
    a: np.uint64, b: np.uint64, c: np.uint64, d: np.uint64, x: np.uint64, y: np.uint64
) -> tuple[np.uint64, np.uint64, np.uint64, np.uint64]:
    a = a + b + x
    d = _turned(d ^ a, 32)
    c = c + d
    b = _turned(b ^ c, 24)
    a = a + b + y
    d = _turned(d ^ a, 16)
    c = c + d
    return a, _turned(b ^ c, 63), c, d


@kernel
def _mix_in(block: Words, state: Words, count: int, is_last: bool) -> None:
    """Mix a block into the state: 16 words, of a text of so many bytes up to here."""
    v0, v1, v2, v3 = state[0], state[1], state[2], state[3]
    v4, v5, v6, v7 = state[4], state[5], state[6], state[7]
    v8, v9, v10, v11 = _START[0], _START[1], _START[2], _START[3]
    v12, v13, v14, v15 = _START[4], _START[5], _START[6], _START[7]
    v12 ^= np.uint64(count)
    if is_last:
        v14 ^= _ALL
    for n in range(len(_ROUNDS)):
        m = _ROUNDS[n]
        v0, v4, v8, v12 = _mixed(v0, v4, v8, v12, block[m[0]], block[m[1]])
        v1, v5, v9, v13 = _mixed(v1, v5, v9, v13, block[m[2]], block[m[3]])
        v2, v6, v10, v14 = _mixed(v2, v6, v10, v14, block[m[4]], block[m[5]])
        v3, v7, v11, v15 = _mixed(v3, v7, v11, v15, block[m[6]], block[m[7]])
        v0, v5, v10, v15 = _mixed(v0, v5, v10, v15, block[m[8]], block[m[9]])
        v1, v6, v11, v12 = _mixed(v1, v6, v11, v12, block[m[10]], block[m[11]])
        v2, v7, v8, v13 = _mixed(v2, v7, v8, v13, block[m[12]], block[m[13]])
        v3, v4, v9, v14 = _mixed(v3, v4, v9, v14, block[m[14]], block[m[15]])
    state[0] ^= v0 ^ v8
    state[1] ^= v1 ^ v9
    state[2] ^= v2 ^ v10
    state[3] ^= v3 ^ v11
    state[4] ^= v4 ^ v12
    state[5] ^= v5 ^ v13
    state[6] ^= v6 ^ v14
    state[7] ^= v7 ^ v15


@kernel
def digest(text: Bytes, size: int, digest_size: int, block: Words, state: Words) -> None:
    """Leave in the state, 8 words, the digest of the first bytes of a text; block: room, 16 words."""
    for k in range(len(state)):
        state[k] = _START[k]
    state[0] ^= _OF_SIZE | np.uint64(digest_size)
    done = 0
    while True:
        more = min(_BLOCK, size - done)
        for k in range(len(block)):
            block[k] = 0
        for k in range(more):
            block[k >> 3] |= np.uint64(text[done + k]) << np.uint64(8 * (k & 7))
        done += more
        _mix_in(block, state, done, done == size)
        if done == size:
            break
