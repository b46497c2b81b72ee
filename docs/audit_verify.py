"""Verify a file of `margin audit export` without the platform: python audit_verify.py EXPORT [PUBLIC_KEY.pem]

Needs `cryptography`. Exit 1 where something does not hold. Default key: the one beside a signature.
"""

import hashlib
import json
import sys
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

CALL, ORDER = ("call_id", "call", "evidence", "evidence"), ("order_id", "order", "event", "order")


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def root(heads):
    """Return the Merkle root of RFC 6962, section 2.1, over [account, entries, hash] in order of account."""
    texts = [json.dumps(heads[a], separators=(",", ":"), ensure_ascii=False) for a in sorted(heads)]
    level = [sha256(b"\x00", text.encode()) for text in texts] or [sha256()]
    while len(level) > 1:
        pairs = [sha256(b"\x01", *level[i : i + 2]) for i in range(0, len(level) - 1, 2)]
        level = pairs + (level[-1:] if len(level) % 2 else [])
    return level[0].hex()


def is_signed(key, data, signature):
    try:
        public = Ed25519PublicKey.from_public_bytes(bytes.fromhex(key))
        return public.verify(bytes.fromhex(signature), data) is None
    except (InvalidSignature, ValueError):
        return False


def check_chains(parts, hashes):
    """Check that each entry follows the one before it; fill `hashes`: (account, number) to hash."""
    ends = {}
    for e in sorted(parts["entry"], key=lambda e: (e["account_id"], e["number"])):
        account, said = e["account_id"], json.loads(e["text"])
        number, previous = ends.get(account, (0, "0" * 64))
        made = sha256(e["previous_hash"].encode(), e["text"].encode()).hex()
        if (e["number"], e["previous_hash"], e["hash"]) != (number + 1, previous, made):
            yield account, f"entry {e['number']} is not what was recorded after entry {number}"
        if (said["account_id"], said["timestamp"]) != (account, e["decided_at"]):
            yield account, f"entry {e['number']} was recorded of {said['account_id']} at {said['timestamp']}"
        ends[account] = e["number"], e["hash"]
        hashes[account, e["number"]] = e["hash"]
    for account, count, end in parts["head"]:
        if count and ends.get(account) != (count, end):
            yield account, f"the chain does not end at entry {count}"


def check_facts(parts):
    """Check calls and orders against the hashes in the entries; format 2 has them."""
    for e in parts["entry"]:
        said = json.loads(e["text"])
        name, kind, text, hashed = {"CALL": CALL, "ORDER": ORDER}.get(said["decision"], ("", "", "", ""))
        row = next((row for row in parts.get(kind, ()) if row[name] == said[name]), None)
        if kind and (row is None or said.get(hashed, "") not in ("", sha256(row[text].encode()).hex())):
            yield e["account_id"], f"{kind} {said[name]} is gone, or its {text} is not what was recorded"


def check_anchors(parts, hashes, key):
    """Check that each anchor follows the one before it and is signed, and that all it names is there."""
    heads, previous = {}, "0" * 64
    for number, anchor in enumerate(parts["anchor"], 1):
        said, text = json.loads(anchor["statement"]), anchor["statement"].encode()
        heads |= {leaf[0]: leaf for leaf in anchor["leaves"]}
        if (said["number"], said["previous"], said["root"]) != (number, previous, root(heads)):
            yield f"anchor {number}", "it does not follow the one before, or its leaves are not those signed"
        if not is_signed(key or anchor["public_key"], text, anchor["signature"]):
            yield f"anchor {number}", "it is not signed with the key"
        for account, count, end in anchor["leaves"]:
            if hashes.get((account, count)) != end:
                yield account, f"entry {count} is gone, or is not the one of anchor {number}"
        previous = sha256(text).hex()


def main(export, key_file=None):
    pem = key_file and load_pem_public_key(Path(key_file).read_bytes())
    key = pem and pem.public_bytes(Encoding.Raw, PublicFormat.Raw).hex()
    *lines, last = Path(export).read_bytes().splitlines(keepends=True)
    end, parts, hashes = json.loads(last)["end"], {"entry": [], "head": [], "anchor": []}, {}
    for kind, value in (pair for line in lines for pair in json.loads(line).items()):
        parts.setdefault(kind, []).append(value)
    broken = [*check_chains(parts, hashes), *check_facts(parts), *check_anchors(parts, hashes, key)]
    signed = not end["signature"] or is_signed(key or end["public_key"], sha256(*lines), end["signature"])
    whole = signed and end["sha256"] == sha256(*lines).hex()
    broken += [] if whole else [("the file", "it is not the one that was written")]
    result = f"{len(hashes)} entries, {len(parts['anchor'])} anchors: {len(broken)} places broken"
    print(*[f"BROKEN {name}: {reason}" for name, reason in broken], result, sep="\n")
    return 1 if broken else 0


sys.exit(main(*sys.argv[1:3]))
