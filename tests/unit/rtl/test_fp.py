"""Binary32 units equal `csnn.binary32`, and SoftFloat, on every word at every latency."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import exponential_words as every
import fp_bench
import numpy as np
import pytest
import softfloatpy as softfloat
from amaranth.hdl import Const, Fragment, Module
from fp_bench import UNITS, Bench, mismatches
from fp_vectors import corner_pairs, exponents, integers, pairs

from csnn import binary32
from csnn.exponential import TABLE
from csnn.neurons.operators import Operators
from rtl.fp.adder import AdderConfig
from rtl.fp.comparator import ComparatorConfig
from rtl.fp.exponential import Exponential, ExponentialConfig
from rtl.fp.from_int import FromIntConfig
from rtl.fp.multiplier import MultiplierConfig
from rtl.pipeline import Pipeline, registers_after
from rtl.verilate import Verilated

INTEGERS = [name for name in UNITS if name.startswith("itof")]
EXPONENTIALS = [name for name in UNITS if name.startswith("exp")]
TWO_OPERANDS = [name for name in UNITS if name not in INTEGERS + EXPONENTIALS]


@pytest.fixture(scope="module")
def bench() -> Verilated:
    return Verilated(Bench())


def test_corners(bench: Verilated) -> None:
    assert mismatches(bench, *corner_pairs()) == {}


@pytest.mark.parametrize("millions", [0.3, pytest.param(10, marks=pytest.mark.slow)])
def test_two_operands(bench: Verilated, millions: float) -> None:
    rng = np.random.default_rng(5)
    for _ in range(max(1, round(millions))):
        a, b = pairs(round(min(millions, 1) * 10**6), rng)
        assert mismatches(bench, a, b, TWO_OPERANDS) == {}


@pytest.mark.parametrize("millions", [0.3, pytest.param(10, marks=pytest.mark.slow)])
def test_integers(bench: Verilated, millions: float) -> None:
    rng = np.random.default_rng(6)
    for _ in range(max(1, round(millions))):
        words = integers(round(min(millions, 1) * 10**6), rng)
        assert mismatches(bench, words, words, INTEGERS) == {}


@pytest.mark.parametrize("millions", [0.3, pytest.param(10, marks=pytest.mark.slow)])
def test_exponentials(bench: Verilated, millions: float) -> None:
    rng = np.random.default_rng(10)
    for _ in range(max(1, round(millions))):
        words = exponents(round(min(millions, 1) * 10**6), rng)
        assert mismatches(bench, words, words, EXPONENTIALS) == {}


@pytest.fixture(scope="module")
def exponential_alone() -> Verilated:
    return Verilated(Exponential())


@pytest.mark.parametrize("size", [1 << 12, pytest.param(every.SIZE, marks=pytest.mark.slow)])
def test_all_exponentials(exponential_alone: Verilated, size: int) -> None:
    """Every argument that is neither too small nor too large equals compiled code.

    Of the others `tests/formal` has a proof, and `tests/unit/csnn/test_exponential.py` compares
    compiled code with the definition.
    """
    assert differing_exponentials(exponential_alone, size) == 0


def test_all_exponentials_see_one_bit_of_the_table() -> None:
    entry = TABLE[256]

    def change(verilog: str) -> str:
        changed = verilog.replace(f"30'h{entry:08x}", f"30'h{entry ^ 1:08x}")
        assert changed != verilog
        return changed

    assert differing_exponentials(Verilated(Exponential(), change=change), 1 << 12) > 0


def differing_exponentials(bench: Verilated, size: int) -> int:
    """Count what differs among the first words of each exponent field that matters."""
    latency, count = ExponentialConfig().latency, 0
    for first in every.firsts(every.FIELDS):
        for start in range(first, first + size, 1 << 20):
            n = min(size, 1 << 20)
            words = np.arange(start, start + n + latency, dtype=np.uint64)
            found = bench.run({"a": words & np.uint64(0xFFFFFFFF)})["result"][latency:]
            count += int(np.count_nonzero(found != every.words(start, n)))
    return count


def test_latency_is_as_configured(bench: Verilated) -> None:
    # A single operand between zeros appears in one cycle only, the one that the latency names.
    a = np.zeros(40, dtype=np.uint64)
    b = np.zeros(40, dtype=np.uint64)
    a[8], b[8] = 0x3F800000, 0xBF000000
    found = bench.run({"a": a, "b": b})
    for name, unit in UNITS.items():
        rest = unit.model(np.zeros(1, np.uint32), np.zeros(1, np.uint32))[0]
        moved = np.flatnonzero(found[name][20 if unit.latency > 16 else 0 :] != rest)
        expected = unit.model(np.array([0x3F800000], np.uint32), np.array([0xBF000000], np.uint32))
        # Nothing was in the pipeline before, or the rest of another test: look behind it only.
        late = [int(t) for t in moved if t >= 8]
        assert late == ([8 + unit.latency] if expected[0] != rest else [])


def test_the_comparison_sees_a_wrong_unit(
    bench: Verilated, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = pairs(1000, np.random.default_rng(7))
    for name, unit in UNITS.items():
        other = UNITS["sub_7" if name.startswith("add") else "add_7"].model
        faulty = fp_bench.Unit(unit.make, unit.latency, other)
        monkeypatch.setitem(UNITS, name, faulty)
        assert name in mismatches(bench, a, b)
        monkeypatch.setitem(UNITS, name, fp_bench.Unit(unit.make, unit.latency - 1, unit.model))
        assert name in mismatches(bench, a, b)
        monkeypatch.setitem(UNITS, name, unit)


# SoftFloat, which shares nothing with NumPy


def _soft(word: int) -> Any:
    return softfloat.Float32.from_bytes(struct.pack(">I", word))


def _integer(word: int) -> Any:
    return softfloat.Int32.from_bytes(struct.pack(">I", word))


def _word(number: Any) -> int:
    return int(struct.unpack(">I", number.to_bytes())[0])


def _flushed(word: int) -> int:
    return word if word & 0x7F800000 else word & 0x80000000


def _by_softfloat(operation: Callable[[Any, Any], Any], a: int, b: int) -> int:
    """Return a result under the machine's rule: operands and tiny results flushed, one NaN."""
    softfloat.set_tininess_mode(softfloat.TininessMode.AFTER_ROUNDING)
    softfloat.set_exception_flags(softfloat.ExceptionFlag(0))
    result = operation(_soft(_flushed(a)), _soft(_flushed(b)))
    if isinstance(result, bool):
        return int(result)
    word = _word(result)
    if word & 0x7FFFFFFF > 0x7F800000:
        return 0x7FC00000
    # Gradual underflow may lift a tiny result to 2^-126; the flag tells that it was tiny.
    tiny = bool(softfloat.get_exception_flags() & softfloat.ExceptionFlag.UNDERFLOW)
    return word & 0x80000000 if tiny else _flushed(word)


SOFT: dict[str, Callable[[Any, Any], Any]] = {
    "add": softfloat.f32_add,
    "sub": softfloat.f32_sub,
    "mul": softfloat.f32_mul,
    "ge": lambda a, b: softfloat.f32_le(b, a),
    "lt": softfloat.f32_lt,
}


@pytest.mark.parametrize("count", [10_000, pytest.param(1_000_000, marks=pytest.mark.slow)])
def test_softfloat_agrees(bench: Verilated, count: int) -> None:
    corner_a, corner_b = corner_pairs()
    a, b = pairs(count, np.random.default_rng(8))
    a, b = np.concatenate([corner_a, a]), np.concatenate([corner_b, b])
    idle = np.zeros(16, dtype=np.uint32)
    found = bench.run({"a": np.concatenate([a, idle]), "b": np.concatenate([b, idle])})
    operands = list(zip(a.tolist(), b.tolist(), strict=True))
    for kind, operation in SOFT.items():
        expected = [_by_softfloat(operation, *pair) for pair in operands]
        units = {name: unit for name, unit in UNITS.items() if name.startswith(f"{kind}_")}
        assert len(units) >= 3
        for name, unit in units.items():
            part = slice(unit.latency, unit.latency + len(a))
            assert found[name][part].tolist() == expected, name


@pytest.mark.parametrize("count", [20_000, pytest.param(1_000_000, marks=pytest.mark.slow)])
def test_softfloat_agrees_on_integers(bench: Verilated, count: int) -> None:
    words = integers(count, np.random.default_rng(9))
    edges = np.array([0, 1, 2**31, 2**31 - 1, 2**32 - 1, 2**24 + 1, 2**25 + 2], np.uint32)
    words = np.concatenate([edges, words])
    idle = np.zeros(16, dtype=np.uint32)
    found = bench.run({"a": np.concatenate([words, idle]), "b": np.zeros(len(words) + 16)})
    expected = [_word(softfloat.i32_to_f32(_integer(x))) for x in words.tolist()]
    for name in INTEGERS:
        latency = UNITS[name].latency
        assert found[name][latency : latency + len(words)].tolist() == expected, name


# What the vectors reach


def test_the_vectors_reach_every_case() -> None:
    a, b = pairs(300_000, np.random.default_rng(5))
    total = UNITS["add_7"].model(a, b)
    product = UNITS["mul_5"].model(a, b)
    for words in (total, product):
        exponent = words >> np.uint32(23) & np.uint32(255)
        fraction = words & np.uint32(0x7FFFFF)
        for bin_name, hit in {
            "zero": words & np.uint32(0x7FFFFFFF) == 0,
            "negative zero": words == np.uint32(0x80000000),
            "smallest exponent": exponent == 1,
            "largest exponent": exponent == 254,
            "infinity": (exponent == 255) & (fraction == 0),
            "NaN": words == np.uint32(0x7FC00000),
        }.items():
            assert np.count_nonzero(hit) > 10, bin_name
    x, y = binary32.flush(binary32.from_bits(a)), binary32.flush(binary32.from_bits(b))
    with np.errstate(all="ignore"):
        exact = x.astype(np.float64) * y.astype(np.float64)
        tiny = (np.abs(exact) < 2.0**-126) & (exact != 0)
        assert np.count_nonzero(tiny & (product & np.uint32(0x7FFFFFFF) == 0)) > 100
        # Rounded up to 2^-126 from below it.
        assert np.count_nonzero(tiny & (product & np.uint32(0x7FFFFFFF) == 0x800000)) > 0
        finite = np.isfinite(exact) & (np.abs(exact) > 2.0**-120) & (np.abs(exact) < 2.0**127)
        rounding = (exact - exact.astype(np.float32).astype(np.float64))[finite]
        ulp = np.spacing(np.abs(exact[finite]).astype(np.float32)).astype(np.float64)
    for share in (-0.5, 0.0, 0.5):
        assert np.count_nonzero(rounding / ulp == share) > 10, share
    distance = np.abs(
        (a >> np.uint32(23) & np.uint32(255)).astype(int)
        - (b >> np.uint32(23) & np.uint32(255)).astype(int)
    )
    assert set(range(33)) <= set(distance.tolist())
    # Places by which cancellation moves the leading one.
    both = (x != 0) & (y != 0) & np.isfinite(x) & np.isfinite(y) & (total << np.uint32(1) != 0)
    lost = np.maximum(_exponent(x[both]), _exponent(y[both])) - _exponent(
        binary32.from_bits(total[both])
    )
    assert set(range(-1, 24)) <= set(lost.tolist())


def _exponent(x: np.ndarray) -> np.ndarray:
    return (binary32.bits_of(x) >> np.uint32(23) & np.uint32(255)).astype(int)


# Construction


@pytest.mark.parametrize(
    "config", [AdderConfig, MultiplierConfig, ComparatorConfig, FromIntConfig, ExponentialConfig]
)
@pytest.mark.parametrize("latency", [0, 17, -1])
def test_latencies_out_of_range_are_refused(config: Callable[..., Any], latency: int) -> None:
    with pytest.raises(ValueError, match=rf"^latency = {latency}: must be from 1 to 16$"):
        config(latency=latency)


def test_registers_are_spread_evenly() -> None:
    assert registers_after(5, 5) == (1, 1, 1, 1, 1)
    assert registers_after(10, 7) == (0, 1, 1, 0, 1, 1, 0, 1, 1, 1)
    assert registers_after(2, 5) == (2, 3)
    for steps in range(1, 12):
        for latency in range(1, 20):
            spread = registers_after(steps, latency)
            assert (len(spread), sum(spread)) == (steps, latency)
            assert max(spread) - min(spread) <= 1
            assert spread[-1] >= 1


def test_a_forgotten_step_is_an_error() -> None:
    m = Module()
    p = Pipeline(m, steps=2, latency=2)
    value = p.put(Const(1, 1), "value")
    p.step()
    with pytest.raises(ValueError, match="1 of 2 steps were made"):
        p.finish(value)
    Fragment.get(m, None)


def test_units_have_the_latency_of_the_neuron_pipeline() -> None:
    default = Operators()
    assert AdderConfig().latency == default.fadd
    assert MultiplierConfig().latency == default.fmul
    assert ComparatorConfig().latency == default.compare
    assert FromIntConfig().latency == default.itof
    assert ExponentialConfig().latency == default.fexp
