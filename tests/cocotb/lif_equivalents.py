"""Mutants of operators that show where these stand alone, but nowhere in a LIF pipeline."""

from __future__ import annotations

SIGNED = "{ sign_1_q_q_q_q_q_q, 31'h7f800000 }"
SUM = "{ sign_1_q_q_q_q_q_q, (rounded_8_q[24] ? exponent_8_q$: exponent_8_q) , rounded_8_q[22:0] }"
LEFT = "{ sign_1_q_q_q_q_q_q, $ , rounded_8_q[22:0] }"
TINY = f"$: tiny_8_q ? {{ sign_1_q_q_q_q_q_q, 31'h00000000 }}: (over_8_q ? {SIGNED}: {LEFT}) =>"
PRODUCT = (
    "$: ($ | none_0_q_q_q_q) ? { sign_0_q_q_q_q, 31'h00000000 }: (over_4_q ? { sign_0_q_q_q_q, "
    "31'h7f800000 }: { sign_0_q_q_q_q, $ , rounded_4_q[22:0] }) =>"
)
# The sum that follows takes a subnormal for zero, and all NaNs alike.
FLUSHED = (
    f"$: nan_0_q_q_q_q_q_q ? 32'd2143289344: {SIGNED} => nan_0_q_q_q_q_q_q ? 32'd2143354880: "
    f"{SIGNED}",
    f"{TINY} tiny_8_q ? {{ sign_1_q_q_q_q_q_q, 31'd32768 }}: $",
    "$: empty_7_q_q ? { (sign_1_q_q_q_q_q_q & $) , 31'h00000000 }: (tiny_8_q ? "
    "{ sign_1_q_q_q_q_q_q, 31'h00000000 }: $) => empty_7_q_q ? { $ , 31'd32768 }: $",
    "$: nan_0_q_q_q_q ? 32'd2143289344: { sign_0_q_q_q_q, 31'h7f800000 } => nan_0_q_q_q_q ? "
    "32'd2143354880: { sign_0_q_q_q_q, 31'h7f800000 }",
    f"{PRODUCT} $ ? {{ sign_0_q_q_q_q, 31'd32768 }}: $",
    # Without a carry it misses the exponent 0 only.
    "$: rounded_4_q[24] ? tiny_4_q$: tiny_4_q => tiny_4_q$",
    "word_4: empty_1_q_q ? 32'd0: { sign_0_q_q, ($signed($) + $signed({ 1'h0, rounded_3_q[24] })) "
    "[7:0], rounded_3_q[22:0] } => empty_1_q_q ? 32'd65536: { sign_0_q_q, $ [7:0], "
    "rounded_3_q[22:0] }",
)
# A sum of spikes is +0, or a finite number of at least one.
OF_INTEGERS = (
    "$: is_nan | is_nan$ => is_nan ^ is_nan$",
    "$signal$: b[30:23] == 8'hff => b[30:23] == 8'd239",
    "$signal$: b[30:23] == 8'hff => b[29:22] == 8'hff",
    "whole$: ! b[22:0] => | b[22:0]",
    "$: ~ whole$ => whole$",
    # The sum with an infinity overflows as one with a number, which none else does.
    "inf_0: is_inf | is_inf$ => is_inf & is_inf$",
    *(f"inf_0{'_q' * k} <=: inf_0{'_q' * (k - 1)} => inf_0{'_q' * k}" for k in range(1, 7)),
    "$: nan_0_q_q_q_q_q_q | inf_0_q_q_q_q_q_q => nan_0_q_q_q_q_q_q ^ inf_0_q_q_q_q_q_q",
    f"$: over_8_q ? {SIGNED}: {SUM} => {LEFT}",
    f"$: over_8_q ? {SIGNED}: {SUM} => over_8_q ? {{ 31'h7f800000, sign_1_q_q_q_q_q_q }}: {LEFT}",
    f"$: over_8_q ? {SIGNED}: {SUM} => over_8_q ? {{ sign_1_q_q_q_q_q_q, 31'd2139127808 }}: {LEFT}",
    "over_8_q <=: over_8 => over_8_q",
    # No sum is tiny, but for one that is zero.
    "tiny_8: $signed(grown_7_q) < $signed(2'h1) => $signed(grown_7_q) < $signed(2'd3)",
    f"{TINY} $",
    f"{TINY} tiny_8_q ? {{ 31'h00000000, sign_1_q_q_q_q_q_q }}: $",
    "tiny_8_q <=: tiny_8 => tiny_8_q",
    # Stuck at one: a sum of like signs is zero only if both are +0.
    *(f"minus_0{'_q' * k} <=: minus_0{'_q' * (k - 1)} => minus_0{'_q' * k}" for k in (4, 5, 6)),
    # A product of -0 and +0 give +0, as another subnormal does.
    f"{PRODUCT} $ ? {{ 31'h00000000, sign_0_q_q_q_q }}: $",
)
