"""Count and sum are those of the spikes that came: none is left out, added or altered.

The model keeps the last two spikes as they are and takes the whole hash of `csnn.packets` at once,
when the component adds it.
"""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from prover import Properties

from rtl.spike_sum import SpikeSum


def _hash(source: Value, step: Value) -> Value:
    """Return the hash of a spike as `csnn.packets.spike_hash` defines it."""
    h = source ^ Cat(*reversed(list(step)))
    h = (h + (h << 10))[:32]
    h = h ^ h >> 6
    h = (h + (h << 3))[:32]
    h = h ^ h >> 11
    return (h + (h << 15))[:32]


class SpikeSumHarness(wiring.Component):
    """A sum beside its model."""

    def __init__(self) -> None:
        super().__init__(
            {
                "clear": In(1),
                "valid": In(1),
                "source": In(32),
                "step": In(32),
                "violated": Out(1),
                **{f"reached_{name}": Out(1) for name in ("three_spikes", "cleared")},
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Compare all outputs."""
        m = Module()
        p = Properties(m, self)
        m.submodules.spike_sum = found = SpikeSum()
        m.d.comb += [
            getattr(found, name).eq(getattr(self, name))
            for name in ("clear", "valid", "source", "step")
        ]
        valid, source, step = self.valid, self.source, self.step
        for stage in range(2):
            delayed = [
                Signal(value.shape(), name=f"{name}_{stage}", reset_less=name != "valid")
                for name, value in (("valid", valid), ("source", source), ("step", step))
            ]
            m.d.sync += [
                late.eq(value) for late, value in zip(delayed, (valid, source, step), strict=True)
            ]
            valid, source, step = delayed
            if stage == 0:
                in_flight = valid
        in_flight = in_flight | valid
        count, total = Signal(len(found.count)), Signal(len(found.sum))
        with m.If(self.clear):
            m.d.sync += [count.eq(0), total.eq(0)]
        with m.Elif(valid):
            m.d.sync += [count.eq(count + 1), total.eq(total + _hash(source, step))]
        p.never(found.count != count)
        p.never(found.sum != total)
        p.never(found.busy != in_flight)
        p.cover("three_spikes", found.count == 3)
        was_three = Signal()
        m.d.sync += was_three.eq(found.count == 3)
        p.cover("cleared", was_three & (found.count == 0))
        p.finish()
        return m
