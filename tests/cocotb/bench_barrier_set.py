"""Bench of the barrier: sets of node numbers are its model.

The environment follows the rules of the control: a step begins when all have arrived or have been
counted, messages come within a step, and what is active changes between steps.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from bench import Bench, Coverage, Dut
from packet_streams import integers

from csnn.hardware.master_config import MasterConfig
from csnn.packets import Kind, encode
from rtl.mesh.barrier_set import BarrierSet

CONFIG = MasterConfig(nodes=64)
NODES, PER_WORD = CONFIG.nodes, 32
# Cycles of every stretch.
CYCLES = 800
OUTPUTS = (
    *("counting", "unknown", "duplicate", "is_empty", "complete", "partly", "missing"),
    *("count", "sum", "active__read_data", "missing_words__read_data"),
)


def bitmap(nodes: set[int], word: int) -> int:
    return sum(1 << n - PER_WORD * word for n in nodes if n // PER_WORD == word)


@dataclass
class Model:
    """Sets of nodes; `arrived` means nothing while `fresh`."""

    active: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.arrived: set[int] = set()
        self.cursor: int | None = None
        self.fresh, self.complete, self.partly = True, False, False
        self.active_count = self.missing = self.count = self.total = 0
        self.read = {"active": 0, "missing_words": 0}

    def cycle(self, i: dict[str, int]) -> dict[str, int]:
        """Return the outputs of a cycle and go on."""
        node = i["barrier"] >> 10 & 0xFFFF
        told = {
            "unknown": int(bool(i["valid"]) and node not in self.active),
            "duplicate": int(bool(i["valid"]) and node in self.active & self.arrived),
        }
        out = {
            **told,
            "counting": int(self.cursor is not None),
            "is_empty": int(not self.active_count),
            "complete": int(self.complete),
            "partly": int(self.partly),
            "missing": self.missing,
            "count": self.count,
            "sum": self.total,
            **{f"{name}__read_data": word for name, word in self.read.items()},
        }
        shown = self.active if self.fresh else self.active - self.arrived
        self.read["missing_words"] = bitmap(shown, i["missing_words__address"])
        self.read["active"] = bitmap(self.active, i["active__address"])
        if i["next_step"] or i["clear"]:
            self.count = self.total = 0
        if self.cursor is not None:
            self.active_count += self.cursor in self.active
            word = self.cursor // PER_WORD
            self.arrived |= set(range(PER_WORD * word, PER_WORD * (word + 1)))
            self.cursor = self.cursor + 1 if self.cursor + 1 < NODES else None
        if i["begin"]:
            self.cursor, self.active_count = 0, 0
        if i["next_step"]:
            self.arrived, self.missing = set(), self.active_count
            self.fresh = self.complete = self.partly = False
        if i["valid"] and not any(told.values()):
            self.arrived.add(node)
            self.missing -= 1
            self.complete, self.partly = not self.missing, True
            self.count += i["barrier"] & 0x3FF
            self.total = (self.total + (i["barrier"] >> 32)) % (1 << 32)
        if i["active__write"]:
            word = i["active__address"]
            self.active = {n for n in self.active if n // PER_WORD != word} | {
                PER_WORD * word + k for k in range(PER_WORD) if i["active__write_data"] >> k & 1
            }
            self.fresh = True
        self.fresh = self.fresh or bool(i["clear"])
        if i["rst"]:
            self.reset()
        return out


class Environment:
    """A control that counts, begins steps, hands barriers on and halts."""

    def __init__(
        self, rng: np.random.Generator, cover: Coverage, model: Model,
        *, barriers: float, wrong: float, halts: float, resets: float, share: float,
    ) -> None:  # fmt: skip
        self.rng, self.cover, self.model = rng, cover, model
        self.barriers, self.wrong, self.halts = barriers, wrong, halts
        self.resets, self.share = resets, share
        self.state = "HALTED"

    def chance(self, p: float) -> bool:
        return bool(self.rng.random() < p)

    def node(self) -> int:
        """Return a node that is missing, or any, or one of which a high bit is wrong."""
        missing = sorted(self.model.active - self.model.arrived)
        if missing and not self.chance(self.wrong):
            return int(self.rng.choice(missing))
        any_node = int(self.rng.integers(NODES))
        return any_node | (1 << int(self.rng.integers(6, 16)) if self.chance(0.3) else 0)

    def inputs(self) -> dict[str, int]:
        """Choose the inputs of a cycle."""
        rng, model = self.rng, self.model
        i = dict.fromkeys(("begin", "next_step", "clear", "valid", "active__write"), 0)
        for access in ("active", "missing_words"):
            i[f"{access}__address"] = int(rng.integers(2))
            i[f"{access}__select"] = int(self.chance(0.5))
            i[f"{access}__write_data"] = 0
        i["missing_words__write"] = 0
        i["barrier"] = (
            encode(
                Kind.BARRIER,
                count=int(rng.integers(257)),
                node=self.node(),
                step=int(rng.integers(64)),
                sum=int(rng.integers(2**32)),
            )
            >> 32
        )
        if self.state == "HALTED":
            if self.chance(0.1):
                i["begin"], self.state = 1, "COUNT"
            elif self.chance(0.1):
                i["clear"] = 1
            if self.chance(0.1):
                bits = rng.random(PER_WORD) < self.share
                i["active__write"] = i["active__select"] = 1
                i["active__write_data"] = sum(1 << k for k in np.flatnonzero(bits).tolist())
        elif self.state == "COUNT" and model.cursor is None:
            self.state = "NEXT" if model.active_count else "HALTED"
            self.cover.hit("no node", self.state == "HALTED")
        elif self.state == "NEXT" and self.chance(0.5):
            i["next_step"], self.state = 1, "STEP"
            i["clear"] = int(self.chance(0.2))
        elif self.state == "STEP":
            i["valid"] = int(not model.complete and self.chance(self.barriers))
            if model.complete:
                self.state = "HALTED" if self.chance(self.halts) else "NEXT"
            elif self.chance(self.halts / 20):
                # A step that failed.
                self.state = "HALTED"
        i["rst"] = int(self.chance(self.resets))
        if i["rst"]:
            self.state = "HALTED"
        return i


async def load(dut: Dut, model: Model, words: tuple[int, int]) -> None:
    await dut.run(
        {
            "active__select": 1,
            "active__write": np.ones(2),
            "active__address": np.arange(2),
            "active__write_data": np.array(words, dtype=np.uint64),
        }
    )
    await dut.run({"rst": [1]})
    model.active = {n for n in range(NODES) if words[n // PER_WORD] >> n % PER_WORD & 1}
    model.reset()


async def drive(
    dut: Dut, rng: np.random.Generator, cover: Coverage, *, barriers: float = 0.6,
    wrong: float = 0.0, halts: float = 0.3, resets: float = 0.0, share: float = 0.2,
) -> None:  # fmt: skip
    """Play a stretch and compare all outputs."""
    model = Model()
    bits = rng.random((2, PER_WORD)) < share
    first, second = (sum(1 << k for k in np.flatnonzero(row).tolist()) for row in bits)
    await load(dut, model, (first, second))
    around = Environment(
        rng, cover, model, barriers=barriers, wrong=wrong, halts=halts, resets=resets, share=share
    )
    taken, expected = [], []
    arrived_in_a_row = 0
    for _ in range(CYCLES):
        i = around.inputs()
        before = model.missing
        out = model.cycle(i)
        taken.append(i)
        expected.append(out)
        node = i["barrier"] >> 10 & 0xFFFF
        arrived_in_a_row = arrived_in_a_row + 1 if model.missing == before - 1 else 0
        cover.hit("two in a row", arrived_in_a_row > 1)
        cover.hit("unknown", out["unknown"] and node < NODES)
        cover.hit("beyond", out["unknown"] and node >= NODES)
        cover.hit("duplicate", out["duplicate"])
        cover.hit("last one", model.complete and not out["complete"])
        cover.hit("cleared within a step", i["clear"] and out["partly"] and not out["complete"])
        cover.hit("reset within a step", i["rst"] and out["partly"] and not out["complete"])
        cover.hit("missing ones are seen", out["partly"] and out["missing_words__read_data"])
    arrays = {name: np.array([i[name] for i in taken], dtype=np.uint64) for name in taken[0]}
    found = await dut.run(arrays)
    for name in OUTPUTS:
        values = integers(found[name])
        for t, out in enumerate(expected):
            assert values[t] == out[name], (t, name)


async def idle(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
    """No node at all; then few of them, and seldom."""
    await drive(dut, rng, cover, share=0.0)
    await drive(dut, rng, cover, share=0.03, barriers=0.05)


async def back_pressure(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
    """Barriers one after the other, step after step."""
    await drive(dut, rng, cover, barriers=1.0, halts=0.0)
    await drive(dut, rng, cover, barriers=1.0, halts=0.0, share=0.9)


async def reset_in_flight(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
    """A reset within a step, or while the nodes are counted."""
    for _ in range(3):
        await drive(dut, rng, cover, resets=0.01)


async def random(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
    """Halts, failures, other nodes; barriers that should not come."""
    for share in (0.05, 0.1, 0.3):
        await drive(dut, rng, cover, share=share, halts=0.5)
        await drive(dut, rng, cover, share=share, wrong=0.4)


BENCH = Bench(
    make=lambda: BarrierSet(CONFIG),
    scenarios=(idle, back_pressure, reset_in_flight, random),
    bins=(
        *("no node", "two in a row", "unknown", "beyond", "duplicate", "last one"),
        *("cleared within a step", "reset within a step", "missing ones are seen"),
    ),
)
