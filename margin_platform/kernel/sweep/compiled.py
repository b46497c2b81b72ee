"""How the kernel is compiled: functions, phases of a loop, and entries whose machine code is kept on disk.

Compiled functions call those marked `kernel` and `inlined`. Python calls entries only (`kept_on_disk`).
"""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar, cast

import numba
from numba.extending import register_jitable

Function = TypeVar("Function", bound=Callable[..., object])

# Without reference counts (`_nrt`): phases read columns out of tuples for every account, and to count each
# reading would take three times as long as the work. Such a function cannot make an array (Numba refuses it);
# the entry makes them. Without wrappers for Python and C, which have no caller and take as long to compile.
_PHASE: dict[str, object] = {"_nrt": False, "no_cpython_wrapper": True, "no_cfunc_wrapper": True}
_PACKAGE = __name__.partition(".")[0]
_IMPORT = re.compile(rf"^from ({_PACKAGE}[.\w]*) import", re.MULTILINE)


def kernel(function: Function) -> Function:
    """Let compiled functions call this one, compiled; from Python it stays an ordinary function."""
    return register_jitable(**_PHASE)(function)


def inlined(function: Function) -> Function:
    """Compile a phase of a hot loop into its caller: a name for the reader, no call for the processor."""
    return register_jitable(**_PHASE, forceinline=True)(function)


def kept_on_disk(function: Function) -> Function:
    """Compile an entry, which returns nothing, and keep its machine code on disk.

    Numba looks at the date of one file only. So the digest of all sources lies in the closure, which is a
    part of Numba's key. The function must be plain and keep its own name in its module (`sweep =
    kept_on_disk(_entry)`): Numba writes it into the key by that name, but a compiled one with an id of this
    process.
    """
    digest = source_digest(function.__module__)
    body = register_jitable(function)

    def run(*arguments: object) -> None:
        if len(digest) > 0:
            body(*arguments)

    run.__qualname__ = f"{function.__module__}.{function.__qualname__}"  # names the file: one for each entry
    return cast(Function, numba.njit(nogil=True, cache=True)(run))


def source_digest(module: str) -> str:
    """Return the digest of everything a module's compiled code may come from."""
    return hashlib.sha256(b"".join(source for _, source in sorted(sources(module).items()))).hexdigest()


def sources(module: str) -> dict[str, bytes]:
    """Return the source of a module and of every module it imports from this package, directly or not."""
    found: dict[str, bytes] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = Path(str(sys.modules[name].__file__)).read_bytes()
            waiting += _IMPORT.findall(found[name].decode())
    return found
