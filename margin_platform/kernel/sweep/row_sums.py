"""Sums of many share rows, all eight columns in one addition. For compiled code only.

LLVM does not see that the eight sums of a row are neighbors, and adds each by itself: a quarter of the sweep.
So the vector is written out here, in LLVM's own language. It stays in one register of a processor that has it
as wide, and in several of any other. Columns are added in the order of the rows, so no sum differs by a bit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

import numpy as np
from llvmlite import ir
from numba import types
from numba.core.base import BaseContext
from numba.core.cgutils import alloca_once
from numba.core.typing.templates import Signature
from numba.extending import intrinsic

from margin_platform.kernel.market import Floats

ROW_COLUMNS = 8  # of a row: one line of the processor's cache

_NUMBER, _INDEX = ir.DoubleType(), ir.IntType(32)
_ROW = ir.VectorType(_NUMBER, ROW_COLUMNS)
_NOTHING = ir.Constant(_ROW, ir.Undefined)
_ALL_THE_FIRST = ir.Constant(ir.VectorType(_INDEX, ROW_COLUMNS), [0] * ROW_COLUMNS)
_SUMS = types.CPointer(types.float64)


def _no_sums(_typing: object) -> object:
    """Return eight sums of nothing yet."""

    def write(
        _context: BaseContext, builder: ir.IRBuilder, _signature: Signature, _arguments: Sequence[ir.Value]
    ) -> ir.Value:
        sums = alloca_once(builder, _ROW)
        builder.store(ir.Constant(_ROW, [0.0] * ROW_COLUMNS), sums)
        return builder.bitcast(sums, _NUMBER.as_pointer())

    return _SUMS(), write


def _add_row(_typing: object, sums: types.Type, rows: types.Type, at: types.Type, size: types.Type) -> object:
    """Add a row of `rows`, (rows, ROW_COLUMNS), by its number from the front, times a size."""

    def write(
        context: BaseContext, builder: ir.IRBuilder, signature: Signature, arguments: Sequence[ir.Value]
    ) -> ir.Value:
        into, table, row, factor = arguments
        numbers = context.make_array(signature.args[1])(context, builder, table).data
        first = builder.gep(numbers, [builder.mul(row, ir.Constant(row.type, ROW_COLUMNS))])
        columns = builder.load(builder.bitcast(first, _ROW.as_pointer()), align=8)
        sizes = builder.insert_element(_NOTHING, factor, ir.Constant(_INDEX, 0))
        sizes = builder.shuffle_vector(sizes, _NOTHING, _ALL_THE_FIRST)
        place = builder.bitcast(into, _ROW.as_pointer())
        builder.store(builder.fadd(builder.load(place), builder.fmul(columns, sizes)), place)
        return context.get_dummy_value()

    return types.void(sums, rows, at, size), write


def _sum_of(_typing: object, sums: types.Type, column: types.Type) -> object:
    """Return the sum of a column."""

    def write(
        _context: BaseContext, builder: ir.IRBuilder, _signature: Signature, arguments: Sequence[ir.Value]
    ) -> ir.Value:
        into, number = arguments
        found = builder.load(builder.bitcast(into, _ROW.as_pointer()))
        return builder.extract_element(found, builder.trunc(number, _INDEX))

    return types.float64(sums, column), write


no_sums = cast(Callable[[], object], intrinsic(_no_sums))
add_row = cast(Callable[[object, Floats, np.uint64, float], None], intrinsic(_add_row))
sum_of = cast(Callable[[object, int], float], intrinsic(_sum_of))
