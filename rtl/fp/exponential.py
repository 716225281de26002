"""Binary32 exponential."""

from __future__ import annotations

from dataclasses import dataclass

from amaranth.hdl import Array, Cat, Const, Module, Mux, Value
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from csnn import exponential as rule
from rtl.fp.bits import shift_right
from rtl.fp.format import BIAS, CANONICAL_NAN, FinalExponent, Operand, infinity, zero
from rtl.pipeline import Pipeline, Staged

# Widths: of the argument's magnitude, 24 bits shifted by as much as its exponent allows; of the
# multiple k of ln 2; of the growth that the rest's low bits cause.
_PLACES = rule.LARGEST_FIELD - BIAS + rule.ARGUMENT_BITS - 23
_MAGNITUDE = 24 + _PLACES
_K = 10
_GROWTH = 24
# Half of its bits; bits of its product with an entry that are below those of the sum.
_HALF, _BELOW = 12, 16


@dataclass(frozen=True, kw_only=True)
class ExponentialConfig:
    """Parameters.

    Attributes
    ----------
    latency : int
        Cycles, 1 to 16.
    halves : bool
        Two products of 17 by 12 bits, for devices whose multipliers take 18 by 18, in place of one
        for 25 by 18.
    """

    latency: int = 13
    halves: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.latency <= 16:
            raise ValueError(f"latency = {self.latency}: must be from 1 to 16")


class Exponential(wiring.Component):
    """The exponential of a binary32 number.

    Ports
    -----
    a : 32 bits, in
    result : 32 bits, out

    Latency
        `config.latency` cycles.
    Throughput
        One number per cycle.
    Backpressure
        None: the pipeline does not stall.
    Reference
        `csnn.exponential.exp`, bit for bit; within one unit in the last place of the exact value.
    """

    def __init__(self, config: ExponentialConfig | None = None) -> None:
        self.config = config or ExponentialConfig()
        super().__init__({"a": In(32), "result": Out(32)})

    def elaborate(self, platform: object) -> Module:
        """Build the datapath: to fixed point, reduce, table and polynomial, round, pack."""
        m = Module()
        halves = self.config.halves
        p = Pipeline(m, steps=14 if halves else 13, latency=self.config.latency)
        a = Operand(m, self.a)
        sign = p.put(self.a[31], "sign")
        nan = p.put(a.is_nan, "nan")
        is_large = p.put(a.exponent > rule.LARGEST_FIELD, "is_large")
        distance = p.put((rule.LARGEST_FIELD - a.exponent)[:8], "distance")
        significand = p.put(a.significand, "significand")
        p.step()

        far = p.get(distance)
        wide = Cat(Const(0, _PLACES), p.get(significand))
        shifted = shift_right(m, wide, far, (32, 16, 8))
        coarse = p.put(Mux(far[6:8].any(), 0, shifted), "coarse")
        p.step()

        magnitude = p.put(shift_right(m, p.get(coarse), p.get(distance), (4, 2, 1)), "magnitude")
        p.step()

        negative = p.get(sign)
        flipped = p.get(magnitude) ^ negative.replicate(_MAGNITUDE)
        fixed = p.put((Cat(flipped, negative) + negative)[: _MAGNITUDE + 1], "fixed")
        p.step()

        top = p.get(fixed)[rule.ARGUMENT_BITS - rule.TOP_BITS :].as_signed()
        scaled = (top * rule.INVERSE_LN2 - rule.MARGIN) >> (rule.TOP_BITS + rule.INVERSE_BITS)
        k = p.put(scaled[:_K], "k")
        p.step()

        multiple = p.put(_multiple_of_ln2(p.get(k)), "multiple")
        p.step()

        aligned = Cat(Const(0, rule.REST_BITS - rule.ARGUMENT_BITS), p.get(fixed))
        rest = p.put((aligned - p.get(multiple))[: rule.REST_BITS], "rest")
        p.step()

        # The register behind the port makes it a synchronous one in a block RAM.
        m.submodules.table = table = Memory(
            shape=rule.ENTRY_BITS + 2, depth=len(rule.TABLE), init=rule.TABLE
        )
        port = table.read_port(domain="comb")
        m.d.comb += port.addr.eq(p.get(rest)[-rule.INDEX_BITS :])
        entry = p.put(port.data, "entry")
        low = p.get(rest)[: rule.REST_BITS - rule.INDEX_BITS]
        square = p.put(low[16:] * low[16:], "square")
        linear = p.put(low[rule.REST_BITS - 32 :], "linear")
        p.step()

        growth = p.put((p.get(linear) + p.get(square)[9:])[:_GROWTH], "growth")
        # An entry less one: an entry is below four, so that bit ENTRY_BITS tells the difference.
        above = p.get(entry)
        above = Cat(above[: rule.ENTRY_BITS], ~above[rule.ENTRY_BITS])
        factor = p.put((above + (1 << 11))[12 : rule.ENTRY_BITS + 1], "factor")
        p.step()

        base = p.put((Cat(Const(0, 4), p.get(entry)) + p.get(growth))[:34], "base")
        product = (self._in_halves if halves else self._whole)(p, factor, growth)
        p.step()

        total = p.put((p.get(base) + p.get(product))[:34], "total")
        p.step()

        bits = p.get(total)
        is_two = bits[33]
        kept = p.now(Mux(is_two, bits[10:34], bits[9:33]), "kept")
        guard = Mux(is_two, bits[9], bits[8])
        sticky = bits[:8].any() | (is_two & bits[8])
        rounded = p.put(kept + (guard & (sticky | kept[0])), "rounded")
        # A carry never lifts a result to 2^-126: no argument is as near -126 ln 2 as that.
        grown = p.now(p.get(k).as_signed() + is_two + BIAS, "grown")
        final = FinalExponent(p, grown, tiny_is_exact=True)
        p.step()

        value = p.get(rounded)
        exponent, over, tiny = final.after(value[24])
        large = p.get(is_large)
        over = Mux(large, ~p.get(sign), over)
        tiny = Mux(large, p.get(sign), tiny)
        word = Mux(over, infinity(0), Cat(value[:23], exponent, Const(0, 1)))
        word = Mux(tiny, zero(0), word)
        result = p.put(Mux(p.get(nan), Const(CANONICAL_NAN, 32), word), "word")
        p.step()
        m.d.comb += self.result.eq(p.finish(result))
        return m

    def _whole(self, p: Pipeline, factor: Staged, growth: Staged) -> Staged:
        """Return the product without its lowest bits."""
        return p.put((p.get(factor) * p.get(growth))[_BELOW:], "product")

    def _in_halves(self, p: Pipeline, factor: Staged, growth: Staged) -> Staged:
        """Return the same, one step on."""
        parts = p.get(growth)[:_HALF], p.get(growth)[_HALF:]
        low, high = (p.put(p.get(factor) * part, "half") for part in parts)
        p.step()
        return p.put((p.get(high) + p.get(low)[_HALF:])[_BELOW - _HALF :], "product")


def _multiple_of_ln2(k: Value) -> Value:
    """Return k ln 2 modulo 2**REST_BITS, without a multiplier: of two halves from tables."""
    half = _K // 2
    low = [i * rule.LN2 for i in range(1 << half)]
    # The upper half has the sign.
    high = [(i - (i >> (half - 1) << half)) * (rule.LN2 << half) for i in range(1 << half)]
    modulus = (1 << rule.REST_BITS) - 1
    parts = [
        Array(Const(value & modulus, rule.REST_BITS) for value in values)[index]
        for values, index in ((low, k[:half]), (high, k[half:]))
    ]
    return (parts[0] + parts[1])[: rule.REST_BITS]
