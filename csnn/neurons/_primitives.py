"""Numba intrinsics that generated neuron updates are made of: no branches, all vectorisable.

Loads and stores name their stream by a small literal. Streams never overlap in memory, and telling
LLVM so (alias scopes) spares it the run-time checks that would otherwise cost half the speed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core.errors import NumbaTypeError

from csnn import exponential as rule
from csnn._numba import cgutils, inlined, intrinsic, literal_intrinsic, make_array
from csnn.binary32 import CANONICAL_NAN_BITS, EXPONENT_BITS, SIGN_BIT, TINY_BELOW

MAX_STREAMS = 32
_I8, _I32, _I64 = ir.IntType(8), ir.IntType(32), ir.IntType(64)
_FLOAT, _DOUBLE = ir.FloatType(), ir.DoubleType()
# What compiled code has from `csnn.exponential`: numbers, and a table that becomes part of it.
ARGUMENT_BITS, REST_BITS, INDEX_BITS = rule.ARGUMENT_BITS, rule.REST_BITS, rule.INDEX_BITS
TOP_BITS, INVERSE_BITS, INVERSE_LN2 = rule.TOP_BITS, rule.INVERSE_BITS, rule.INVERSE_LN2
MARGIN, LN2, LARGEST_FIELD = rule.MARGIN, rule.LN2, rule.LARGEST_FIELD
PLACES = LARGEST_FIELD - 127 + ARGUMENT_BITS - 23
ENTRY_ONE = 1 << rule.ENTRY_BITS
INDEX_MASK, LOW_MASK = (1 << INDEX_BITS) - 1, (1 << REST_BITS - INDEX_BITS) - 1
TABLE = np.array(rule.TABLE, dtype=np.int64)


def _word(value: int) -> Any:
    return ir.Constant(_I32, value)


def _plain(signature: Any, emit: Callable[..., Any]) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return emit(builder, *args)

    return signature, codegen


@intrinsic
def select(typingctx: Any, condition: Any, if_true: Any, if_false: Any) -> Any:
    """Return one of two words of the same type, unchanged."""
    if if_true != if_false:
        raise NumbaTypeError(f"select needs equal types, not {if_true} and {if_false}")
    signature = if_true(types.boolean, if_true, if_true)
    return _plain(signature, lambda builder, c, a, b: builder.select(c, a, b))


@intrinsic
def both(typingctx: Any, a: Any, b: Any) -> Any:
    """Return a and b, evaluating both."""
    signature = types.boolean(types.boolean, types.boolean)
    return _plain(signature, lambda builder, a, b: builder.and_(a, b))


@intrinsic
def negate(typingctx: Any, a: Any) -> Any:
    """Return not a."""
    return _plain(types.boolean(types.boolean), lambda builder, a: builder.not_(a))


@intrinsic
def to_f32(typingctx: Any, x: Any) -> Any:
    """Convert int32 to float32."""
    return _plain(types.float32(types.int32), lambda builder, x: builder.sitofp(x, _FLOAT))


@intrinsic
def wrapping_add(typingctx: Any, a: Any, b: Any) -> Any:
    """Return a + b modulo 2**32 (Numba's own sum of two int32 is an int64)."""
    signature = types.int32(types.int32, types.int32)
    return _plain(signature, lambda builder, a, b: builder.add(a, b))


@intrinsic
def is_zero(typingctx: Any, x: Any) -> Any:
    """Return whether an int32 is zero."""
    signature = types.boolean(types.int32)
    return _plain(signature, lambda builder, x: builder.icmp_signed("==", x, _word(0)))


@intrinsic
def decrement(typingctx: Any, x: Any) -> Any:
    """Return x - 1 for x > 0, else 0."""

    def emit(builder: Any, x: Any) -> Any:
        positive = builder.icmp_signed(">", x, _word(0))
        return builder.select(positive, builder.sub(x, _word(1)), _word(0))

    return _plain(types.int32(types.int32), emit)


@intrinsic
def canonical(typingctx: Any, x: Any) -> Any:
    """Replace NaNs by 0x7FC00000."""

    def emit(builder: Any, x: Any) -> Any:
        # Chosen among integers: LLVM may treat all NaNs alike, and drop a choice among floats.
        words = builder.bitcast(x, _I32)
        is_nan = builder.fcmp_unordered("uno", x, x)
        return builder.bitcast(builder.select(is_nan, _word(CANONICAL_NAN_BITS), words), _FLOAT)

    return _plain(types.float32(types.float32), emit)


@intrinsic
def flushed(typingctx: Any, x: Any) -> Any:
    """Replace subnormals by zeros of their sign, without help from the processor."""

    def emit(builder: Any, x: Any) -> Any:
        words = builder.bitcast(x, _I32)
        exponent = builder.and_(words, _word(EXPONENT_BITS))
        is_small = builder.icmp_signed("==", exponent, _word(0))
        zero = builder.and_(words, _word(SIGN_BIT))
        return builder.bitcast(builder.select(is_small, zero, words), _FLOAT)

    return _plain(types.float32(types.float32), emit)


@intrinsic
def flushed_product(typingctx: Any, a: Any, b: Any) -> Any:
    """Return a * b of flushed operands; the exact float64 product decides what is tiny."""

    def emit(builder: Any, a: Any, b: Any) -> Any:
        exact = builder.fmul(builder.fpext(a, _DOUBLE), builder.fpext(b, _DOUBLE))
        limit = ir.Constant(_DOUBLE, TINY_BELOW)
        above_minus = builder.fcmp_ordered(">", exact, ir.Constant(_DOUBLE, -TINY_BELOW))
        is_tiny = builder.and_(above_minus, builder.fcmp_ordered("<", exact, limit))
        words = builder.bitcast(builder.fptrunc(exact, _FLOAT), _I32)
        zero = builder.and_(words, _word(SIGN_BIT))
        return builder.bitcast(builder.select(is_tiny, zero, words), _FLOAT)

    return _plain(types.float32(types.float32, types.float32), emit)


@intrinsic
def word_of(typingctx: Any, x: Any) -> Any:
    """Return the word of a float32 as int64, 0 to 2**32 - 1."""

    def emit(builder: Any, x: Any) -> Any:
        return builder.zext(builder.bitcast(x, _I32), _I64)

    return _plain(types.int64(types.float32), emit)


@intrinsic
def of_word(typingctx: Any, word: Any) -> Any:
    """Return the float32 whose word an int64 has in its low half."""

    def emit(builder: Any, word: Any) -> Any:
        return builder.bitcast(builder.trunc(word, _I32), _FLOAT)

    return _plain(types.float32(types.int64), emit)


@intrinsic
def choose(typingctx: Any, condition: Any, if_true: Any, if_false: Any) -> Any:
    """Return one of two int64, evaluating both."""
    signature = types.int64(types.boolean, types.int64, types.int64)
    return _plain(signature, lambda builder, c, a, b: builder.select(c, a, b))


@inlined
def exp(x: Any) -> Any:
    """Return exp(x) of a float32, in any mode of the processor: `csnn.exponential`."""
    word = word_of(x)
    field = word >> 23 & 255
    is_negative = word >> 31 != 0
    significand = choose(field == 0, 0, word & 0x7FFFFF | 0x800000)
    is_large = field > LARGEST_FIELD
    # Where the field is large, the result is chosen below; any distance will do.
    distance = choose(is_large, 0, min(LARGEST_FIELD - field, 63))
    magnitude = significand << PLACES >> distance
    fixed = choose(is_negative, -magnitude, magnitude)
    top = fixed >> ARGUMENT_BITS - TOP_BITS
    k = top * INVERSE_LN2 - MARGIN >> TOP_BITS + INVERSE_BITS
    rest = (fixed << REST_BITS - ARGUMENT_BITS) - k * LN2
    entry = TABLE[rest >> REST_BITS - INDEX_BITS & INDEX_MASK]
    low = rest & LOW_MASK
    leading = low >> 16
    growth = (low >> REST_BITS - 32) + (leading * leading >> 9)
    factor = entry - ENTRY_ONE + 2048 >> 12
    total = (entry << 4) + growth + (factor * growth >> 16)
    is_two = total >> 33
    below = total & (256 << is_two) - 1
    kept = total >> 9 + is_two
    guard = total >> 8 + is_two & 1
    rounded = kept + (guard & (choose(below != 0, 1, 0) | kept))
    exponent = k + is_two + (rounded >> 24) + 127
    fraction = choose(rounded >> 24 != 0, 0, rounded & 0x7FFFFF)
    result = exponent << 23 | fraction
    result = choose(exponent > 254, EXPONENT_BITS, choose(exponent < 1, 0, result))
    result = choose(is_large, choose(is_negative, 0, EXPONENT_BITS), result)
    is_nan = both(field == 255, word & 0x7FFFFF != 0)
    return of_word(choose(is_nan, CANONICAL_NAN_BITS, result))


def _checked_stream(array: Any, ndim: int, dtype: Any, stream: Any) -> int:
    if not isinstance(stream, types.IntegerLiteral) or not 0 <= stream.literal_value < MAX_STREAMS:
        raise NumbaTypeError(f"a stream is a literal below {MAX_STREAMS}, not {stream}")
    wanted = f"a C-contiguous {ndim}-d array of {dtype}"
    if not isinstance(array, types.Array) or array.layout != "C":
        raise NumbaTypeError(f"neuron updates take {wanted}, not {array}")
    if array.ndim != ndim or array.dtype != dtype:
        raise NumbaTypeError(f"neuron updates take {wanted}, not {array}")
    return int(stream.literal_value)


def _mark(builder: Any, access: Any, stream: int) -> None:
    module = builder.module
    domain = module.add_metadata(["csnn neuron arrays"])
    scopes = [module.add_metadata([f"csnn stream {i}", domain]) for i in range(MAX_STREAMS)]
    others = scopes[:stream] + scopes[stream + 1 :]
    access.set_metadata("alias.scope", module.add_metadata([scopes[stream]]))
    access.set_metadata("noalias", module.add_metadata(others))


def _pointer(context: Any, builder: Any, array_type: Any, array: Any, indices: Any) -> Any:
    struct = make_array(array_type)(context, builder, array)
    # Indices count up from zero: the wrap-around of negative ones is left out.
    return cgutils.get_item_pointer(context, builder, array_type, struct, indices)


def _loader(ndim: int, dtype: Any) -> Callable[..., Any]:
    def make(array: Any, stream: Any) -> Any:
        number = _checked_stream(array, ndim, dtype, stream)

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            pointer = _pointer(context, builder, array, args[0], args[1:-1])
            value = builder.load(pointer)
            _mark(builder, value, number)
            return value

        return dtype(array, *(types.intp,) * ndim, stream), codegen

    return make


def _storer(ndim: int, dtype: Any, value_type: Any) -> Callable[..., Any]:
    def make(array: Any, stream: Any) -> Any:
        number = _checked_stream(array, ndim, dtype, stream)

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            pointer = _pointer(context, builder, array, args[0], args[1:-2])
            value = args[-2]
            if value_type is types.boolean:
                value = builder.zext(value, _I8)
            _mark(builder, builder.store(value, pointer), number)
            return context.get_dummy_value()

        return types.void(array, *(types.intp,) * ndim, value_type, stream), codegen

    return make


@literal_intrinsic
def load_row(typingctx: Any, array: Any, row: Any, i: Any, stream: Any) -> Any:
    """Return array[row, i] of a float32 array."""
    return _loader(2, types.float32)(array, stream)


@literal_intrinsic
def load_f32(typingctx: Any, array: Any, i: Any, stream: Any) -> Any:
    """Return array[i] of a float32 array."""
    return _loader(1, types.float32)(array, stream)


@literal_intrinsic
def load_i32(typingctx: Any, array: Any, i: Any, stream: Any) -> Any:
    """Return array[i] of an int32 array."""
    return _loader(1, types.int32)(array, stream)


@literal_intrinsic
def store_row(typingctx: Any, array: Any, row: Any, i: Any, value: Any, stream: Any) -> Any:
    """Write array[row, i] of a float32 array."""
    return _storer(2, types.float32, types.float32)(array, stream)


@literal_intrinsic
def store_i32(typingctx: Any, array: Any, i: Any, value: Any, stream: Any) -> Any:
    """Write array[i] of an int32 array."""
    return _storer(1, types.int32, types.int32)(array, stream)


@literal_intrinsic
def store_flag(typingctx: Any, array: Any, i: Any, value: Any, stream: Any) -> Any:
    """Write a bool to array[i] of a uint8 array as 0 or 1."""
    return _storer(1, types.uint8, types.boolean)(array, stream)
