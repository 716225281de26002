"""Compiled updates = NumPy evaluation = exact arithmetic, bit for bit; flush mode of kernels."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import exact_binary32 as exact
import numpy as np
import pytest
from fp_vectors import corner_pairs, exponents
from numba import njit
from numba.core.errors import TypingError
from test_lif import GRID, random_words

from csnn import binary32
from csnn import exponential as rule
from csnn.neurons import compiled, flush
from csnn.neurons.evaluate import evaluate
from csnn.neurons.graph import Kind, Trace, decrement, exponential, is_zero, select, to_f32
from csnn.neurons.lif import LIF
from csnn.neurons.model import NeuronModel
from csnn.spec.network import LifNeuron

needs_x86 = pytest.mark.skipif(not flush.HARDWARE, reason="needs the FTZ and DAZ modes of x86-64")
MODES = [pytest.param("hardware", marks=needs_x86), "software"]
LIF_CONSTANTS = LIF.constants(LifNeuron(), dt_ms=0.1, weight_grid=GRID, dc_pA=-3.0)


class Block:
    """State and input of `n` neurons, with the same step in both evaluations."""

    def __init__(self, model: NeuronModel, constants: Any, n: int) -> None:
        self.model, self.constants, self.n = model, constants, n
        self.state = np.zeros((len(model.float_states), n), dtype=np.float32)
        self.refractory, self.ss_ex, self.ss_in = np.zeros((3, n), dtype=np.int32)
        self.spiked = np.full(n, 7, dtype=np.uint8)
        self.spikes = 0

    def compiled_step(self, step: Any, count: int | None = None) -> None:
        count = self.n if count is None else count
        packed = self.model.pack(self.constants)
        rows = (self.state, self.refractory, self.ss_ex, self.ss_in)
        step(*rows, *packed, self.spiked, count)

    def evaluated_step(self) -> None:
        state = dict(zip(self.model.float_states, self.state, strict=True))
        after, out = evaluate(
            self.model.graph,
            state={**state, "refractory": self.refractory},
            inputs={"ss_ex": self.ss_ex, "ss_in": self.ss_in},
            constants=self.constants,
        )
        self.state = np.stack([after[name] for name in self.model.float_states])
        self.refractory = after["refractory"]
        self.spiked = out["spike"].astype(np.uint8)

    def words(self) -> np.ndarray:
        """Every word of the state and the spikes, uint32 [n_state + 2, n]."""
        floats = binary32.bits_of(self.state)
        return np.vstack([floats, self.refractory.view(np.uint32), self.spiked])


def random_block(model: NeuronModel, constants: Any, n: int, seed: int) -> Block:
    block, rng = Block(model, constants, n), np.random.default_rng(seed)
    for i, row in enumerate(block.state):
        row[:] = binary32.from_bits(random_words(n, 100 * seed + i))
    block.state[0, ::50] = 15.0  # exactly at the LIF's threshold
    block.refractory[:] = rng.choice([0, 0, 0, 1, 2, 20, -5, -(2**31)], n)
    block.ss_ex[:], block.ss_in[:] = rng.choice([0, 1, 1405, 2**24 - 1], (2, n))
    return block


def differing_words(
    step: Any, model: NeuronModel = LIF, constants: Any = LIF_CONSTANTS, n: int = 5000
) -> int:
    """Count the state words that one step from random words leaves unequal to the evaluation."""
    ours, reference = (random_block(model, constants, n, 1) for _ in range(2))
    ours.compiled_step(step)
    reference.evaluated_step()
    return int(np.count_nonzero(ours.words() != reference.words()))


def import_text(path: Path, text: str) -> ModuleType:
    path.write_text(text, encoding="utf-8")
    return import_file(path)


def import_file(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_generated_module_is_current() -> None:
    text = compiled.source(LIF)
    assert text == compiled.source(replace(LIF))
    assert (compiled.FOLDER / "lif.py").read_text(encoding="utf-8") == text


@pytest.mark.parametrize("mode", MODES)
def test_one_step_from_random_words(mode: str) -> None:
    assert differing_words(compiled.load(LIF, mode=mode).step) == 0


@pytest.mark.parametrize("mode", MODES)
def test_one_step_equals_exact_arithmetic(mode: str) -> None:
    block = random_block(LIF, LIF_CONSTANTS, 600, 2)
    before = [*binary32.bits_of(block.state).tolist(), block.refractory.tolist()]
    inputs = zip(block.ss_ex.tolist(), block.ss_in.tolist(), strict=True)
    words = {k: int(np.asarray(v).view(np.uint32)) for k, v in LIF_CONSTANTS.items()}
    expected = [
        exact.lif_step(state, ex, inh, words)
        for state, (ex, inh) in zip(zip(*before, strict=True), inputs, strict=True)
    ]
    block.compiled_step(compiled.load(LIF, mode=mode).step)
    after = [*binary32.bits_of(block.state).tolist(), block.refractory.tolist()]
    assert list(zip(*after, strict=True)) == [state for state, _ in expected]
    assert block.spiked.tolist() == [spike for _, spike in expected]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("count", [0, 1, 7, 8, 33, 255])
def test_only_count_neurons_are_touched(mode: str, count: int) -> None:
    ours, before, after = (random_block(LIF, LIF_CONSTANTS, 256, 3) for _ in range(3))
    ours.compiled_step(compiled.load(LIF, mode=mode).step, count)
    after.evaluated_step()
    assert np.array_equal(ours.words()[:, :count], after.words()[:, :count])
    assert np.array_equal(ours.words()[:, count:], before.words()[:, count:])


def driven_run(steps: list[Any], *, planted_at: int | None = None) -> tuple[int | None, Block]:
    """Run 2,000 steps at the microcircuit's input level; return the first diverging step.

    One neuron in eight gets no input after step 100: its currents decay into the subnormals.
    """
    n, rng = 256, np.random.default_rng(4)
    blocks = [Block(LIF, LIF_CONSTANTS, n) for _ in range(len(steps) + 1)]
    start = rng.normal(7.0, 5.0, n).astype(np.float32)
    for block in blocks:
        block.state[0] = start
    for step in range(1, 2001):
        ss_ex = (rng.poisson(2.0, n) * 1405).astype(np.int32)
        ss_in = (rng.poisson(0.15, n) * 5620).astype(np.int32)
        if step > 100:
            ss_ex[::8], ss_in[::8] = 0, 0
        for block, advance in zip(blocks, steps, strict=False):
            block.ss_ex, block.ss_in = ss_ex, ss_in
            block.compiled_step(advance)
        blocks[-1].ss_ex, blocks[-1].ss_in = ss_ex, ss_in
        blocks[-1].evaluated_step()
        if step == planted_at:
            blocks[-1].state.view(np.uint32)[0, 17] ^= 1
        if any(not np.array_equal(block.words(), blocks[-1].words()) for block in blocks[:-1]):
            return step, blocks[-1]
        blocks[-1].spikes += int(blocks[-1].spiked.sum())
    return None, blocks[-1]


def test_long_run_agrees_bit_for_bit() -> None:
    modes = ["hardware", "software"] if flush.HARDWARE else ["software"]
    diverged, reference = driven_run([compiled.load(LIF, mode=mode).step for mode in modes])
    assert diverged is None
    assert reference.spikes > 500
    assert np.all(reference.state[1:, ::8] == 0.0)


def test_long_run_sees_one_flipped_bit() -> None:
    diverged, _ = driven_run([compiled.load(LIF, mode="software").step], planted_at=50)
    assert diverged == 50


@needs_x86
def test_long_run_sees_a_missing_flush() -> None:
    diverged, reference = driven_run([compiled.load(LIF, mode="hardware").update])
    assert diverged is not None
    assert diverged > 100
    assert np.any(reference.state[1:, ::8] == 0.0)


def test_planted_faults_are_detected(tmp_path: Path) -> None:
    text = compiled.source(LIF)
    faults = {
        "association": [("n20 = p.flushed(n17 + n19)", "n20 = p.flushed((n17 + n18) + f11)")],
        # The sum flushes its result once more: both must go for the fault to show.
        "missing_flush": [
            ("n25 = p.flushed_product(f9, f3)", "n25 = f9 * f3"),
            ("n27 = p.flushed(n25 + n26)", "n27 = n25 + n26"),
        ],
        "missing_nan": [("c27 = p.canonical(n27)", "c27 = n27")],
        "threshold": [("n23 = f22 >= f12", "n23 = f12 < f22")],
        "refractory": [("p.is_zero(n5)", "p.is_zero(p.decrement(n5))")],
    }
    for name, edits in faults.items():
        faulty = text
        for good, bad in edits:
            assert good in text, name
            faulty = faulty.replace(good, bad)
        module = import_text(tmp_path / f"{name}.py", faulty)
        assert differing_words(module.step_software) > 0, name


def other_model() -> NeuronModel:
    """Build a model without meaning that uses the operations which the LIF does not."""
    trace = Trace()
    ss_ex, ss_in = trace.input("ss_ex", Kind.I32), trace.input("ss_in", Kind.I32)
    u, w = trace.state("u"), trace.state("w")
    refractory = trace.state("refractory", Kind.I32)
    a, b = trace.constant("a"), trace.constant("b")
    shift = trace.constant("shift", Kind.I32)
    summed = to_f32((ss_ex + ss_in) + shift)
    free = is_zero(refractory) & ~(u < a)
    swapped = select(free, select(u >= w, a, w), b)
    spike = ~(w < summed) & free
    return NeuronModel(
        name="other",
        neuron_type=LifNeuron,
        graph=trace.build(
            next_state={
                "u": (u - w) * (w - a) - swapped,
                "w": swapped,
                "refractory": select(spike, decrement(shift), refractory + shift),
            },
            outputs={"spike": spike},
        ),
        rule=lambda neuron, *, dt_ms, weight_grid, dc_pA: {"a": 3.0, "b": 1e-30, "shift": -9},
    )


@pytest.mark.parametrize("mode", MODES)
def test_every_operation_compiles(tmp_path: Path, mode: str) -> None:
    model = other_model()
    constants: dict[str, Any] = model.constants(LifNeuron(), dt_ms=0.1, weight_grid=1.0)
    constants["b"] = binary32.from_bits(np.uint32(0x80000123))[()]
    module = import_text(tmp_path / "other.py", compiled.source(model))
    assert differing_words(getattr(module, f"step_{mode}"), model, constants) == 0


def exponential_model() -> NeuronModel:
    """Build a model without meaning: exponentials of states, of sums, of products, of each other.

    All results of the graph are stored, selected, compared or operands of arithmetic.
    """
    trace = Trace()
    ss_ex, ss_in = trace.input("ss_ex", Kind.I32), trace.input("ss_in", Kind.I32)
    u, w = trace.state("u"), trace.state("w")
    refractory = trace.state("refractory", Kind.I32)
    a = trace.constant("a")
    grown = exponential(u)
    spike = exponential(w - u) >= exponential(to_f32(ss_ex + ss_in))
    return NeuronModel(
        name="exponentials",
        neuron_type=LifNeuron,
        graph=trace.build(
            next_state={
                "u": grown,
                "w": select(spike, exponential(u * w), exponential(grown) * a + grown),
                "refractory": decrement(refractory),
            },
            outputs={"spike": spike},
        ),
        rule=lambda neuron, *, dt_ms, weight_grid, dc_pA: {"a": 1e-30},
    )


@pytest.mark.parametrize("mode", MODES)
def test_exponentials_in_a_graph(tmp_path: Path, mode: str) -> None:
    model = exponential_model()
    constants = model.constants(LifNeuron(), dt_ms=0.1, weight_grid=1.0)
    module = import_text(tmp_path / "exponentials.py", compiled.source(model))
    step = getattr(module, f"step_{mode}")
    assert differing_words(step, model, constants) == 0
    # Every corner with every corner, and arguments of all magnitudes.
    a, b = corner_pairs()
    words = np.stack(
        [
            np.concatenate([x, exponents(20_000, np.random.default_rng(i))])
            for i, x in enumerate((a, b))
        ]
    )
    ours, reference = (Block(model, constants, words.shape[1]) for _ in range(2))
    ours.state[:] = reference.state[:] = binary32.from_bits(words)
    ours.compiled_step(step)
    reference.evaluated_step()
    assert np.array_equal(ours.words(), reference.words())
    assert 0.1 < reference.spiked.mean() < 0.9
    assert np.array_equal(ours.words()[0], binary32.bits_of(rule.exp(binary32.from_bits(words[0]))))


def test_code_is_cached_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "cached.py"
    path.write_text(compiled.source(LIF), encoding="utf-8")
    for hits in (0, 1):
        module = import_file(path)
        assert differing_words(module.update_software) == 0
        assert sum(module.update_software.stats.cache_hits.values()) == hits


@needs_x86
def test_code_is_vectorised_without_fused_operations() -> None:
    update = njit(nogil=True, error_model="numpy")(
        compiled.load(LIF, mode="hardware").update.py_func
    )
    Block(LIF, LIF_CONSTANTS, 8).compiled_step(update)
    (assembly,) = update.inspect_asm().values()
    assert "mulps" in assembly
    assert "fmadd" not in assembly


@njit
def three_products(a: Any, b: Any, before: Any, inside: Any, after: Any) -> None:
    for i in range(a.size):
        before[i] = a[i] * b[i]
    old = flush.enable()
    for i in range(a.size):
        inside[i] = a[i] * b[i]
    flush.restore(old)
    for i in range(a.size):
        after[i] = a[i] * b[i]


@needs_x86
def test_arithmetic_stays_on_its_side_of_the_switch() -> None:
    # Subnormal operand, subnormal result, both, neither.
    a = np.array([1e-40, 1e-20, 3e-39, 2.0] * 25, dtype=np.float32)
    b = np.array([1.0, 1e-20, 0.5, 3.0] * 25, dtype=np.float32)
    before, inside, after = np.empty((3, a.size), dtype=np.float32)
    three_products(a, b, before, inside, after)
    gradual = a * b
    assert np.array_equal(before, gradual)
    assert np.array_equal(after, gradual)
    assert np.array_equal(inside, binary32.mul(a, b))
    assert not np.array_equal(inside, gradual)


@njit
def software_in_flush_mode(*arguments: Any) -> None:
    old = flush.enable()
    software_update(*arguments)
    flush.restore(old)


software_update = compiled.load(LIF, mode="software").update


@needs_x86
def test_software_update_holds_in_flush_mode_too() -> None:
    assert differing_words(software_in_flush_mode) == 0


@needs_x86
def test_step_restores_the_callers_mode() -> None:
    assert differing_words(compiled.load(LIF, mode="hardware").step) == 0
    small = np.full(16, 1e-40, dtype=np.float32)
    assert np.all(small * np.float32(0.5) > 0.0)


@pytest.mark.parametrize("field", ["state", "refractory", "ss_in", "spiked"])
def test_arrays_of_another_type_are_refused(field: str) -> None:
    step = compiled.load(LIF, mode="software").step
    block = Block(LIF, LIF_CONSTANTS, 16)
    setattr(block, field, getattr(block, field).astype(np.float64))
    with pytest.raises(TypingError, match="C-contiguous"):
        block.compiled_step(step)
    block = Block(LIF, LIF_CONSTANTS, 16)
    setattr(block, field, np.repeat(getattr(block, field), 2, axis=-1)[..., ::2])
    with pytest.raises(TypingError, match="C-contiguous"):
        block.compiled_step(step)


def test_load_checks_mode_and_staleness() -> None:
    with pytest.raises(ValueError, match="mode must be"):
        compiled.load(LIF, mode="fast")
    with pytest.raises(RuntimeError, match="stale"):
        compiled.load(replace(other_model(), name="lif"))
