"""Numba intrinsics that generated neuron updates are made of: no branches, all vectorisable.

Loads and stores name their stream by a small literal. Streams never overlap in memory, and telling
LLVM so (alias scopes) spares it the run-time checks that would otherwise cost half the speed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core.errors import NumbaTypeError

from csnn._numba import cgutils, intrinsic, literal_intrinsic, make_array
from csnn.binary32 import CANONICAL_NAN_BITS, EXPONENT_BITS, SIGN_BIT, TINY_BELOW

MAX_STREAMS = 32
_I8, _I32 = ir.IntType(8), ir.IntType(32)
_FLOAT, _DOUBLE = ir.FloatType(), ir.DoubleType()


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
