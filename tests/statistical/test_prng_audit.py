"""The audit passes on real images, and rejects planted weak generators."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numba import njit
from scipy import stats

from csnn import prng, rows, rows_compiled
from csnn.audit import audit
from csnn.audit.__main__ import main
from csnn.audit.algebra import generator_facts, words_rank
from csnn.audit.external import audit_external, spikes_of
from csnn.audit.overlap import audit_states, repeated_states
from csnn.audit.report import markdown
from csnn.audit.synapses import audit_rows, table_pmf, target_pmf
from csnn.audit.tally import PAIRS, count_pairs, new_tables, repeated_targets
from csnn.audit.verdict import (
    FAMILY_ALPHA,
    Check,
    Fact,
    Verdict,
    goodness,
    independence,
    merge,
    pearson,
)
from csnn.image import layout
from csnn.image.node import NodeImage
from csnn.image.store import Image
from csnn.rows import Block, Synapses
from csnn.spec.description import Description
from csnn.spec.distributions import Constant
from csnn.spec.network import Network, PairwiseBernoulli, Population, Projection
from csnn.spec.pd14 import pd14
from netgen.build import generate
from netgen.discretise import poisson_pmf
from netgen.tables import ext_table

# Of the image that passes, and of the smaller one in which faults are planted.
REAL_SCALE, SCALE = 0.1, 0.05


@pytest.fixture(scope="module")
def network() -> Network:
    return pd14(n_scale=SCALE, k_scale=SCALE)


@pytest.fixture(scope="module")
def image(network: Network, tmp_path_factory: pytest.TempPathFactory) -> Image:
    out = tmp_path_factory.mktemp("audit") / "image"
    return generate(Description(network=network), 1, out)


@pytest.fixture(scope="module")
def real_image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    network = pd14(n_scale=REAL_SCALE, k_scale=REAL_SCALE)
    out = tmp_path_factory.mktemp("audit") / "real"
    return generate(Description(network=network), 1, out)


def with_nodes(image: Image, change: Callable[[NodeImage], NodeImage]) -> Image:
    """Return a copy of an image, in memory only, with other nodes."""
    copy = Image(image.path, image.manifest)
    copy.__dict__["nodes"] = tuple(change(node) for node in image.nodes)
    return copy


def failed_groups(verdict: Verdict) -> set[str]:
    return {check.group for check in verdict.checks if check.p < verdict.threshold}


def rows_verdict(image: Image, network: Network, unroll: Any = rows_compiled.unroll) -> Verdict:
    verdict = Verdict()
    audit_rows(image, network, verdict, unroll)
    return verdict


# --- the real image ---------------------------------------------------------------------------


def test_a_real_image_passes(real_image: Image) -> None:
    verdict = audit(real_image, ext_steps=150)
    assert verdict.passed, verdict.failures
    groups = verdict.groups()
    assert {name: len(checks) for name, checks in groups.items()} == {
        "N marginal": 8,
        "D marginal": 55,
        "J marginal": 55,
        "independence within a draw": 3,
        "draws of one row": len(PAIRS) - 3,
        "three fields of two draws": 9,
        "first draws of neighbours": 6,
        "repeated targets in a row": 1,
        "in-degree": 55,
        "out-degree": 55,
        "EXT marginal": 8,
        "EXT one lane": 40,
        "EXT three draws of a lane": 8,
        "EXT lanes": len(groups["EXT lanes"]),
    }
    synapses = real_image.manifest["synapses"]
    assert sum(check.n for check in groups["N marginal"]) == synapses
    assert sum(check.n for check in groups["in-degree"]) == synapses
    summary = verdict.to_dict()
    assert summary["passed"]
    assert summary["tests"] == len(verdict.checks)
    assert json.loads(json.dumps(summary)) == summary
    text = markdown(verdict)
    assert "**passed**" in text
    assert f"{synapses:,}" in text


@pytest.mark.slow
def test_the_full_scale_image_passes(tmp_path: Path) -> None:
    network = pd14(n_scale=1.0, k_scale=1.0)
    verdict = audit(generate(Description(network=network), 1, tmp_path / "image"))
    assert verdict.passed, verdict.failures


def test_an_audit_without_a_synapse_does_not_pass(tmp_path: Path) -> None:
    one = Constant(value=1.0)
    network = Network(
        name="distinct",
        populations=(Population(name="A", size=50),),
        projections=(
            Projection(
                source="A",
                target="A",
                rule=PairwiseBernoulli(p=0.1),
                weight=one,
                delay_ms=one,
            ),
        ),
    )
    image = generate(Description(network=network), 1, tmp_path / "image")
    verdict = rows_verdict(image, network)
    assert [f.split(":")[0] for f in verdict.failures] == ["synapses tested"]


def test_the_command_prints_the_audit(image: Image, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(image.path), "--ext-steps", "40", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["passed"]
    assert main([str(image.path / "absent")]) == 3
    assert "error: " in capsys.readouterr().err


# --- planted weaknesses in the rows -----------------------------------------------------------


def planted(words: Callable[[Any, Any, Any, Block], tuple[Any, Any]]) -> Any:
    """Return an unroll function for other words A, B; `words(row, i, source, block)`."""

    def unroll(block: Block, source: Any, seed: Any, length: Any) -> Synapses:
        row = np.repeat(np.arange(len(length)), length)
        begin = np.cumsum(length, dtype=np.int64) - length
        a, b = words(row, np.arange(len(row)) - begin[row], (source, seed), block)
        neuron = (a >> np.uint32(12)).astype(np.int64) * block.n_neurons >> 20
        return Synapses(row, neuron.astype(np.uint32), *rows._parameters(block, a, b))

    return unroll


def real_words(row: Any, i: Any, source_seed: Any, block: Block, steps: int = 2) -> Any:
    """Return the true words, or those of a generator that makes one step per draw."""
    source, seed = source_seed
    x, y = prng.row_start(seed, source, block.node_key)
    a, b = np.empty(len(row), dtype=np.uint32), np.empty(len(row), dtype=np.uint32)
    for draw in range(int(i.max(initial=-1)) + 1):
        here = i == draw
        new_x, new_y, first, second = prng.row_draw(x, y)
        x, y = (new_x, new_y) if steps == 2 else (y, new_x)
        a[here], b[here] = first[row[here]], second[row[here]]
    return a, b


def sequential_xorshift32(row: Any, i: Any, source_seed: Any, block: Block) -> Any:
    """Plain xorshift32 from seeds 1, 2, 3, ... without warm-up, two outputs per draw."""

    def step(x: Any) -> Any:
        x = x ^ (x << np.uint32(13))
        x ^= x >> np.uint32(17)
        return x ^ (x << np.uint32(5))

    state = np.arange(1, len(source_seed[0]) + 1, dtype=np.uint32)
    a, b = np.empty(len(row), dtype=np.uint32), np.empty(len(row), dtype=np.uint32)
    for draw in range(int(i.max(initial=-1)) + 1):
        here = i == draw
        state = step(state)
        a[here] = state[row[here]]
        state = step(state)
        b[here] = state[row[here]]
    return a, b


def test_planted_words_are_the_real_ones(image: Image) -> None:
    node = image.nodes[3]
    source, seed, length = node.rows(0)
    have = planted(real_words)(node.block(0), source, seed, length)
    want = rows_compiled.unroll(node.block(0), source, seed, length)
    for name in ("row", "neuron", "delay", "code"):
        assert np.array_equal(getattr(have, name), getattr(want, name))


def test_xorshift32_with_sequential_seeds_is_rejected(image: Image, network: Network) -> None:
    failed = failed_groups(rows_verdict(image, network, planted(sequential_xorshift32)))
    assert {"N marginal", "in-degree", "first draws of neighbours"} <= failed


def masked(block: Block, source: Any, seed: Any, length: Any) -> Synapses:
    """Take targets from 8 masked bits and wrap those beyond the node around."""
    row = np.repeat(np.arange(len(length)), length)
    begin = np.cumsum(length, dtype=np.int64) - length
    a, b = real_words(row, np.arange(len(row)) - begin[row], (source, seed), block)
    neuron = (a >> np.uint32(24)) % np.uint32(block.n_neurons)
    return Synapses(row, neuron, *rows._parameters(block, a, b))


def test_masked_targets_are_rejected(image: Image, network: Network) -> None:
    failed = failed_groups(rows_verdict(image, network, masked))
    assert {"N marginal", "in-degree", "repeated targets in a row"} <= failed
    assert not failed & {"D marginal", "J marginal", "out-degree"}


def test_draws_that_share_a_word_are_rejected(image: Image, network: Network) -> None:
    words = planted(lambda *arguments: real_words(*arguments, steps=1))
    failed = failed_groups(rows_verdict(image, network, words))
    # The fraction of a draw is the target of the next one.
    assert "draws of one row" in failed
    assert not failed & {"independence within a draw", "first draws of neighbours"}


def shared_field(row: Any, i: Any, source_seed: Any, block: Block) -> Any:
    a, b = real_words(row, i, source_seed, block)
    return a & np.uint32(0xFFFFF03F) | (a & np.uint32(63)) << np.uint32(6), b


def test_a_field_shared_by_delay_and_weight_is_rejected(image: Image, network: Network) -> None:
    failed = failed_groups(rows_verdict(image, network, planted(shared_field)))
    assert failed == {"independence within a draw"}


def test_equal_rows_in_neighbouring_nodes_are_rejected(image: Image, network: Network) -> None:
    def change(node: NodeImage) -> NodeImage:
        seed = np.random.default_rng(4).integers(1, 2**32, len(node.seed), dtype=np.uint32)
        return replace(node, seed=seed, node_key=0)

    copied = with_nodes(image, change)
    verdict = rows_verdict(copied, network)
    low = [c.name for c in verdict.checks if c.p < verdict.threshold]
    assert "N, neighbouring nodes" in low
    audit_states(copied, verdict)
    assert any("common generator state" in line for line in verdict.failures)


def regular(block: Block, source: Any, seed: Any, length: Any) -> Synapses:
    """Keep delays and weights, but deal targets out in turn."""
    true = rows_compiled.unroll(block, source, seed, length)
    neuron = np.arange(len(true.row)) % block.n_neurons
    return Synapses(true.row, neuron.astype(np.uint32), true.delay, true.code)


def test_too_regular_targets_are_rejected(image: Image, network: Network) -> None:
    verdict = rows_verdict(image, network, regular)
    assert {"N marginal", "in-degree"} <= failed_groups(verdict)
    worst = min(verdict.groups()["in-degree"], key=lambda check: check.p)
    assert worst.statistic < worst.df


def test_missing_synapses_are_noticed(image: Image, network: Network) -> None:
    def shorten(node: NodeImage) -> NodeImage:
        length = node.length.copy()
        if node.node == 5:
            length[length.argmax()] -= 1
        return replace(node, length=length)

    failures = rows_verdict(with_nodes(image, shorten), network).failures
    assert len(failures) == 1
    assert "prescribed totals" in failures[0]


def test_uneven_lengths_are_rejected(image: Image, network: Network) -> None:
    # Half of the sources give a tenth of their synapses to the other half.
    def move(node: NodeImage) -> NodeImage:
        length = node.length.copy()
        for index in range(len(node.blocks)):
            entry = node.blocks[index]
            part = length[int(entry["row_first"]) :][: int(entry["row_count"])]
            half = len(part) // 2
            part[:half] += part[half : 2 * half] // 4
            part[half : 2 * half] -= part[half : 2 * half] // 4
        return replace(node, length=length)

    verdict = rows_verdict(with_nodes(image, move), network)
    assert failed_groups(verdict) == {"out-degree"}


def tied_halves(row: Any, i: Any, source_seed: Any, block: Block) -> Any:
    """Let half a target be the sum mod 2 of two fields of the draw before: pairs do not see it."""
    a, b = real_words(row, i, source_seed, block)
    tied = np.flatnonzero((i > 0) & (i % 2 == 1))
    bit = (a[tied - 1] ^ b[tied - 1]) & np.uint32(0x80000000)
    a[tied] = a[tied] & np.uint32(0x7FFFFFFF) | bit
    return a, b


def test_three_tied_fields_are_rejected(image: Image, network: Network) -> None:
    verdict = rows_verdict(image, network, planted(tied_halves))
    assert failed_groups(verdict) == {"three fields of two draws"}


@njit
def words_of_rows(seed: Any, source: Any, length: Any, key: Any, a: Any, b: Any) -> None:
    n = 0
    for row in range(len(seed)):
        x, y = rows_compiled.start(seed[row], source[row], key)
        for _ in range(length[row]):
            x, y = rows_compiled.advance(x, y)
            a[n], b[n] = x, y
            n += 1


def without_carries(block: Block, source: Any, seed: Any, length: Any) -> Synapses:
    """Use the words of the recurrence themselves: some of their bits are sums of two others."""
    row = np.repeat(np.arange(len(length)), length)
    a, b = np.empty(len(row), dtype=np.uint32), np.empty(len(row), dtype=np.uint32)
    words_of_rows(seed, source, length, np.uint32(block.node_key), a, b)
    neuron = (a >> np.uint32(12)).astype(np.int64) * block.n_neurons >> 20
    return Synapses(row, neuron.astype(np.uint32), *rows._parameters(block, a, b))


@pytest.mark.slow
def test_words_without_carries_are_rejected_at_full_scale(tmp_path: Path) -> None:
    network = pd14(n_scale=1.0, k_scale=1.0)
    image = generate(Description(network=network), 1, tmp_path / "image")
    failed = failed_groups(rows_verdict(image, network, without_carries))
    assert failed == {"three fields of two draws"}


# --- planted weaknesses in the external input -------------------------------------------------


def ext_verdict(image: Image, network: Network, steps: int = 100, **options: Any) -> Verdict:
    verdict = Verdict()
    audit_external(image, network, verdict, steps=steps, **options)
    return verdict


def test_lanes_that_share_a_stream_are_rejected(image: Image, network: Network) -> None:
    def share(node: NodeImage) -> NodeImage:
        states = node.ext_states.copy()
        states[1] = states[0]
        return replace(node, ext_states=states)

    shared = with_nodes(image, share)
    verdict = ext_verdict(shared, network)
    assert "EXT lanes" in failed_groups(verdict)
    audit_states(shared, verdict)
    assert any("EXT streams" in line for line in verdict.failures)


def test_streams_too_close_are_noticed(image: Image) -> None:
    first = tuple(int(w) for w in image.nodes[0].ext_states[0])
    streams = [first]
    count = sum(len(node.ext_states) for node in image.nodes)
    while len(streams) < count:
        streams.append(prng.xorshift_words(streams[-1], prng.EXT_SHIFTS))
    lanes = np.array(streams, dtype=np.uint32).reshape(len(image.nodes), -1, 4)
    close = with_nodes(image, lambda node: replace(node, ext_states=lanes[node.node]))
    verdict = Verdict()
    audit_states(close, verdict)
    assert [line for line in verdict.failures if "EXT streams" in line]
    audit_states(image, good := Verdict())
    assert good.passed


def test_a_wrong_external_rate_is_rejected(image: Image, network: Network) -> None:
    faster = replace(
        network,
        populations=tuple(
            replace(p, poisson=replace(p.poisson, rate_hz=1.2 * p.poisson.rate_hz))
            for p in network.populations
            if p.poisson is not None
        ),
    )
    assert failed_groups(ext_verdict(image, faster)) == {"EXT marginal"}


def test_a_lane_that_remembers_is_rejected(image: Image, network: Network) -> None:
    def sticky(state: Any) -> Any:
        # An output that ends in two zeros is given again.
        before = state[..., 3].copy()
        output = prng.ext_draw(state)
        repeat = before & np.uint32(3) == 0
        return np.where(repeat, before, output)

    failed = failed_groups(ext_verdict(image, network, draw=sticky))
    assert "EXT one lane" in failed


def test_three_tied_draws_are_rejected(image: Image, network: Network) -> None:
    rng = np.random.default_rng(21)
    history: list[Any] = []

    def free(state: Any) -> Any:
        return rng.integers(0, 2**32, state.shape[:-1], dtype=np.uint32)

    def tied(state: Any) -> Any:
        # Every fifth table entry is the sum mod 2 of those 4 and 1 draws before.
        output = free(state)
        if len(history) % 5 == 4:
            entry = (history[-4] ^ history[-1]) & np.uint32(31)
            output = output & np.uint32(0xFFFFFFE0) | entry
        history.append(output)
        return output

    verdict = ext_verdict(image, network, draw=free)
    assert len(verdict.groups()["EXT three draws of a lane"]) == 8
    assert verdict.passed, verdict.failures
    # A rate like that of the full scale, at which most entries matter.
    table = ext_table(poisson_pmf(1.3, field="rate", value=1.3))[None]
    one = with_nodes(image, lambda node: replace(node, ext_tables=table))
    one.__dict__["nodes"] = one.nodes[:1]
    verdict = ext_verdict(one, network, 400, draw=tied)
    assert failed_groups(verdict) == {"EXT three draws of a lane", "EXT marginal"}


# --- the parts of the audit -------------------------------------------------------------------


def test_target_pmf_is_that_of_all_numbers() -> None:
    for n in (1, 2, 3, 213, 255, 256):
        counts = np.bincount(np.arange(2**20) * n >> 20, minlength=n)
        assert np.array_equal(target_pmf(n) * 2**20, counts)


def test_table_pmf_is_that_of_all_draws() -> None:
    rng = np.random.default_rng(3)
    table = np.zeros(64, dtype=layout.DELAY_TABLE)
    table["H"] = rng.integers(0, 2**32, 64)
    table["H"][:2] = 0, 0xFFFF0000
    table["own"], table["alias"] = rng.integers(0, 20, (2, 64))
    counts = np.zeros(64)
    for entry in table:
        own = np.count_nonzero(np.arange(2**16) < int(entry["H"]) >> 16)
        counts[entry["own"]] += own
        counts[entry["alias"]] += 2**16 - own
    values, pmf = table_pmf(table)
    assert np.array_equal(values, np.flatnonzero(counts))
    assert np.array_equal(pmf, counts[values] / 2**22)


def test_pairs_are_counted_within_rows_only() -> None:
    rng = np.random.default_rng(9)
    row = np.repeat(np.arange(300), rng.integers(0, 9, 300))
    values = np.stack([rng.integers(0, size, len(row)) for size in (256, 64, 64)]).astype(np.uint8)
    tables = new_tables()
    count_pairs(row, values, tables)
    for (a, b, lag), table in zip(PAIRS, tables, strict=True):
        expected = np.zeros_like(table)
        for i in range(len(row) - lag):
            if row[i] == row[i + lag]:
                expected[values[a][i], values[b][i + lag]] += 1
        assert np.array_equal(table, expected)
    few = values[0] % 7
    same = sum(row[i] == row[j] and few[i] == few[j] for i in range(len(row)) for j in range(i))
    assert repeated_targets(row, few) == same


def test_spikes_of_follows_the_tables(image: Image) -> None:
    table = image.nodes[0].ext_tables[0]
    word = np.random.default_rng(2).integers(0, 2**32, 500, dtype=np.uint32)
    for w, spikes in zip(word.tolist(), spikes_of(word, table).tolist(), strict=True):
        entry = table[w % 32]
        own = w // 32 < int(entry["H"]) // 32
        assert spikes == int(entry["own"] if own else entry["alias"])


def test_states_are_compared_in_parts(image: Image, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = repeated_states(image)
    lengths = [node.length for node in image.nodes]
    assert whole[0] == sum(int(np.count_nonzero(length)) for length in lengths)
    assert whole[1] == whole[0] + 2 * image.manifest["synapses"]
    assert whole[2] == 0
    monkeypatch.setattr("csnn.audit.overlap.CHUNK", 1 << 20)
    assert repeated_states(image) == whole


def test_a_row_that_follows_another_is_found(image: Image) -> None:
    # The second row starts one single step behind the first draw of the first one.
    node = image.nodes[0]
    x, y = prng.row_start(np.array([77], np.uint32), np.array([5], np.uint32), node.node_key)
    x, y = prng.row_advance(x, y)
    ahead = prng.xorshift_words((int(x[0]), int(y[0])), prng.ROW_SHIFTS)
    seed, source = seed_and_source(*ahead, node.node_key)
    check = prng.row_start(
        np.array([seed], np.uint32), np.array([source], np.uint32), node.node_key
    )
    assert (int(check[0][0]), int(check[1][0])) == ahead

    def two_rows(other: int, length: int) -> Any:
        rows = (
            np.array([5, source], dtype=np.uint32),
            np.array([77, other], dtype=np.uint32),
            np.array([length, 4], dtype=np.uint8),
        )
        block = np.zeros(1, dtype=layout.BLOCK)
        only = SimpleNamespace(blocks=block, node_key=node.node_key, rows=lambda index: rows)
        return SimpleNamespace(nodes=[only])

    assert repeated_states(two_rows(seed, 3)) == (2, 2 + 2 * 7, 4)
    assert repeated_states(two_rows(seed, 1))[2] == 0
    assert repeated_states(two_rows(seed ^ 1, 3))[2] == 0


def seed_and_source(x: int, y: int, key: int) -> tuple[int, int]:
    """Return the seed and source whose row starts in state (x, y)."""
    period, warm_up = 2**64 - 1, 2 * prng.ROW_WARMUP_DRAWS
    back = prng.matrix_power(prng.words_matrix(2, prng.ROW_SHIFTS), period - warm_up)
    seed, product = prng.unpack(prng.matrix_apply(back, prng.pack((x, y))), 2)
    inverse = pow(prng.ROW_SEED_MULTIPLIER, -1, 2**32)
    return seed, (product * inverse % 2**32) ^ seed ^ key


def test_both_words_of_a_draw_are_uniform(monkeypatch: pytest.MonkeyPatch) -> None:
    assert all(fact.holds for fact in generator_facts())
    assert words_rank((0, 1)) == words_rank((0, 2)) == 64
    assert words_rank((0, 5)) == 58
    assert words_rank((0, 0)) == 32
    # A recurrence whose words repeat: the two terms of a sum are then equal, the sum is even.
    monkeypatch.setattr(prng, "words_matrix", lambda words, shifts: [1 << i for i in range(64)])
    assert not any(fact.holds for fact in generator_facts())


def test_uniform_sums_by_counting() -> None:
    """Count all states of an 8-bit copy of the generator: A and B take each value equally often."""
    x, y = (grid.ravel() for grid in np.meshgrid(np.arange(256), np.arange(256)))
    t = (x ^ x << 3) & 255
    new_x = y ^ y >> 2 ^ t ^ t >> 5
    t = (y ^ y << 3) & 255
    new_y = new_x ^ new_x >> 2 ^ t ^ t >> 5
    for word in ((new_x + y) & 255, (new_y + new_x) & 255):
        assert (np.bincount(word, minlength=256) == 256).all()


# --- statistics -------------------------------------------------------------------------------


def null_p_values(kind: str) -> list[float]:
    rng = np.random.default_rng(77)
    p = rng.dirichlet(np.ones(60))
    found = []
    for _ in range(400):
        if kind == "goodness":
            check = goodness("", "", [(rng.multinomial(3000, p), p), (rng.multinomial(500, p), p)])
        elif kind == "sparse":
            flat = np.full(3000, 1 / 3000)
            check = pearson("", "", [(rng.multinomial(1500, flat), flat)])
        else:
            table = rng.multinomial(20000, np.outer(p, p[:40] / p[:40].sum()).ravel())
            check = independence("", "", [table.reshape(60, 40)])
        assert check is not None
        found.append(check.p)
    return found


@pytest.mark.parametrize("kind", ["goodness", "sparse", "independence"])
def test_p_values_are_uniform_without_a_fault(kind: str) -> None:
    assert stats.kstest(null_p_values(kind), "uniform").pvalue > 1e-3


def test_empty_and_certain_tables_give_no_test() -> None:
    assert goodness("", "", [(np.array([100]), np.array([1.0]))]) is None
    assert goodness("", "", [(np.zeros(3, np.int64), np.full(3, 1 / 3))]) is None
    assert independence("", "", [np.zeros((5, 5), dtype=np.int64)]) is None
    assert independence("", "", [np.full((1, 5), 100)]) is None


def test_merge_keeps_the_least_share() -> None:
    shares = np.array([0.01, 0.2, 0.005, 0.005, 0.3, 0.4, 0.08])
    groups = merge(shares, 0.1)
    assert (np.diff(groups) >= 0).all()
    assert (np.diff(groups) <= 1).all()
    assert (np.bincount(groups, shares) >= 0.1).all()
    assert merge(shares, 2.0).tolist() == [0] * 7


def test_the_decision_rule() -> None:
    def check(p: float) -> Check:
        return Check(group="g", name="n", p=p, statistic=0.0, df=1.0, n=1)

    verdict = Verdict(checks=[check(0.5)] * 99)
    assert verdict.passed
    verdict.checks.append(check(1.1 * FAMILY_ALPHA / 100))
    assert verdict.passed
    verdict.checks[-1] = check(0.9 * FAMILY_ALPHA / 100)
    assert not verdict.passed
    verdict.checks[-1] = check(float("nan"))
    assert not verdict.passed
    assert "FAILED" in markdown(verdict)
    verdict.checks.pop()
    verdict.facts.append(Fact(name="f", holds=False, detail="d"))
    assert verdict.failures == ["f: d"]
    assert "| NO |" in markdown(verdict)
