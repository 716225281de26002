"""A barrier between threads that run compiled code, and what it is made of."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import types

from csnn._numba import cgutils, intrinsic, jit

_SPINS_BEFORE_YIELD = 2000
_sched_yield = types.ExternalFunction("sched_yield", types.int32())


def _pointer(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    array_type = signature.args[0]
    array = context.make_array(array_type)(context, builder, arguments[0])
    return cgutils.get_item_pointer(
        context, builder, array_type, array, [arguments[1]], wraparound=False
    )


@intrinsic
def atomic_add(typingctx: Any, array: Any, index: Any, value: Any) -> Any:
    """Add `value` to `array[index]` (int64) and return what was there, sequentially consistent."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = _pointer(context, builder, signature, arguments)
        return builder.atomic_rmw("add", pointer, arguments[2], "seq_cst")

    return types.int64(array, types.intp, types.int64), codegen


@intrinsic
def atomic_load(typingctx: Any, array: Any, index: Any) -> Any:
    """Return `array[index]` (int64) with acquire ordering."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = _pointer(context, builder, signature, arguments)
        return builder.load_atomic(pointer, "acquire", 8)

    return types.int64(array, types.intp), codegen


@intrinsic
def pause(typingctx: Any) -> Any:
    """Tell the processor that this is a spin loop (x86 `pause`; nothing elsewhere)."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        if context.codegen().target_data is not None and _is_x86():
            function = cgutils.get_or_insert_function(
                builder.module, ir.FunctionType(ir.VoidType(), []), "llvm.x86.sse2.pause"
            )
            builder.call(function, [])
        return context.get_dummy_value()

    return types.none(), codegen


def _emit_prefetch(
    context: Any, builder: Any, signature: Any, arguments: Any, write: int, locality: int
) -> Any:
    pointer = builder.bitcast(_pointer(context, builder, signature, arguments), cgutils.voidptr_t)
    integer = ir.IntType(32)
    function = cgutils.get_or_insert_function(
        builder.module,
        ir.FunctionType(ir.VoidType(), [cgutils.voidptr_t, integer, integer, integer]),
        "llvm.prefetch.p0",
    )
    builder.call(
        function, [pointer, *(ir.Constant(integer, flag) for flag in (write, locality, 1))]
    )
    return context.get_dummy_value()


@intrinsic
def prefetch_write(typingctx: Any, array: Any, index: Any) -> Any:
    """Ask for the cache line of `array[index]`, to be written soon; unchecked, without effect."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _emit_prefetch(context, builder, signature, arguments, 1, 3)

    return types.none(array, types.intp), codegen


@intrinsic
def prefetch_read(typingctx: Any, array: Any, index: Any) -> Any:
    """Ask for the cache line of `array[index]`, to be read soon; unchecked, without effect."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _emit_prefetch(context, builder, signature, arguments, 0, 3)

    return types.none(array, types.intp), codegen


@intrinsic
def prefetch_read_level2(typingctx: Any, array: Any, index: Any) -> Any:
    """As `prefetch_read`, but into the level-2 cache, for what is read some microseconds later."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _emit_prefetch(context, builder, signature, arguments, 0, 2)

    return types.none(array, types.intp), codegen


def _is_x86() -> bool:
    import platform

    return platform.machine().lower() in ("x86_64", "amd64")


def new_barrier() -> npt.NDArray[np.int64]:
    """Return the state of a barrier: one counter alone in its cache line."""
    return np.zeros(8, dtype=np.int64)


@jit
def wait(counter: npt.NDArray[np.int64], parties: int, generation: int) -> None:
    """Return when all `parties` have called with this `generation` (1, 2, 3, ...).

    Spins, then gives the processor away between looks, so that more threads than cores still run.
    """
    if parties == 1:
        return
    atomic_add(counter, 0, 1)
    target = parties * generation
    spins = 0
    while atomic_load(counter, 0) < target:
        spins += 1
        if spins < _SPINS_BEFORE_YIELD:
            pause()
        else:
            _sched_yield()
