"""Bench of the master's control: a state machine in Python is its model.

The environment plays nodes, registers and the network, as the model has it, cycle by cycle; then
the component runs with the same inputs and must give the model's outputs.
"""

from __future__ import annotations

import numpy as np
from bench import Bench, Coverage, Dut
from bench_barrier_set import CONFIG, NODES
from bench_barrier_set import Model as Barriers
from bench_barrier_set import load as load_active
from bench_control import Sum, hashed
from packet_streams import integers

from csnn.packets import Kind, encode
from rtl.mesh.master_control import ERRORS, MasterControl
from rtl.verilate import to_words

EVENT_BITS = 65
OUTPUTS = (
    *("event__ready", "spike__valid", "spike__payload", "sync__valid", "sync__payload"),
    *("next_step", "ends", "sent", "dropped", "halted", "collecting", "waiting", "missing"),
    *("count", "sum", "barrier_count", "barrier_sum", "missing_words__read_data"),
    *(f"error_{name}" for name in ERRORS),
)
BINS = (
    *(f"error {name}" for name in ERRORS),
    *("spike waits", "sync waits", "sync withdrawn", "step with spikes", "halted by the host"),
    *("halted by stop_step", "count survives a halt", "dropped after an error", "sum is awaited"),
    *("cleared with a count", "failed while counting", "reset within a step"),
    *("spike after the last barrier", "barrier after the last barrier", "step 0 follows the last"),
)


class Model:
    """States of the control, with its sum and its barriers."""

    def __init__(self) -> None:
        self.barriers = Barriers()
        self.reset()

    def reset(self) -> None:
        self.state = "HALTED"
        self.spikes = Sum()
        self.barriers.reset()

    def cycle(self, i: dict[str, int]) -> dict[str, int]:
        """Return the outputs of a cycle and go on."""
        body, is_barrier = i["event__payload"] >> 1, bool(i["event__payload"] & 1)
        step, failed = i["step"], bool(i["failed"])
        barriers, spikes, state = self.barriers, self.spikes, self.state
        goes_on = i["run"] and step != i["stop_step"]
        out = dict.fromkeys(OUTPUTS, 0)
        begins, following = False, state
        if state == "HALTED":
            out["halted"] = int(not spikes.busy)
            if goes_on and not failed:
                begins, following = True, "COUNT"
        elif state == "COUNT":
            if barriers.cursor is None:
                following = "SYNC" if barriers.active_count else "HALTED"
                out["error_empty"] = int(not barriers.active_count)
        elif state == "SYNC":
            out["sync__valid"] = int(not failed)
            if failed:
                following = "HALTED"
            elif i["sync__ready"]:
                out["next_step"], following = 1, "COLLECT"
        else:
            out["collecting"] = 1
            out["waiting"] = int(barriers.partly and not barriers.complete)
            if failed:
                following = "HALTED"
            elif not barriers.complete:
                out["error_timeout"] = i["expired"]
            elif not spikes.busy:
                out["ends"] = 1
                out["error_count"] = int(barriers.count != spikes.count)
                out["error_sum"] = int(barriers.total != spikes.total)
                agreed = not out["error_count"] and not out["error_sum"]
                following = "SYNC" if agreed and goes_on else "HALTED"
        awaits = state == "COLLECT" and not barriers.complete
        judged = i["event__valid"] and not failed
        right_spike = awaits and body >> 32 == step
        right_barrier = state == "COLLECT" and body >> 26 & 63 == step & 63
        out["spike__valid"] = int(bool(judged and not is_barrier and right_spike))
        out["spike__payload"] = body
        out["event__ready"] = int(is_barrier or failed or not awaits or i["spike__ready"])
        out["sent"] = int(out["spike__valid"] and i["spike__ready"])
        out["dropped"] = int(
            i["event__valid"] and out["event__ready"] and not is_barrier and not out["sent"]
        )
        out["error_spike_step"] = int(bool(judged and not is_barrier and not right_spike))
        out["error_barrier_step"] = int(bool(judged and is_barrier and not right_barrier))
        out["sync__payload"] = spikes.count | (step & 63) << 26 | spikes.total << 32
        out |= {"count": spikes.count, "sum": spikes.total}
        told = barriers.cycle(
            {
                **dict.fromkeys(("active__address", "active__write"), 0),
                "missing_words__address": i["missing_words__address"],
                "begin": int(begins),
                "next_step": out["next_step"],
                "clear": i["clear"],
                "valid": int(bool(judged and is_barrier and right_barrier)),
                "barrier": body,
                "rst": 0,
            }
        )
        out |= {
            "missing": told["missing"],
            "barrier_count": told["count"],
            "barrier_sum": told["sum"],
            "missing_words__read_data": told["missing_words__read_data"],
            "error_unknown_node": told["unknown"],
            "error_duplicate": told["duplicate"],
        }
        spike = hashed(body & 0xFFFFFFFF, step) if out["sent"] else None
        spikes.go_on(spike, bool(out["next_step"] or i["clear"]))
        self.state = following
        if i["rst"]:
            self.reset()
        return out


class Environment:
    """Nodes, registers, network."""

    def __init__(
        self, rng: np.random.Generator, cover: Coverage, model: Model,
        *, first: int, spikes: float, faults: float, totals: float, late: float,
        stalls: float, halts: float, resets: float,
    ) -> None:  # fmt: skip
        self.rng, self.cover, self.model = rng, cover, model
        self.spikes, self.faults, self.late = spikes, faults, late
        self.totals, self.stalls, self.halts, self.resets = totals, stalls, halts, resets
        self.step = first
        self.stop_step = (first + 5) % (1 << 32)
        self.run = self.failed = False
        self.event: int | None = None
        self.told: dict[int, tuple[int, int]] = {}
        self.arrived: set[int] = set()

    def chance(self, p: float) -> bool:
        return bool(self.rng.random() < p)

    def wrong(self) -> bool:
        return self.chance(self.faults)

    def next_event(self) -> int | None:
        """Return a spike or a barrier message; sometimes a wrong one, or none is due."""
        rng = self.rng
        missing = sorted(self.model.barriers.active - self.arrived)
        is_due = self.model.state == "COLLECT" and bool(missing)
        undue = self.late if self.model.state == "COLLECT" else self.faults / 4
        if not is_due and not self.chance(undue):
            return None
        node = int(rng.choice(missing or sorted(self.arrived) or NODES))
        count, total = self.told.get(node, (0, 0))
        if self.chance(self.spikes):
            source = int(rng.integers(2**32))
            step = self.step ^ (1 << int(rng.integers(32)) if self.wrong() else 0)
            self.told[node] = count + 1, (total + hashed(source, self.step)) % (1 << 32)
            return (source | step << 32) << 1
        if is_due:
            self.arrived.add(node)
        which = int(rng.integers(6)) if self.wrong() else None
        if self.chance(self.totals):
            which = int(rng.integers(3))
        count ^= 1 << int(rng.integers(10)) if which in (0, 2) else 0
        total ^= 1 << int(rng.integers(32)) if which in (1, 2) else 0
        step = self.step & 63 ^ (1 << int(rng.integers(6)) if which == 3 else 0)
        node ^= 1 << int(rng.integers(16)) if which == 4 else 0
        if which == 5 and self.arrived:
            node = int(rng.choice(sorted(self.arrived)))
        message = encode(Kind.BARRIER, count=count & 0x3FF, node=node, step=step, sum=total)
        return message >> 32 << 1 | 1

    def inputs(self) -> dict[str, int]:
        """Choose the inputs of a cycle."""
        model = self.model
        halted = model.state == "HALTED" and not model.spikes.busy
        if halted and self.chance(0.2):
            self.run = not self.failed
            if self.chance(0.5):
                self.stop_step = (self.step + int(self.rng.integers(6))) % (1 << 32)
        elif self.chance(self.halts):
            self.run = False
        clear = halted and (self.failed or self.chance(0.05)) and self.chance(0.3)
        if clear:
            self.event, self.run = None, False
        elif self.event is None and self.chance(0.7):
            self.event = self.next_event()
        return {
            "run": int(self.run),
            "failed": int(self.failed),
            "clear": int(clear),
            "step": self.step,
            "stop_step": self.stop_step,
            "event__valid": int(self.event is not None),
            "event__payload": self.event or 0,
            "spike__ready": int(not self.chance(self.stalls)),
            "sync__ready": int(not self.chance(self.stalls)),
            # It must not matter but while barriers are missing.
            "expired": int(
                self.chance(0.3 if self.failed or model.barriers.complete else self.faults / 40)
            ),
            "missing_words__select": int(self.chance(0.5)),
            "missing_words__address": int(self.rng.integers(2)),
            "rst": int(self.chance(self.resets)),
        }

    def see(self, i: dict[str, int], out: dict[str, int], before: str, complete: bool) -> None:
        """Answer to the outputs of a cycle."""
        hit, after = self.cover.hit, self.model.state
        errors = [name for name in ERRORS if out[f"error_{name}"]]
        for name in errors:
            hit(f"error {name}")
        ended_well = before == "COLLECT" and after == "HALTED" and out["ends"] and not errors
        hit("spike waits", out["spike__valid"] and not i["spike__ready"])
        hit("sync waits", out["sync__valid"] and not i["sync__ready"])
        hit("sync withdrawn", before == "SYNC" and i["failed"])
        hit("step with spikes", out["ends"] and out["count"] > 1 and not errors)
        hit("halted by the host", ended_well and not i["run"])
        hit("halted by stop_step", ended_well and i["run"])
        hit("dropped after an error", out["dropped"] and i["failed"])
        hit("sum is awaited", before == "COLLECT" and complete and not out["ends"])
        hit("cleared with a count", i["clear"] and out["count"])
        hit("failed while counting", before == "COUNT" and i["failed"])
        hit("reset within a step", i["rst"] and before == "COLLECT" and out["count"])
        hit("spike after the last barrier", complete and out["error_spike_step"])
        hit("barrier after the last barrier", complete and out["error_duplicate"])
        hit("count survives a halt", before == "COUNT" and after == "SYNC" and out["count"])
        if i["event__valid"] and out["event__ready"]:
            self.event = None
        if out["next_step"]:
            self.step = (self.step + 1) % (1 << 32)
            hit("step 0 follows the last", self.step == 0)
            self.told, self.arrived = {}, set()
        # Another unit fails, as the step ends for instance.
        ends = after == "COLLECT" and self.model.barriers.complete
        random_failure = self.chance(self.late / 2 if ends else self.faults / 100)
        self.failed = not i["clear"] and (self.failed or bool(errors) or random_failure)
        if errors or random_failure:
            self.run = False
        if i["rst"]:
            self.failed = self.run = False
            self.event = None


async def drive(
    dut: Dut, rng: np.random.Generator, cover: Coverage,
    *, cycles: int = 1500, share: float = 0.1, spikes: float = 0.5, faults: float = 0.0,
    totals: float = 0.0, late: float = 0.0, stalls: float = 0.2, halts: float = 0.0,
    resets: float = 0.0, first: int = 7,
) -> None:  # fmt: skip
    """Play a stretch and compare all outputs."""
    model = Model()
    bits = rng.random((2, NODES // 2)) < share
    low, high = (sum(1 << k for k in np.flatnonzero(row).tolist()) for row in bits)
    await load_active(dut, model.barriers, (low, high))
    around = Environment(
        rng, cover, model, first=first, spikes=spikes, faults=faults, totals=totals,
        late=late, stalls=stalls, halts=halts, resets=resets,
    )  # fmt: skip
    taken, expected = [], []
    for _ in range(cycles):
        i = around.inputs()
        before, complete = model.state, model.barriers.complete
        out = model.cycle(i)
        around.see(i, out, before, complete and before == "COLLECT")
        taken.append(i)
        expected.append(out)
    arrays = {name: [i[name] for i in taken] for name in taken[0] if name != "event__payload"}
    arrays["event__payload"] = to_words([i["event__payload"] for i in taken], EVENT_BITS)
    found = await dut.run(arrays)
    for name in OUTPUTS:
        values = integers(found[name])
        valid = name.replace("payload", "valid")
        for t, out in enumerate(expected):
            if valid == name or out[valid]:
                assert values[t] == out[name], (t, name)


async def idle(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
    """No node; then steps without spikes, of few nodes."""
    await drive(dut, rng, cover, share=0.0, cycles=300)
    await drive(dut, rng, cover, share=0.03, spikes=0.0, stalls=0.0)


async def back_pressure(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
    """The network is slow; then it takes everything, and spikes come one after the other."""
    await drive(dut, rng, cover, stalls=0.8)
    await drive(dut, rng, cover, stalls=0.0, spikes=0.9)


async def reset_in_flight(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
    """A reset at any time."""
    for _ in range(3):
        await drive(dut, rng, cover, resets=0.005)


async def random(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
    """Steps, halts, and every error."""
    for first in (0, 61, 2**32 - 3):
        await drive(dut, rng, cover, halts=0.01, first=first)
        await drive(dut, rng, cover, faults=0.03, halts=0.01, first=first)
        await drive(dut, rng, cover, faults=0.01, first=first, spikes=0.3)
        await drive(dut, rng, cover, totals=0.05, late=0.3, first=first)
        await drive(dut, rng, cover, faults=0.2, halts=0.01, first=first)


BENCH = Bench(
    make=lambda: MasterControl(CONFIG),
    scenarios=(idle, back_pressure, reset_in_flight, random),
    bins=BINS,
    mutated="top",
    equivalent={
        "clear$: next_step | clear => next_step ^ clear": "the master is cleared while it is "
        "halted",
    },
)
