"""Switch the processor to the machine's subnormal rule inside compiled code.

On x86-64 the MXCSR register can flush subnormal results (FTZ) and operands (DAZ) to zero at no
cost. A kernel calls `enable` at its entry and `restore` at its exit::

    old = flush.enable()
    ...                    # binary32 arithmetic
    flush.restore(old)

The register belongs to the thread: every worker thread of a kernel switches for itself.

LLVM knows nothing of MXCSR and may move arithmetic that touches no memory past these calls. Both
are therefore fenced by an empty assembly statement that may read and write all memory: no load
moves up and no store moves down across it. Arithmetic stays inside if its operands are loaded after
`enable` from arrays that the kernel was given, and its results are stored before `restore` to such
arrays; scalar arguments, and arrays that the kernel itself allocates, give no such guarantee. A
kernel must not raise in between: the mode would leak into the caller's thread.

On other processors both do nothing, and models are compiled with explicit flushes (`HARDWARE` is
false): Arm's flush mode judges tininess before rounding, which is another rule.
"""

from __future__ import annotations

import platform
from typing import Any

from llvmlite import ir
from numba import types

from csnn._numba import cgutils, intrinsic

HARDWARE = platform.machine().lower() in ("x86_64", "amd64")

_FTZ_AND_DAZ = 0x8040
_EXCEPTION_MASKS = 0x1F80
_ROUNDING_CONTROL = 0x6000


def _fence(builder: Any) -> None:
    nothing = ir.FunctionType(ir.VoidType(), ())
    builder.call(ir.InlineAsm(nothing, "", "~{memory}", side_effect=True), ())


def _mxcsr(builder: Any, operation: str, slot: Any) -> None:
    signature = ir.FunctionType(ir.VoidType(), (cgutils.voidptr_t,))
    name = f"llvm.x86.sse.{operation}"
    function = cgutils.get_or_insert_function(builder.module, signature, name)
    builder.call(function, (builder.bitcast(slot, cgutils.voidptr_t),))


def _constant(value: int) -> Any:
    return ir.Constant(ir.IntType(32), value)


@intrinsic
def enable(typingctx: Any) -> Any:
    """Flush subnormals and round to nearest from here on; return the old mode (uint32)."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        if not HARDWARE:
            return _constant(0)
        slot = cgutils.alloca_once(builder, ir.IntType(32))
        _fence(builder)
        _mxcsr(builder, "stmxcsr", slot)
        old = builder.load(slot)
        # FTZ acts only while the underflow exception is masked.
        flags = builder.or_(old, _constant(_FTZ_AND_DAZ | _EXCEPTION_MASKS))
        builder.store(builder.and_(flags, _constant(0xFFFFFFFF ^ _ROUNDING_CONTROL)), slot)
        _mxcsr(builder, "ldmxcsr", slot)
        _fence(builder)
        return old

    return types.uint32(), codegen


@intrinsic
def restore(typingctx: Any, old: Any) -> Any:
    """Return to the mode that `enable` returned, its sticky exception flags included."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        if HARDWARE:
            slot = cgutils.alloca_once_value(builder, args[0])
            _fence(builder)
            _mxcsr(builder, "ldmxcsr", slot)
            _fence(builder)
        return context.get_dummy_value()

    return types.void(types.uint32), codegen
