"""Emitted operations = `csnn.binary32` and `csnn.exponential`, word for word, in any mode."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hls_harness import FLUSH_MODE, OPERATIONS, ROUND_UP, Harness, differences

from csnn import exponential
from csnn.neurons import flush
from csnn.neurons.graph import LEAVES, Op
from hls_models.build import FLOAT_CORES
from hls_models.cpp_library import exponential_table

VARIANTS = {"integers": (), "cores": (FLOAT_CORES,)}
N = 500_000
needs_x86 = pytest.mark.skipif(not flush.HARDWARE, reason="needs the modes of x86-64")


@pytest.fixture(scope="module", params=VARIANTS)
def harness(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Harness:
    return Harness(tmp_path_factory.mktemp("harness"), VARIANTS[request.param])


@pytest.mark.parametrize("op", OPERATIONS)
def test_equal_to_the_definition(harness: Harness, op: Op) -> None:
    assert differences(harness, op, N, seed=1) == []


def test_all_operations_are_covered() -> None:
    # AND, NOT and SELECT are C++'s own; benches of models cover them.
    assert set(OPERATIONS) | {Op.AND, Op.NOT, Op.SELECT, *LEAVES} == set(Op)


@needs_x86
@pytest.mark.parametrize("op", [Op.FADD, Op.FSUB, Op.FMUL, Op.FGE, Op.FLT, Op.FEXP, Op.ITOF])
def test_equal_in_flush_mode(harness: Harness, op: Op) -> None:
    assert differences(harness, op, N // 10, seed=2, mode=FLUSH_MODE) == []


@needs_x86
def test_integers_do_not_care_how_the_processor_rounds(tmp_path: Path) -> None:
    harness = Harness(tmp_path)
    for op in OPERATIONS:
        assert differences(harness, op, N // 10, seed=3, mode=ROUND_UP) == []


@needs_x86
def test_mode_is_really_set(tmp_path: Path) -> None:
    """Sums of float do care; otherwise the test above says nothing."""
    harness = Harness(tmp_path, (FLOAT_CORES,))
    assert differences(harness, Op.FADD, N // 10, seed=3, mode=ROUND_UP)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize(
    "options",
    [
        ("-fsanitize=undefined", "-fno-sanitize-recover=all"),
        ("-O3", "-ffast-math", "-ffp-contract=fast"),
        ("-O0", "-std=c++17"),
    ],
    ids=lambda options: options[0],
)
def test_no_undefined_behaviour_and_no_liberties(
    tmp_path: Path, variant: str, options: tuple[str, ...]
) -> None:
    harness = Harness(tmp_path, (*VARIANTS[variant], *options))
    for op in OPERATIONS:
        assert differences(harness, op, N // 10, seed=4) == []


# A core that is right where IEEE-754 leaves it no choice, and of no use elsewhere.
_HOSTILE = """
struct hostile {
    word bits;
    static void demand(bool is_met) { if (!is_met) __builtin_trap(); }
    static hostile of(float x, word noise)
    {
        hostile found;
        __builtin_memcpy(&found.bits, &x, 4);
        // Subnormal sums and zeros come out with any sign and fraction.
        if ((found.bits & INFINITE) == 0)
            found.bits = (noise & 1u) != 0 ? noise & (SIGN | FRACTION) : noise & SIGN;
        return found;
    }
    float value() const
    {
        const word field = bits >> 23 & 255u;
        demand(field != 255 && (field != 0 || (bits & FRACTION) == 0));
        float x;
        __builtin_memcpy(&x, &bits, 4);
        return x;
    }
};
inline hostile operator+(hostile a, hostile b)
{
    return hostile::of(a.value() + b.value(), (a.bits ^ b.bits >> 3) * 2654435761u);
}
inline hostile operator*(hostile a, hostile b)
{
    hostile::demand(a.value() >= 1.0f && a.value() < 2.0f && b.value() >= 1.0f && b.value() < 2.0f);
    return hostile::of(a.value() * b.value(), 0);
}
#define float hostile
union float_or_word {"""


@pytest.mark.parametrize("op", [Op.FADD, Op.FSUB, Op.FMUL])
def test_cores_are_given_what_has_one_result(tmp_path: Path, op: Op) -> None:
    """No subnormals, infinities and NaNs go in; what comes out below 2**-126 has no effect."""
    changes = {"csnn_primitives.h": ("union float_or_word {", _HOSTILE)}
    harness = Harness(tmp_path, (FLOAT_CORES,), changes)
    assert differences(harness, op, N, seed=5) == []


# Replacements in csnn_primitives.h: what is wrong, where it must show.
_FAULTS = {
    "operands of sums are not flushed": (
        "const word a = flushed(a_any), b = flushed(b_any);\n    const bool is_b_larger",
        "const word a = a_any, b = b_any;\n    const bool is_b_larger",
        Op.FADD,
    ),
    "operands of products are not flushed": (
        "const word a = flushed(a_any), b = flushed(b_any);\n    const word sign",
        "const word a = a_any, b = b_any;\n    const word sign",
        Op.FMUL,
    ),
    "operands of comparisons are not flushed": (
        "ordered(flushed(a)) >= ordered(flushed(b))",
        "ordered(a) >= ordered(b)",
        Op.FGE,
    ),
    "zeros are of an order": ("? -magnitude : magnitude", "? -magnitude - 1 : magnitude", Op.FLT),
    "tininess is judged before rounding": ("if (carried < 1)", "if (exponent < 1)", Op.FMUL),
    "ties go up": ("(sticky || (kept & 1u) != 0)", "(sticky || !sticky)", Op.FADD),
    "what is shifted out is lost": ("(shifted << places != wide ? 1u : 0u)", "0u", Op.FADD),
    "ties of products go up": ("below == HIDDEN && (kept & 1u) != 0", "below == HIDDEN", Op.FMUL),
    "a NaN keeps its bits": (
        "if (is_nan(a) || is_nan(b) || is_invalid)\n        return CANONICAL_NAN;",
        "if (is_nan(a) || is_nan(b) || is_invalid)\n        return is_nan(a) ? a : CANONICAL_NAN;",
        Op.FADD,
    ),
    "opposite infinities cancel": (" && is_difference;", " && false;", Op.FSUB),
    "zero times infinity is infinite": ("(is_infinite && is_zero)", "false", Op.FMUL),
    "opposite numbers give -0": ("is_opposite ? 0 :", "is_opposite ? SIGN :", Op.FADD),
    "the largest exponent is infinite": ("if (carried > 254)", "if (carried > 253)", Op.FMUL),
    "integers are truncated": ("(magnitude >> 7 & 1u) != 0", "false", Op.ITOF),
    "the least integer is decremented": ("x > 0 ? x - 1 : 0", "x != 0 ? x - 1 : 0", Op.IDEC),
}


@pytest.mark.parametrize("fault", _FAULTS)
def test_planted_fault_is_found(tmp_path: Path, fault: str) -> None:
    old, new, op = _FAULTS[fault]
    harness = Harness(tmp_path, changes={"csnn_primitives.h": (old, new)})
    assert differences(harness, op, N, seed=1)


def test_table_is_that_of_the_definition() -> None:
    entries = re.findall(r"\b(\d+)u\b", exponential_table())
    assert tuple(map(int, entries)) == exponential.TABLE


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("csnn_exponential.h", "+ (1 << 11)", ""),
        ("csnn_exponential.h", "if (is_nan(x))", "if (false)"),
        ("csnn_exponential.h", "leading * leading >> 9", "leading * leading >> 10"),
        # The entry that exp(0) takes.
        ("csnn_exponential_table.h", str(exponential.TABLE[354]), str(exponential.TABLE[354] + 32)),
    ],
)
def test_planted_fault_of_the_exponential_is_found(
    tmp_path: Path, name: str, old: str, new: str
) -> None:
    harness = Harness(tmp_path, changes={name: (old, new)})
    assert differences(harness, Op.FEXP, N, seed=1)
