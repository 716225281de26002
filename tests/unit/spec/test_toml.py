"""TOML descriptions: round trips, messages of bad input, and a small fuzz."""

from __future__ import annotations

import dataclasses
import random
from pathlib import Path
from typing import Any

import pytest

from csnn.errors import InvalidInputError
from csnn.spec.brunel import brunel
from csnn.spec.distributions import Constant, Lognormal, Normal, Uniform
from csnn.spec.machine import Machine, Run
from csnn.spec.network import (
    AllToAll,
    DcInput,
    EdgeList,
    FixedIndegree,
    FixedOutdegree,
    FixedTotalNumber,
    LifNeuron,
    Network,
    OneToOne,
    PairwiseBernoulli,
    PoissonInput,
    Population,
    Projection,
)
from csnn.spec.pd14 import pd14
from csnn.spec.toml import Description, dumps, load, loads

POPULATIONS = (
    Population(
        name="E",
        size=40,
        neuron=LifNeuron(tau_m_ms=20.0, t_ref_ms=1.2),
        V_init_mV=Uniform(low=-70.0, high=-55.5),
        I_ex_init_pA=Lognormal(mu_log=1.5, sigma_log=0.25),
        poisson=PoissonInput(rate_hz=8000.0, weight=1 / 3, changes=((100.0, 9000.0), (2e5, 0.0))),
        expected_rate_hz=3.5,
    ),
    Population(name="I", size=40, dc=DcInput(current_pA=-1e-7, changes=((0.1, 1e20),))),
    Population(
        name="I2",
        size=1,
        neuron=LifNeuron(V_reset_mV=-70.0),
        I_in_init_pA=Normal(mu=-9.0, sigma=2.0, maximum=0.0),
    ),
)


def _projection(source: str, target: str, rule: Any, **changes: Any) -> Projection:
    fields = {"weight": Constant(value=87.8), "delay_ms": Constant(value=1.5), **changes}
    return Projection(source=source, target=target, rule=rule, **fields)


HAND_MADE = Description(
    network=Network(
        name="hand_made",
        populations=POPULATIONS,
        projections=(
            _projection("E", "E", FixedTotalNumber(count=12), allow_autapses=False),
            _projection("E", "I", FixedIndegree(indegree=3), allow_multapses=False),
            _projection("I", "E", FixedOutdegree(outdegree=2), weight=Constant(value=-0.1)),
            _projection("I", "I2", PairwiseBernoulli(p=0.1)),
            _projection("E", "I2", AllToAll(), delay_ms=Lognormal(mu_log=0.1, sigma_log=0.5)),
            _projection(
                "E",
                "I",
                OneToOne(),
                weight=Normal(mu=1.0, sigma=0.1, minimum=0.0, maximum=2.0),
                delay_ms=Uniform(low=0.1, high=3.0),
            ),
        ),
        edges=EdgeList(
            path='folder/ed"ges\t\\\u00fc\U0001f9e0\x7f.npz',
            representation="fitted",
            sha256="0123456789abcdef" * 4,
        ),
        dt_ms=0.2,
        notes=("first", "second\nline"),
    ),
    machine=Machine(
        neurons_per_node=128,
        partition="load",
        n_nodes=7,
        delay_slots=32,
        ext_lanes=4,
        row_layout="sparse",
        weight_grid=0.0625,
        random_delay_buffer=True,
    ),
    run=Run(time_ms=12.5, warmup_ms=0.0, seed=2**63 - 1, threads=3, record=(0, 5, 80)),
)


@pytest.mark.parametrize(
    "description",
    [
        HAND_MADE,
        Description(network=pd14()),
        Description(network=pd14(n_scale=0.1, k_scale=0.05)),
        Description(network=brunel(order=100, g=6.0, eta=1.5)),
        Description(network=Network(name="one", populations=(Population(name="A", size=1),))),
    ],
    ids=["hand_made", "pd14", "pd14_scaled", "brunel", "smallest"],
)
def test_written_text_reads_back_equal(description: Description) -> None:
    text = dumps(description)
    assert loads(text) == description
    assert dumps(loads(text)) == text


def test_every_field_of_the_hand_made_network_differs_from_its_default() -> None:
    """Otherwise a writer that drops the field would pass the round trip."""
    network = HAND_MADE.network
    records: dict[type, list[Any]] = {
        Machine: [HAND_MADE.machine],
        Run: [HAND_MADE.run],
        Network: [network],
        EdgeList: [network.edges],
        Population: list(network.populations),
        Projection: list(network.projections),
        PoissonInput: [p.poisson for p in network.populations if p.poisson],
        DcInput: [p.dc for p in network.populations],
    }
    for kind, found in records.items():
        for field in dataclasses.fields(kind):
            if field.default is not dataclasses.MISSING:
                assert any(getattr(r, field.name) != field.default for r in found), field.name


def test_a_changed_number_makes_another_description() -> None:
    text = dumps(HAND_MADE)
    for old, new in (
        ("count = 12", "count = 13"),
        ("8000.0", "8000.1"),
        ("seed      =", "seed=1#"),
    ):
        assert old in text
        assert loads(text.replace(old, new)) != HAND_MADE


def test_builtin_with_options_fits_in_four_lines(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_text('builtin = "pd14"\nscale = 0.1\n[run]\ntime_ms = 1000\n')
    description = load(path)
    assert description.network == pd14(n_scale=0.1, k_scale=0.1)
    assert description.run == Run(time_ms=1000.0)
    assert description.machine == Machine()
    assert loads('builtin = "brunel"\norder = 100\ng = 6\neta=1.5').network == brunel(
        order=100, g=6.0, eta=1.5
    )
    indegrees = [1000] * 8
    text = f'builtin = "pd14"\nn_scale = 0.2\ninhibition = -5\nexternal_indegrees = {indegrees}'
    assert loads(text).network == pd14(n_scale=0.2, inhibition=-5.0, external_indegrees=indegrees)


def test_printed_builtin_explains_its_numbers() -> None:
    text = dumps(Description(network=pd14()))
    for fragment in ("Potjans & Diesmann (2014)", "298,880,968", "scale = 0.1", "1/sqrt(k_scale)"):
        assert fragment in text
    assert 'rule      = { name = "fixed_total_number"' in text
    assert text.count("[[population]]") == 8
    assert max(map(len, text.splitlines())) <= 120
    assert "Potjans" not in dumps(HAND_MADE)
    assert dumps(HAND_MADE, about="mine\n\nyours").startswith("# mine\n#\n# yours\n\nname")


def test_shared_neuron_is_overridden_field_by_field() -> None:
    text = """
        name = "n"
        neuron.tau_m_ms = 15
        neuron.V_th_mV = -45.0
        [[population]]
        name = "A"
        size = 2
        [[population]]
        name = "B"
        size = 2
        neuron = { tau_m_ms = 20.0 }
    """
    first, second = loads(text).network.populations
    assert first.neuron == LifNeuron(tau_m_ms=15.0, V_th_mV=-45.0)
    assert second.neuron == LifNeuron(tau_m_ms=20.0, V_th_mV=-45.0)


def test_edge_files_are_relative_to_the_description(tmp_path: Path) -> None:
    text = 'name = "n"\npopulation = [{ name = "A", size = 2 }]\nedges = { path = "sub/e.npz" }\n'
    (tmp_path / "n.toml").write_text(text)
    loaded = load(tmp_path / "n.toml").network.edges
    assert loaded == EdgeList(path=str(tmp_path / "sub" / "e.npz"))
    absolute = tmp_path / "else" / "e.npz"
    (tmp_path / "n.toml").write_text(text.replace("sub/e.npz", str(absolute)))
    assert load(tmp_path / "n.toml").network.edges == EdgeList(path=str(absolute))
    assert loads(text).network.edges == EdgeList(path="sub/e.npz")


VALID = """\
name = "pair"
dt_ms = 0.1
[neuron]
tau_m_ms = 10.0
[[population]]
name = "E"
size = 100
V_init_mV = { distribution = "normal", mu = -58.0, sigma = 5.0 }
poisson = { rate_hz = 8000.0, weight_pA = 87.8, changes = [[50.0, 9000.0]] }
dc = { current_pA = 10.0 }
[[population]]
name = "I"
size = 25
[[projection]]
source = "E"
target = "I"
rule = { name = "fixed_indegree", indegree = 10 }
weight_pA = 87.8
delay_ms = { distribution = "normal", mu = 1.5, sigma = 0.75, minimum = 0.05 }
[edges]
path = "e.npz"
[machine]
neurons_per_node = 128
[run]
time_ms = 100.0
record = [0, 1]
"""

DIGITS = "9" * 5000
# (text of VALID, replacement, fragment of the message)
REPLACED = [
    ('name = "pair"', 'nmae = "pair"', "nmae = 'pair': is not a key here; did you mean name?"),
    ('name = "pair"', "", "name: missing"),
    ('name = "pair"', "name = 5", "network.name = 5: must be a name"),
    ('name = "pair"', 'name = ""', "network.name = ''"),
    ('name = "pair"', 'name = "pair', "line 1, column"),
    ('name = "pair"', "name = ", "line 1, column"),
    ("dt_ms = 0.1", "dt_ms = 0.1\ndt_ms = 0.2", "line 3"),
    ("dt_ms = 0.1", 'dt_ms = "0.1"', "network.dt_ms = '0.1': must be a finite number > 0"),
    ("dt_ms = 0.1", "dt_ms = nan", "network.dt_ms = nan"),
    ("dt_ms = 0.1", "dt_ms = true", "network.dt_ms = True"),
    ("dt_ms = 0.1", "dt_ms = 1979-05-27", "network.dt_ms = datetime.date(1979"),
    ("dt_ms = 0.1", "dt_ms = 1979-99-99", "line 2"),
    ("dt_ms = 0.1", f"dt_ms = {DIGITS}", "beyond the range"),
    ("dt_ms = 0.1", f"dt_ms = 0x{DIGITS}", "dt_ms: an integer of 20000 bits"),
    ("dt_ms = 0.1", "dt_ms = 1e999", "network.dt_ms = inf"),
    ("dt_ms = 0.1", 'notes = "n"', "network.notes = 'n': must be a tuple (an array in TOML)"),
    ("dt_ms = 0.1", "dt_ms." * 5000 + "x = 1", "nests deeper than 16 levels"),
    ("dt_ms = 0.1", f"dt_ms = {'[' * 5000}", "nests deeper than 16 levels"),
    ("dt_ms = 0.1", f"dt_ms = {'[' * 20}{']' * 20}", "nests deeper than 16 levels"),
    ("dt_ms = 0.1", '"dt\\nms" = 1', "dt?ms = 1: is not a key here; did you mean dt_ms?"),
    ("dt_ms = 0.1", 'builtin = "pd14"', "name: cannot stand beside builtin"),
    ("tau_m_ms = 10.0", "tau_ms = 10.0", "neuron.tau_ms = 10.0: is not a key here; did you mean"),
    ("tau_m_ms = 10.0", "tau_m_ms = -10", "neuron.tau_m_ms = -10.0: must be a finite number > 0"),
    ("[neuron]\ntau_m_ms = 10.0", "neuron = 3", "neuron = 3: must be a table"),
    ("size = 100", "", "population E.size: missing"),
    ("size = 100", "size = 0", "population E.size = 0: must be an integer from 1"),
    ("size = 100", "size = -5", "population E.size = -5"),
    ("size = 100", "size = 1e2", "population E.size = 100.0: must be an integer"),
    ("size = 100", "size = 99999999999999999999", "population.size: an integer of 67 bits"),
    (
        "size = 100",
        "size = 100\nsiez = 1",
        "population E.siez = 1: is not a key here; did you mean",
    ),
    ("size = 100", "size = 100\nneuron = 1", "population E.neuron = 1: must be a table"),
    (
        "size = 100",
        "size = 100\nneuron = { V_th_mV = -70 }",
        "population E.neuron.V_reset_mV = -65.0: must be < V_th_mV",
    ),
    ('name = "I"', 'name = "E"', "network.populations = 'E': names must differ"),
    ('name = "I"', "", "population 2.name: missing"),
    ('name = "I"', 'name = "a b"', "population a b.name = 'a b': must be a name"),
    ('"normal", mu = -58.0', '"gauss", mu = -58.0', "V_init_mV.distribution = 'gauss': known: "),
    ('"normal", mu = -58.0', '"norml", mu = -58.0', "did you mean normal?"),
    ("mu = -58.0, sigma = 5.0", "mu = -58.0", "population E.V_init_mV.sigma: missing"),
    ("mu = -58.0", "mean = 1.0, mu = -58.0", "population E.V_init_mV.mean = 1.0: is not a key"),
    ("sigma = 5.0", "sigma = -5.0", "population E.V_init_mV.sigma = -5.0: must be a finite number"),
    ("sigma = 5.0", "sigma = nan", "population E.V_init_mV.sigma = nan"),
    (
        '{ distribution = "normal", mu = -58.0, sigma = 5.0 }',
        "[1]",
        "V_init_mV = [1]: must be a num",
    ),
    ('{ distribution = "normal", mu = -58.0, sigma = 5.0 }', "inf", "E.V_init_mV = inf: must be a"),
    (
        'distribution = "normal", mu = -58.0',
        "mu = -58.0",
        "population E.V_init_mV.distribution: mis",
    ),
    ("rate_hz = 8000.0", "rate_hz = -8000.0", "population E.poisson.rate_hz = -8000.0: must be"),
    ("rate_hz = 8000.0", "rate = 8000.0", "population E.poisson.rate = 8000.0: is not a key here"),
    ("[[50.0, 9000.0]]", "[50.0, 9000.0]", "population E.poisson.changes = 50.0: must be a pair"),
    ("[[50.0, 9000.0]]", "7", "population E.poisson.changes = 7: must be pairs"),
    ("[[50.0, 9000.0]]", '[["a", 1]]', "population E.poisson.changes = 'a'"),
    ("[[50.0, 9000.0]]", "[[50, 1], [40, 2]]", "times must be > 0 and increase"),
    ("{ current_pA = 10.0 }", "10.0", "population E.dc = 10.0: must be a table"),
    (
        'source = "E"',
        'source = "X"',
        "projection X->I.source = 'X': must be one of the populations",
    ),
    ('source = "E"', "source = 1", "projection 1.source = 1: must be a name"),
    ('source = "E"', "", "projection 1.source: missing"),
    ("indegree = 10 }", "outdegree = 10 }", "projection E->I.rule.outdegree = 10: is not a key"),
    (
        "indegree = 10 }",
        "indegree = -1 }",
        "projection E->I.rule.indegree = -1: must be an integer",
    ),
    ('"fixed_indegree", indegree = 10', '"pairwise_bernoulli", p = 2', "rule.p = 2.0: must be in"),
    ('"fixed_indegree", indegree = 10', '"one_to_one"', "needs equal sizes, not 100 and 25"),
    ('name = "fixed_indegree", ', "", "projection E->I.rule.name: missing; one of fixed_total"),
    (
        '{ name = "fixed_indegree", indegree = 10 }',
        "7",
        "projection E->I.rule = 7: must be a table",
    ),
    (
        "weight_pA = 87.8\n",
        "weight_pA = 87.8\nallow_autapse = true\n",
        "did you mean allow_autapses?",
    ),
    ("weight_pA = 87.8\n", "weight_pA = 87.8\nallow_autapses = 1\n", "must be true or false"),
    ("minimum = 0.05", "minimum = 50.0", "projection E->I.delay_ms.minimum = 50.0: leaves under"),
    ("[[projection]]", "[projection]", "must be a list of tables; write [[projection]]"),
    ('path = "e.npz"', 'path = ""', "edges.path = ''"),
    ('path = "e.npz"', 'file = "e.npz"', "edges.file = 'e.npz': is not a key here"),
    ('path = "e.npz"', 'path = "e.npz"\nrepresentation = "x"', "must be one of stored, fitted"),
    ("neurons_per_node = 128", "neurons_per_node = 512", "machine.neurons_per_node = 512"),
    (
        "neurons_per_node = 128",
        "neurons = 128",
        "machine.neurons = 128: is not a key here; did you",
    ),
    (
        "[machine]",
        "[machin]",
        "machin = {'neurons_per_node': 128}: is not a key here; did you mean",
    ),
    ("time_ms = 100.0", "time_ms = -1", "run.time_ms = -1.0: must be a finite number > 0"),
    ("time_ms = 100.0", "time = 1", "run.time = 1: is not a key here; did you mean time_ms?"),
    ("record = [0, 1]", "record = [0, -1]", "run.record = -1"),
    ("record = [0, 1]", "record = 5", "run.record = 5"),
    ("record = [0, 1]", "record = [[1]]", "run.record = [1]"),
]
WHOLE = [
    ("", "population: missing; give [[population]] tables or builtin"),
    ("population = []\nname = 'n'", "network.populations = (): must hold at least one population"),
    ("population = [1]\nname = 'n'", "population 1 = 1: must be a table"),
    ("population = 1\nname = 'n'", "population = 1: must be a list of tables"),
    ("builtin = 'pd41'", "builtin = 'pd41': is no built-in network; did you mean pd14?"),
    ("builtin = 14", "builtin = 14: is no built-in network"),
    ("builtin = 'pd14'\nscael = 1", "pd14.scael = 1: is no option of pd14; did you mean scale?"),
    ("builtin = 'pd14'\nscale = 0", "pd14.n_scale = 0: must be in (0, 10]"),
    ("builtin = 'pd14'\nscale = [1]", "pd14.n_scale = [1]"),
    ("builtin = 'pd14'\nscale = 1\nn_scale = 1", "pd14.scale = 1: sets n_scale too"),
    (
        "builtin = 'pd14'\nexternal_indegrees = [1, 2]",
        "pd14.external_indegrees = [1, 2]: must be 8",
    ),
    ("builtin = 'pd14'\nexternal_indegrees = [[1], 'a']", "must be 8 numbers"),
    ("builtin = 'brunel'\norder = 2.5", "brunel.order = 2.5: must be an integer from 10"),
    ("name = 'n'\n[[population]", "line 2"),
    ('name = \'n\'\nx = """\n\n', "line 4"),
]


def _check_message(caught: pytest.ExceptionInfo[InvalidInputError], fragment: str) -> None:
    message = str(caught.value)
    assert message.startswith("net.toml: ")
    assert fragment in message
    assert len(message.splitlines()) == 1
    assert len(message) < 400


@pytest.mark.parametrize(("old", "new", "fragment"), REPLACED, ids=[f for _, _, f in REPLACED])
def test_bad_values_are_named_in_one_line(old: str, new: str, fragment: str) -> None:
    assert VALID.count(old) >= 1
    with pytest.raises(InvalidInputError) as caught:
        loads(VALID.replace(old, new, 1), "net.toml")
    _check_message(caught, fragment)


@pytest.mark.parametrize(("text", "fragment"), WHOLE, ids=[f for _, f in WHOLE])
def test_bad_documents_are_named_in_one_line(text: str, fragment: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        loads(text, "net.toml")
    _check_message(caught, fragment)


def test_unreadable_files_are_named_with_the_reason(tmp_path: Path) -> None:
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b'name = "n"\n# \xff\n')
    for path, reason in (
        (tmp_path / "none.toml", "No such file or directory"),
        (tmp_path, "Is a directory"),
        (binary, "line 2: byte 0xff is not UTF-8 text"),
        (binary / "below.toml", "Not a directory"),
        (tmp_path / "a\0b", "null byte"),
        (Path("/dev/zero"), "is longer than a description can be"),
    ):
        with pytest.raises(InvalidInputError, match=reason) as caught:
            load(path)
        assert str(caught.value).startswith(str(path).replace("\0", "?"))
        assert len(str(caught.value).splitlines()) == 1


def test_files_with_byte_order_mark_and_windows_lines_are_read(tmp_path: Path) -> None:
    path = tmp_path / "windows.toml"
    path.write_bytes(b"\xef\xbb\xbf" + VALID.replace("\n", "\r\n").encode())
    network = load(path).network
    assert network.edges == EdgeList(path=str(tmp_path / "e.npz"))
    assert dataclasses.replace(network, edges=None) == dataclasses.replace(
        loads(VALID).network, edges=None
    )


def _mutate(text: str, rng: random.Random) -> str:
    """Damage characters, values or lines of `text` in one or two places."""
    words = [
        "nan",
        "-1",
        "1e400",
        "true",
        "[]",
        "{}",
        '""',
        "'x'",
        "[[",
        "0x" + "f" * 70,
        "\0",
        "é",
    ]
    for _ in range(rng.randint(1, 2)):
        kind = rng.randrange(5)
        at = rng.randrange(len(text))
        if kind == 0:
            text = text[:at] + rng.choice("\"'[]{}=.,#\n\r\t0-é\x7f\ud7ff") + text[at + 1 :]
        elif kind == 1:
            text = text[:at] + text[at + rng.randint(1, 30) :] + "\n"
        elif kind == 2:
            lines = text.splitlines(keepends=True)
            lines.insert(rng.randrange(len(lines)), rng.choice(lines))
            text = "".join(lines)
        elif kind == 3:
            lines = text.splitlines()
            line = rng.randrange(len(lines))
            lines[line] = lines[line].split("=")[0] + "= " + rng.choice(words)
            text = "\n".join(lines) + "\n"
        else:
            text = text[:at] + rng.choice(words) + text[at:]
    return text


def test_damaged_files_raise_nothing_but_invalid_input() -> None:
    rng = random.Random(20)
    messages = []
    for _ in range(600):
        try:
            loads(_mutate(VALID, rng), "net.toml")
        except InvalidInputError as error:
            messages.append(str(error))
    assert all(len(message.splitlines()) == 1 for message in messages)
    # Some damage leaves a valid file, but most of it must be noticed.
    assert 300 < len(messages) < 600
