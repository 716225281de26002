"""Throughput of the spike router in cycles: of a stream of spikes max(1, L) for each row."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In
from row_directory import CONFIG, PORTS, SPAN, Directory

from csnn.rows import Sampler
from rtl.spike_router import SpikeRouter
from rtl.verilate import Verilated

LATENCY = SpikeRouter.latency(CONFIG)
LENGTHS = (0, 1, 2, 5, 40)
SPIKES = 50


class WithPause(wiring.Component):
    """A router that takes no spike in the cycle after one: an idle cycle per spike."""

    def __init__(self) -> None:
        self.router = SpikeRouter(CONFIG)
        super().__init__(dict(self.router.signature.members))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.router = router = self.router
        pauses = Signal()
        m.d.sync += pauses.eq(self.source.valid & self.source.ready)
        for name, member in self.signature.members.items():
            port, inner = getattr(self, name), getattr(router, name)
            if name == "source":
                m.d.comb += [
                    inner.payload.eq(port.payload),
                    inner.valid.eq(port.valid & ~pauses),
                    port.ready.eq(inner.ready & ~pauses),
                ]
            elif member.is_signature:
                wiring.connect(m, wiring.flipped(port), inner)
            else:
                m.d.comb += inner.eq(port) if member.flow is In else port.eq(inner)
        return m


def with_gap(verilog: str) -> str:
    """Return the router with an idle cycle between rows: the last draw is waited for."""
    changed, count = re.subn(
        r"assign row__ready = (\\\S+)  \| \S+ ;", r"assign row__ready = \1 ;", verilog
    )
    assert count == 1
    return changed


class Router:
    """A router in its simulation, all inputs at zero unless given."""

    def __init__(
        self,
        component: wiring.Component | None = None,
        change: Callable[[str], str] = lambda verilog: verilog,
    ) -> None:
        self._bench = Verilated(component or SpikeRouter(CONFIG), change=change)

    def run(self, streams: dict[str, np.ndarray] | None = None, **inputs: object) -> dict:
        cycles = max(len(np.atleast_1d(value)) for value in inputs.values())
        zeros = dict.fromkeys(self._bench.inputs, np.zeros(cycles, np.uint64))
        given = {name: np.broadcast_to(value, cycles) for name, value in inputs.items()}
        return self._bench.run({**zeros, **given}, streams)

    def cycles(self, sampler: Sampler, length: int, spikes: int) -> int:
        """Return the cycles from the first spike's taking until the router is idle."""
        rng = np.random.default_rng(length)
        directory = Directory(
            rng, n=100, base=1000, fixed=length, samplers=(sampler,), everywhere=True
        )
        self.run(rst=[1])
        self.run(**directory.writing(rng, PORTS))
        sources = 1000 + np.arange(spikes) % SPAN
        offered = np.ones(LATENCY + spikes * (length + 8))
        found = self.run({"source": sources}, source__valid=offered, **directory.settings)
        taken = np.flatnonzero(found["source__valid"] & found["source__ready"])
        assert len(taken) == spikes
        assert found["valid"].sum() == spikes * length
        return int(np.flatnonzero(found["busy"])[-1] - taken[0])

    def cost(self, sampler: Sampler, length: int) -> float:
        """Return the cycles of a spike within a stream."""
        cycles = [self.cycles(sampler, length, count) for count in (SPIKES, 2 * SPIKES)]
        return (cycles[1] - cycles[0]) / SPIKES


@pytest.fixture(scope="module")
def router() -> Router:
    return Router()


by_sampler = pytest.mark.parametrize("sampler", Sampler, ids=lambda sampler: sampler.name)


@by_sampler
@pytest.mark.parametrize("length", LENGTHS)
def test_a_spike_costs_its_synapses_and_no_more(
    router: Router, sampler: Sampler, length: int
) -> None:
    assert router.cost(sampler, length) == max(1, length)


@by_sampler
def test_a_stream_of_spikes_needs_the_latency_besides(router: Router, sampler: Sampler) -> None:
    assert router.cycles(sampler, 5, SPIKES) == LATENCY + SPIKES * 5 - 1


def test_an_idle_cycle_between_rows_is_caught() -> None:
    faulty = Router(change=with_gap)
    for length in LENGTHS[1:]:
        assert faulty.cost(Sampler.INDEPENDENT, length) == length + 1


def test_an_idle_cycle_after_each_spike_is_caught() -> None:
    faulty = Router(WithPause())
    assert faulty.cost(Sampler.INDEPENDENT, 0) == 2
    assert faulty.cost(Sampler.INDEPENDENT, 1) == 2
