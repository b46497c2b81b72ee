"""The Merkle tree over all chains: a proof leads each leaf to the root, and no other leaf."""

from __future__ import annotations

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from margin_platform.audit import merkle

leaves_of_a_tree = st.lists(st.binary(max_size=8), min_size=1, max_size=70).map(
    lambda texts: [merkle.leaf_hash(b"%d:" % n + text) for n, text in enumerate(texts)]
)


def by_the_rfc(leaves: list[bytes]) -> bytes:
    """MTH of RFC 6962, section 2.1, word by word:
    split at the largest power of two below the number of leaves.
    """
    if len(leaves) == 1:
        return leaves[0]
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return hashlib.sha256(b"\x01" + by_the_rfc(leaves[:k]) + by_the_rfc(leaves[k:])).digest()


@given(leaves_of_a_tree)
def test_the_root_is_that_of_the_rfc(leaves: list[bytes]) -> None:
    assert merkle.root(leaves) == by_the_rfc(leaves).hex()


@given(leaves_of_a_tree, st.data())
def test_every_change_of_the_leaves_changes_the_root(leaves: list[bytes], data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(leaves) - 1))
    without = leaves[:index] + leaves[index + 1 :]
    changed = leaves[:index] + [merkle.leaf_hash(b"another")] + leaves[index + 1 :]
    doubled = leaves + [leaves[-1]]  # known trees whose root does not change with a doubled last leaf
    roots = {merkle.root(some) for some in (leaves, without, changed, doubled)}
    assert len(roots) == 4


def test_no_leaf_passes_for_a_node() -> None:
    left, right = merkle.leaf_hash(b"a"), merkle.leaf_hash(b"b")
    assert merkle.root([left, right]) != merkle.leaf_hash(left + right).hex()
    assert merkle.root([]) == hashlib.sha256(b"").hexdigest()
