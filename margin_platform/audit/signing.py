"""The signature of anchors: Ed25519 by the `cryptography` library, the private key in a file of its own.

The key is made once, when the stack is started. A reader never makes one. Production keeps the key in a KMS
or mounts the file from a secret (docs/audit.md).
"""

from __future__ import annotations

import os
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)


class KeyMissing(FileNotFoundError):
    """There is no key to sign with; the message names the file."""


class KeyRefused(ValueError):
    """The file holds no Ed25519 key; the message names it."""


def create(path: Path) -> Ed25519PrivateKey:
    """Make the private key of this file where there is none, readable by its owner only; return the key.

    Two programs that start together agree on one key: the file appears whole, and the first one stays. The
    public key is written beside it, as `.pub`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        unfinished = path.with_name(f".{path.name}.{os.getpid()}")
        with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(pem)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(unfinished, path)
        except FileExistsError:
            pass  # the other program was first
        finally:
            unfinished.unlink()
    key = load(path)
    beside(path).write_text(public_pem(public_text(key)), encoding="utf-8")
    return key


def beside(path: Path) -> Path:
    """Return the file of the public key that belongs to a private key's file."""
    return path.with_suffix(".pub")


def load(path: Path) -> Ed25519PrivateKey:
    """Read a private key. KeyMissing where there is no file, KeyRefused where it is no Ed25519 key."""
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except FileNotFoundError as error:
        raise KeyMissing(f"audit key: no such file, `margin up` makes it, value {str(path)!r}") from error
    except (ValueError, TypeError) as error:
        raise KeyRefused(
            f"audit key: not a private key in PEM form without a password, value {str(path)!r}"
        ) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyRefused(f"audit key: not an Ed25519 key, value {str(path)!r}")
    return key


def public_text(key: Ed25519PrivateKey) -> str:
    """Return the public key of a private one, as 64 hexadecimal digits."""
    return key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw).hex()


def public_pem(key: str) -> str:
    """Return a public key of 64 hexadecimal digits in PEM form."""
    raw = Ed25519PublicKey.from_public_bytes(bytes.fromhex(key))
    return raw.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def read_public(text: str) -> str:
    """Return the 64 hexadecimal digits of a public key in either form. KeyRefused where it is none."""
    try:
        key = load_pem_public_key(text.encode()) if "BEGIN" in text else None
        if key is None:
            key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(text.strip()))
    except ValueError as error:
        raise KeyRefused(f"public key: neither PEM nor 64 hexadecimal digits, value {text[:80]!r}") from error
    if not isinstance(key, Ed25519PublicKey):
        raise KeyRefused(f"public key: not an Ed25519 key, value {text[:80]!r}")
    return key.public_bytes(Encoding.Raw, PublicFormat.Raw).hex()


def signature(key: Ed25519PrivateKey, data: bytes) -> str:
    """Return the signature of some bytes, as 128 hexadecimal digits."""
    return key.sign(data).hex()


def is_signed(public_key: str, data: bytes, signed: str) -> bool:
    """Return whether a signature is this key's for these bytes."""
    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(public_key)).verify(bytes.fromhex(signed), data)
    except (InvalidSignature, ValueError):
        return False
    return True
