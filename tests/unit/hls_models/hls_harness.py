"""A program that applies the emitted operations to words, and what they should give."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from fp_vectors import CORNERS, corner_pairs, exponents, integers, pairs

from csnn import binary32, exponential
from csnn.neurons.graph import Op
from hls_models.build import FLAGS, compile_cpp
from hls_models.cpp_library import cpp_library

U32 = npt.NDArray[np.uint32]

# What each operation does with the words a and b.
_CALLS = {
    Op.FADD: "fadd(a, b)",
    Op.FSUB: "fsub(a, b)",
    Op.FMUL: "fmul(a, b)",
    Op.FEXP: "fexp(a)",
    Op.FGE: "fge(a, b)",
    Op.FLT: "flt(a, b)",
    Op.ITOF: "itof(to_integer(a))",
    Op.IADD: "to_word(iadd(to_integer(a), to_integer(b)))",
    Op.IZERO: "izero(to_integer(a))",
    Op.IDEC: "to_word(idec(to_integer(a)))",
}
_MAIN = """
#include <cstdio>
#include <cstdlib>
#include <vector>
#ifdef __SSE__
#include <xmmintrin.h>
#endif
#include "csnn_exponential.h"

using namespace csnn;

static word apply(int operation, word a, word b)
{
    switch (operation) {
%s
    }
    return 0;
}

int main(int, char **argv)
{
    std::vector<word> in(std::strtoul(argv[2], nullptr, 10));
    if (std::fread(in.data(), 4, in.size(), stdin) != in.size())
        return 1;
#ifdef __SSE__
    const unsigned mode = static_cast<unsigned>(std::strtoul(argv[3], nullptr, 16));
    if (mode != 0)
        _mm_setcsr(mode);
#endif
    const int operation = std::atoi(argv[1]);
    const std::size_t n = in.size() / 2;
    for (std::size_t i = 0; i < n; ++i)
        in[i] = apply(operation, in[i], in[n + i]);
    return std::fwrite(in.data(), 4, n, stdout) != n;
}
"""
OPERATIONS = tuple(_CALLS)
# Control words of SSE with all exceptions masked: flush to zero and zeros for subnormals; results
# rounded up.
FLUSH_MODE, ROUND_UP = 0x9FC0, 0x5F80


class Harness:
    """The program; `changes` are replacements in shared headers, each of which must apply once."""

    def __init__(
        self,
        folder: Path,
        options: Sequence[str] = (),
        changes: Mapping[str, tuple[str, str]] | None = None,
    ) -> None:
        for name, text in cpp_library().items():
            if changes and name in changes:
                old, new = changes[name]
                assert text.count(old) == 1, (name, old, text.count(old))
                text = text.replace(old, new)
            (folder / name).write_text(text)
        cases = [f"    case {i}: return {call};" for i, call in enumerate(_CALLS.values())]
        (folder / "harness.cpp").write_text(_MAIN % "\n".join(cases))
        self.program = folder / "harness"
        compile_cpp([folder / "harness.cpp"], self.program, options, FLAGS)

    def apply(self, op: Op, a: U32, b: U32, mode: int = 0) -> U32:
        """Return the words that an operation gives, in a mode of the processor."""
        command = [str(self.program), str(OPERATIONS.index(op)), str(2 * len(a)), f"{mode:x}"]
        given = np.concatenate([a, b]).astype(np.uint32).tobytes()
        done = subprocess.run(command, input=given, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode()
        return np.frombuffer(done.stdout, np.uint32)


def _on_floats(operation: Callable[..., npt.NDArray[np.generic]]) -> Callable[[U32, U32], U32]:
    def apply(a: U32, b: U32) -> U32:
        found = operation(binary32.from_bits(a), binary32.from_bits(b))
        is_float = found.dtype == np.float32
        return binary32.bits_of(found) if is_float else found.astype(np.uint32)

    return apply


def _exp(a: U32, b: U32) -> U32:
    return binary32.bits_of(exponential.exp(binary32.from_bits(a)))


DEFINITIONS: dict[Op, Callable[[U32, U32], U32]] = {
    Op.FADD: _on_floats(binary32.add),
    Op.FSUB: _on_floats(binary32.sub),
    Op.FMUL: _on_floats(binary32.mul),
    Op.FEXP: _exp,
    Op.FGE: _on_floats(binary32.greater_equal),
    Op.FLT: _on_floats(binary32.less),
    Op.ITOF: lambda a, b: binary32.bits_of(binary32.from_int32(a.view(np.int32))),
    Op.IADD: lambda a, b: a + b,
    Op.IZERO: lambda a, b: (a == 0).astype(np.uint32),
    Op.IDEC: lambda a, b: np.where(a.view(np.int32) > 0, a - np.uint32(1), np.uint32(0)),
}


def operands(op: Op, n: int, seed: int) -> tuple[U32, U32]:
    """Return about `n` operands for an operation, every pair of corners among them."""
    rng = np.random.default_rng(seed)
    first, second = corner_pairs()
    if op is Op.FEXP:
        # Fractions of all exponents and signs, and where results are near limits.
        fields = np.arange(512, dtype=np.uint32) << np.uint32(23)
        fractions = rng.integers(0, 2**23, (n // 1024, 512), dtype=np.uint32)
        a = np.concatenate([CORNERS, (fields | fractions).ravel(), exponents(n // 2, rng)])
        return a, a
    if op in (Op.ITOF, Op.IADD, Op.IZERO, Op.IDEC):
        a = np.concatenate([first, integers(n, rng)])
        return a, np.concatenate([second, integers(n, rng)])
    a, b = pairs(n, rng, kinds=range(11))
    return np.concatenate([first, a]), np.concatenate([second, b])


def differences(harness: Harness, op: Op, n: int, seed: int, mode: int = 0) -> list[str]:
    """Return the first few operands for which the program differs from the definition."""
    a, b = operands(op, n, seed)
    found, expected = harness.apply(op, a, b, mode), DEFINITIONS[op](a, b)
    assert found.shape == expected.shape
    return [
        f"{op}({a[i]:08x}, {b[i]:08x}) is {found[i]:08x}, not {expected[i]:08x}"
        for i in np.flatnonzero(found != expected)[:5]
    ]
