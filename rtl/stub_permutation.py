"""Keyed permutation of a node's stubs: targets of rows with fixed in-degrees."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from csnn.rows import (
    STUB_FOLDS,
    STUB_KEY_INCREMENT,
    STUB_KEY_ROTATION,
    STUB_L_SHIFT,
    STUB_LONG_MASK,
    STUB_MULTIPLIERS,
    STUB_R_BITS,
    STUB_R_SHIFT,
    STUB_ROUNDS,
    STUB_SCALE_BITS,
    STUB_SHORT_MASK,
)
from rtl.pipeline import Pipeline, Staged

L_BITS = 24
DEGREE_BITS = L_BITS + 1
LONG_BITS, SHORT_BITS = STUB_LONG_MASK.bit_length(), STUB_SHORT_MASK.bit_length()
_STEPS_PER_ROUND = 5


class StubPermutation(wiring.Component):
    """Permutes stubs (l, r), l below K and r below n.

    Ports
    -----
    left, right : 24 and 8 bits, in
        The stub.
    in_degree, key : 25 and 32 bits, in
        K and key of its block; they may change from stub to stub.
    n_neurons : 9 bits, in
        n; fixed.
    target : 8 bits, out
        r of the image.

    Latency
        30 cycles, five for each round.
    Throughput
        One stub per cycle.
    Backpressure
        None: the pipeline does not stall.
    Reference
        `csnn.rows.permute_stubs`; docs/decisions/0006-stub-permutation.md.
    """

    LATENCY = _STEPS_PER_ROUND * STUB_ROUNDS

    def __init__(self) -> None:
        super().__init__(
            {
                "left": In(L_BITS),
                "right": In(STUB_R_BITS),
                "in_degree": In(DEGREE_BITS),
                "key": In(32),
                "n_neurons": In(9),
                "target": Out(STUB_R_BITS),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Add a hash of r to l, then one of l to r, three times."""
        m = Module()
        p = Pipeline(m, steps=self.LATENCY, latency=self.LATENCY)
        left, right = p.put(self.left, "left"), p.put(self.right, "right")
        degree, key = p.put(self.in_degree, "degree"), p.put(self.key, "key")
        for turn in range(STUB_ROUNDS):
            round_key = _round_key(p.get(key), turn)
            multiplier = STUB_MULTIPLIERS[turn // 2]
            if turn % 2 == 0:
                value = p.get(right)
                other = _above(value, STUB_R_SHIFT, multiplier & STUB_LONG_MASK, LONG_BITS)
                hashed = self._hash(p, value ^ round_key, other)
                left = self._add(p, left, hashed, degree)
            else:
                value = p.get(left)
                other = _above(value, STUB_L_SHIFT, multiplier & STUB_SHORT_MASK, SHORT_BITS)
                hashed = self._hash(p, value ^ round_key, other)
                right = self._add(p, right, hashed, None)
        m.d.comb += self.target.eq(p.finish(right))
        return m

    def _hash(self, p: Pipeline, one: Value, other: Value) -> Staged:
        """Return the folded product of two factors, three steps on."""
        factors = p.put(one, "one"), p.put(other, "other")
        p.step()
        product = p.put((p.get(factors[0]) * p.get(factors[1]))[:32], "product")
        p.step()
        folded = p.get(product)[:STUB_SCALE_BITS]
        for shift in STUB_FOLDS:
            folded = folded ^ p.get(product)[shift : shift + STUB_SCALE_BITS]
        hashed = p.put(folded, "hash")
        p.step()
        return hashed

    def _add(self, p: Pipeline, value: Staged, hashed: Staged, degree: Staged | None) -> Staged:
        """Add a hash, scaled to the modulus, two steps on; a sum is below twice the modulus."""

        def modulus() -> Value:
            return self.n_neurons if degree is None else p.get(degree)

        width = len(p.get(value))
        scaled = p.put((p.get(hashed) * modulus())[STUB_SCALE_BITS:][:width], "scaled")
        p.step()
        total = p.now(p.get(value) + p.get(scaled), "total")
        less = p.now(total - modulus(), "less")
        reduced = p.put(Mux(less[-1], total[:width], less[:width]), "reduced")
        p.step()
        return reduced


def _round_key(key: Value, turn: int) -> Value:
    """Return the key of a round: nothing but wires and inverters."""
    shift = turn * STUB_KEY_ROTATION
    rotated = Cat(key[32 - shift :], key[: 32 - shift]) if shift else key
    bits = LONG_BITS if turn % 2 else SHORT_BITS
    constant = turn * STUB_KEY_INCREMENT & (1 << bits) - 1
    return rotated[:bits] ^ Const(constant, bits)


def _above(value: Value, shift: int, multiplier: int, bits: int) -> Value:
    """Return a multiplier with a value exclusive-ored to its bits from `shift` on."""
    low = Const(multiplier & (1 << shift) - 1, shift)
    return Cat(low, value[: bits - shift] ^ Const(multiplier >> shift, bits - shift))
