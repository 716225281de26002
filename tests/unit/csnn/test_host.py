"""The host of a machine, against a model of one: what it writes, reads and reports."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import networks
import numpy as np
import pytest
from machine_model import HALTED, ModelTransport, Place, PreloadingModel, router_address

from csnn.errors import CsnnError, InvalidInputError
from csnn.hardware import registers as node
from csnn.hardware.config import NodeConfig
from csnn.hardware.master_config import MasterConfig
from csnn.hardware.master_map import MasterRegion, bitmap_address
from csnn.hardware.master_registers import MASTER_COUNTERS, MASTER_ERROR_BITS, MASTER_OFFSETS
from csnn.hardware.memory_map import node_words
from csnn.hardware.mesh import Mesh
from csnn.hardware.recorder import RECORD
from csnn.hardware.router_registers import ERRORS
from csnn.host.machine import Fault, Machine, MachineError
from csnn.host.transport import BackDoor
from csnn.image.store import Image
from csnn.packets import ANSWERS
from csnn.simulator.state import MachineState, initial_state, with_state

MESH = Mesh(shape=(3, 2, 1), n_nodes=4)
MASTER = MESH.master
NODES = MESH.nodes
(RELAY,) = set(MESH.sites) - {MASTER, *NODES}
STEP = 1000
CONTROL = node.OFFSETS["control"]


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    folder = tmp_path_factory.mktemp("host") / "image"
    return networks.image(networks.changing_inputs(), folder, ext_lanes=2, delay_slots=16)


@pytest.fixture(scope="module")
def state(image: Image) -> MachineState:
    return replace(initial_state(image), step=STEP)


@pytest.fixture
def model() -> ModelTransport:
    return ModelTransport(MESH)


@pytest.fixture
def machine(model: ModelTransport) -> Machine:
    return Machine(MESH, model)


def upload(machine: Machine, image: Image, state: MachineState, **how: object) -> NodeConfig:
    config = NodeConfig.for_nodes(image.nodes)
    machine.upload(image, config, MasterConfig(nodes=4), state, **how)  # type: ignore[arg-type]
    return config


def named(site: tuple[int, int, int]) -> str:
    return f"({site[0]}, {site[1]}, {site[2]})"


# Words.


def test_the_hardware_for_all_nodes_fits_each(image: Image) -> None:
    config = NodeConfig.for_nodes(image.nodes)
    # The network has a node without rows.
    assert any(not len(image_node.blocks) for image_node in image.nodes)
    assert [config.misfit(image_node) for image_node in image.nodes] == [None] * 4


def test_words_are_written_and_read_in_order(model: ModelTransport, machine: Machine) -> None:
    addresses = np.arange(5, 5 + 3 * ANSWERS)
    machine.write(RELAY, addresses, addresses * 3)
    np.testing.assert_array_equal(machine.read(RELAY, addresses), addresses * 3)
    np.testing.assert_array_equal(machine.read(RELAY, addresses[::-1]), addresses[::-1] * 3)
    assert machine.read(RELAY, 7).tolist() == [21]
    assert machine.read(RELAY, []).tolist() == []
    assert not machine.read(RELAY, addresses + 100).any()
    assert not isinstance(model, BackDoor)


@pytest.mark.parametrize(
    ("site", "unit"), [(MASTER, "master node"), (NODES[2], "node 2"), (RELAY, "router")]
)
def test_a_place_that_does_not_answer_is_named(
    model: ModelTransport, machine: Machine, site: tuple[int, int, int], unit: str
) -> None:
    model.places[site].is_dead = True
    with pytest.raises(MachineError) as error:
        machine.read(site, [1, 2])
    assert str(error.value) == f"{unit} at {named(site)} does not answer"
    model.places[site] = Place(lies=True)
    with pytest.raises(MachineError) as error:
        machine.read(site, [1, 2])
    assert str(error.value) == f"{unit} at {named(site)} answers another request"
    assert isinstance(error.value, CsnnError)


# Late answers. Times are in timeouts of the host; all nodes are asked for their errors.

ASKED = node.OFFSETS["errors"]


def ask_in_vain(machine: Machine, site: tuple[int, int, int], *addresses: int) -> None:
    with pytest.raises(MachineError) as error:
        machine.read(site, addresses or ASKED)
    unit = f"node {NODES.index(site)}" if site in NODES else "router"
    assert str(error.value) == f"{unit} at {named(site)} does not answer"


def own_errors(model: ModelTransport) -> None:
    """Let each node have errors of its own."""
    for number, site in enumerate(NODES):
        model.set(site, errors=number + 3)


@pytest.mark.parametrize("rest", [0.0, 0.2, 0.5, 1.0])
@pytest.mark.parametrize("other_late", [0.0, 0.2, 0.5, 0.8])
@pytest.mark.parametrize("late", [1.3, 1.5, 1.7])
def test_a_late_answer_is_not_taken_for_another_place_s(
    model: ModelTransport, machine: Machine, late: float, other_late: float, rest: float
) -> None:
    own_errors(model)
    model.places[NODES[0]].late_ms = late
    model.places[NODES[1]].late_ms = other_late
    ask_in_vain(machine, NODES[0])
    # From here the late one comes before the other place is asked, before it answers, or after.
    model.rest(rest)
    for number in (1, 2, 1, 3):
        assert machine.read(NODES[number], ASKED).tolist() == [number + 3]
    # What has come is owed no more: no request has a mark.
    model.places[NODES[1]].is_dead = True
    ask_in_vain(machine, NODES[0])
    model.rest(2.0)
    before = model.requests
    machine.read(NODES[2], [ASKED, ASKED + 1])
    assert model.requests == before + 2


def test_late_answers_come_between_those_of_another_place(
    model: ModelTransport, machine: Machine
) -> None:
    own_errors(model)
    other = machine.read(NODES[1], range(12)).tolist()
    assert other != machine.read(NODES[0], range(12)).tolist()
    for number, late in ((0, 1.4), (1, 0.41)):
        model.places[NODES[number]].late_ms = late
        # Answers of the two come in turn.
        model.places[NODES[number]].gap_ms = 0.03
    ask_in_vain(machine, NODES[0], *range(8))
    assert machine.read(NODES[1], range(12)).tolist() == other


def test_several_places_may_owe_answers(model: ModelTransport, machine: Machine) -> None:
    own_errors(model)
    for number, late in enumerate((3.5, 2.6, 1.8)):
        model.places[NODES[number]].late_ms = late
    for number in range(3):
        ask_in_vain(machine, NODES[number])
    model.places[NODES[3]].late_ms = 0.9
    for _ in range(6):
        assert machine.read(NODES[3], [ASKED, ASKED]).tolist() == [6, 6]
    # They are told from one another as well.
    for number in range(3):
        model.places[NODES[number]].late_ms = 0.0
        assert machine.read(NODES[number], ASKED).tolist() == [number + 3]


def test_answers_that_never_come_stay_owed(model: ModelTransport, machine: Machine) -> None:
    own_errors(model)
    everything = [*range(len(node.REGISTERS))]
    expected = machine.read(NODES[1], everything).tolist()
    model.places[NODES[0]].is_dead = True
    for _ in range(3):
        ask_in_vain(machine, NODES[0], *everything)
        assert machine.read(NODES[1], ASKED).tolist() == [4]
        assert machine.read(NODES[1], everything).tolist() == expected
    # A place that answers nothing is never taken to answer with a late word of another.
    model.places[NODES[2]].late_ms = 1.5
    ask_in_vain(machine, NODES[2])
    ask_in_vain(machine, NODES[0])
    assert machine.read(NODES[1], ASKED).tolist() == [4]


def test_so_many_dead_places_that_no_register_is_left_for_a_mark(
    model: ModelTransport, machine: Machine
) -> None:
    own_errors(model)
    model.places[NODES[0]].is_dead = True
    for address in range(len(MASTER_OFFSETS)):
        ask_in_vain(machine, NODES[0], address)
    for _ in range(10):
        ask_in_vain(machine, NODES[0])
    before = model.requests
    assert machine.read(NODES[1], ASKED).tolist() == [4]
    # The mark is asked for once more than it is owed.
    assert model.requests - before > 2
    for _ in range(400):
        with pytest.raises(MachineError) as error:
            machine.read(NODES[0], ASKED)
    assert str(error.value) == (
        f"node 0 at {named(NODES[0])} could not be told from places that have not answered"
    )
    before = model.requests
    with pytest.raises(MachineError, match="could not be told"):
        machine.read(NODES[0], ASKED)
    assert model.requests == before
    # Routers answer for far more addresses.
    model.set_router(NODES[1], failed=5)
    assert machine.read(NODES[1], router_address("failed")).tolist() == [5]


def test_a_router_s_answers_are_no_sign_of_its_unit_s(
    model: ModelTransport, machine: Machine
) -> None:
    own_errors(model)
    model.places[NODES[0]].late_ms = 1.2
    ask_in_vain(machine, NODES[0])
    ask_in_vain(machine, NODES[0])
    place = model.places[NODES[1]]
    place.unit_late_ms = 0.6
    model.set_router(NODES[1], failed=5)
    both = [router_address("failed"), ASKED, router_address("silent"), ASKED]
    assert machine.read(NODES[1], both).tolist() == [5, 4, 0, 4]


def test_a_liar_is_found_among_late_answers(model: ModelTransport, machine: Machine) -> None:
    own_errors(model)
    model.places[NODES[0]].late_ms = 1.5
    ask_in_vain(machine, NODES[0])
    model.places[NODES[1]].lies = True
    with pytest.raises(MachineError, match=r"node 1 at .* answers another request"):
        machine.read(NODES[1], [100, 102])
    model.places[NODES[1]].lies = False
    assert machine.read(NODES[1], ASKED).tolist() == [4]
    # Its answers have come, wrong as they were.
    model.rest(2.0)
    before = model.requests
    machine.read(NODES[1], [ASKED])
    assert model.requests == before + 1


# Uploading.


def check_upload(
    model: ModelTransport, config: NodeConfig, image: Image, state: MachineState
) -> None:
    """Demand that all words are where they belong, and were written in a sound order."""
    x, y, z = MASTER
    for site, image_node in zip(NODES, image.nodes, strict=True):
        held = model.places[site].words
        for words in node_words(config, with_state(image_node, state)):
            for address, value in zip(words.address.tolist(), words.value.tolist(), strict=True):
                assert held[address] == value, (site, hex(address))
        for name, value in {"master": z << 16 | y << 8 | x, "host": 0, "step": STEP}.items():
            assert held[node.OFFSETS[name]] == value, (site, name)
        to_node = [address for place, address, _ in model.written if place == site]
        assert to_node[-1] == CONTROL, site
        assert to_node.count(CONTROL) == 1
        assert held[CONTROL] == 3
    sites = [site for site, _, _ in model.written]
    first = sites.index(MASTER)
    assert set(sites[:first]) == set(NODES)
    assert set(sites[first:]) == {MASTER}
    to_master = [(address, value) for site, address, value in model.written if site == MASTER]
    active = bitmap_address(MasterRegion.ACTIVE, 0), 0b1111
    assert to_master[0] == (MASTER_OFFSETS["control"], 0)
    assert to_master[1] == active
    assert to_master[-1] == (MASTER_OFFSETS["control"], 2)
    held = model.master.words
    for name, value in {"step": STEP, "stop_step": STEP, "host": 0, "timeout": 77}.items():
        assert held[MASTER_OFFSETS[name]] == value, name


def test_an_upload_fills_the_nodes_and_then_the_master(
    model: ModelTransport, machine: Machine, image: Image, state: MachineState
) -> None:
    config = upload(machine, image, state, step_timeout=77, records=5)
    check_upload(model, config, image, state)
    assert model.places[NODES[0]].words[node.OFFSETS["recorder_size"]] == 5


def test_a_word_that_is_lost_and_a_wrong_order_are_noticed(
    model: ModelTransport, machine: Machine, image: Image, state: MachineState
) -> None:
    seed = max(a for words in node_words(NodeConfig.for_nodes(image.nodes), image.nodes[1])
               for a in words.address.tolist())  # fmt: skip
    model.places[NODES[1]].ignores.add(seed)
    config = upload(machine, image, state, step_timeout=77)
    with pytest.raises((AssertionError, KeyError)):
        check_upload(model, config, image, state)
    model.places[NODES[1]].ignores.clear()
    model.written.clear()
    upload(machine, image, state, step_timeout=77)
    check_upload(model, config, image, state)
    place = next(k for k, entry in enumerate(model.written) if entry[:2] == (NODES[1], CONTROL))
    model.written.insert(place - 1, model.written.pop(place))
    with pytest.raises(AssertionError):
        check_upload(model, config, image, state)


def test_a_transport_that_can_is_asked_to_preload(image: Image, state: MachineState) -> None:
    model = PreloadingModel(MESH)
    assert isinstance(model, BackDoor)
    config = upload(Machine(MESH, model), image, state, step_timeout=77, preload=True)
    check_upload(model, config, image, state)
    assert {site for site, _ in model.preloaded} == set(NODES)
    words = sum(count for _, count in model.preloaded)
    assert 4 * len(model.written) < words
    assert set(model.peeked) == set(NODES)
    other = PreloadingModel(MESH)
    upload(Machine(MESH, other), image, state)
    assert not other.preloaded
    plain = ModelTransport(MESH)
    upload(Machine(MESH, plain), image, state, preload=True)
    assert len(plain.written) > words


def test_what_does_not_fit_is_refused(
    model: ModelTransport, machine: Machine, image: Image, state: MachineState
) -> None:
    config = NodeConfig.for_nodes(image.nodes)
    small = Machine(Mesh(shape=(3, 1, 1), n_nodes=2), model)
    with pytest.raises(InvalidInputError, match="the image has 4 nodes, the machine 2"):
        upload(small, image, state)
    with pytest.raises(InvalidInputError, match="node 0 does not fit the hardware: epochs = 1"):
        machine.upload(image, replace(config, epochs=1), MasterConfig(), state)
    with pytest.raises(InvalidInputError, match=r"master\.nodes = 2: the machine has 4"):
        machine.upload(image, config, MasterConfig(nodes=2), state)
    assert not model.written


@pytest.mark.parametrize("wrong", ["errors", "halted", "dead"])
def test_a_node_that_is_not_ready_is_named(
    model: ModelTransport, machine: Machine, image: Image, state: MachineState, wrong: str
) -> None:
    site = NODES[3]
    if wrong == "errors":
        model.set(site, errors=5)
    elif wrong == "halted":
        model.places[site].ignores.add(CONTROL)
    else:
        model.places[site].is_dead = True
    with pytest.raises(MachineError) as error:
        upload(machine, image, state)
    text = "does not answer" if wrong == "dead" else "is not ready: errors 0x"
    assert f"node 3 at {named(site)} {text}" in str(error.value)
    # The master node is left alone.
    assert MASTER not in {place for place, _, _ in model.written}


# Running.


def test_a_run_ends_at_its_step(
    model: ModelTransport, machine: Machine, image: Image, state: MachineState
) -> None:
    upload(machine, image, state)
    model.written.clear()
    machine.run(STEP + 30, limit_ms=1.0)
    # It must not go on before it knows how far.
    assert model.written == [
        (MASTER, MASTER_OFFSETS["stop_step"], STEP + 30),
        (MASTER, MASTER_OFFSETS["control"], 1),
    ]
    assert 0.3 <= model.now_ms < 0.4
    machine.settle()


def test_a_stop_halts_the_machine_where_it_is(model: ModelTransport, machine: Machine) -> None:
    model.set(MASTER, step=5)
    machine.start(500)
    model.rest(0.1)
    machine.stop()
    step = machine.wait(limit_ms=1.0)
    assert 5 < step < 500
    model.places[MASTER].ignores.add(MASTER_OFFSETS["control"])
    with pytest.raises(MachineError, match=f"the machine halted after step {step}, not 700"):
        machine.run(700, limit_ms=1.0)


def test_a_machine_that_does_not_halt_is_reported_with_who_is_late(
    model: ModelTransport, machine: Machine
) -> None:
    machine.start(10_000)
    model.set_missing(2)
    model.set_router(RELAY, failed=1)
    with pytest.raises(MachineError) as error:
        machine.wait(limit_ms=0.5)
    text = str(error.value)
    assert text.startswith("the machine does not halt; it is in step ")
    assert f"node 2 at {named(NODES[2])}: no barrier message" in text
    assert f"router at {named(RELAY)}: link x_plus failed" in text
    assert 0.5 <= model.now_ms < 0.6


def test_waiting_without_end_is_refused(machine: Machine) -> None:
    machine.start(5)
    for wait in (machine.wait, machine.settle):
        with pytest.raises(InvalidInputError, match="between_ms = 0"):
            wait(limit_ms=1.0, between_ms=0.0)


def test_an_error_stops_a_run_and_tells_everything(model: ModelTransport, machine: Machine) -> None:
    def fail(step: int) -> None:
        if step == 7:
            model.set(MASTER, errors=1 << 6)
            model.set_missing(0, 3)
            model.places[NODES[3]].is_dead = True

    model.on_step = fail
    with pytest.raises(MachineError) as error:
        machine.run(20, limit_ms=1.0)
    text = str(error.value)
    assert text.startswith("the machine stopped in step ")
    assert f"master node at {named(MASTER)}: error timeout (" in text
    assert f"node 0 at {named(NODES[0])}: no barrier message" in text
    assert f"node 3 at {named(NODES[3])}: no answer" in text
    assert f"node 1 at {named(NODES[1])}" not in text


def test_nodes_that_work_on_are_waited_for(model: ModelTransport, machine: Machine) -> None:
    site = NODES[1]
    for node_site in NODES:
        model.set(node_site, status=6)
    machine.settle()
    before = model.now_ms
    for status in (2, 4, HALTED):
        model.set(site, status=status)
        with pytest.raises(MachineError) as error:
            machine.settle(limit_ms=0.2)
        assert str(error.value) == f"node 1 at {named(site)} does not come to rest"
    assert 0.6 <= model.now_ms - before < 0.7


# What it tells.


def every_fault(model: ModelTransport) -> list[Fault]:
    """Plant every fault that there is, one at each place or more; return all."""
    expected = []
    for site in sorted(MESH.sites, key=lambda site: MESH.hops((0, 0, 0), site)):
        everything = (1 << len(MESH.router.directions)) - 1
        n_errors = len(ERRORS)
        model.set_router(
            site, failed=everything, silent=1, overflow=1 << 5, errors=(1 << n_errors) - 1
        )
        names = [direction.name for direction in MESH.router.directions]
        links = [f"link {name} failed" for name in names]
        links += ["link x_plus silent", "link z_minus overflow"]
        links += [f"error {name} ({meaning})" for name, meaning in ERRORS.items()]
        expected += [Fault(site, "router", what) for what in links]
        if site == RELAY:
            continue
        unit = "master node" if site == MASTER else f"node {NODES.index(site)}"
        table = MASTER_ERROR_BITS if site == MASTER else node.ERROR_BITS
        model.set(site, errors=sum(1 << bit.position for bit in table))
        expected += [Fault(site, unit, f"error {bit.name} ({bit.meaning})") for bit in table]
        if site == MASTER:
            model.set_missing(1)
            expected.append(Fault(NODES[1], "node 1", "no barrier message"))
    return expected


def test_every_fault_is_told_with_its_place(model: ModelTransport, machine: Machine) -> None:
    assert machine.faults() == []
    expected = every_fault(model)
    found = machine.faults()
    assert found == expected
    assert str(found[0]) == "router at (0, 0, 0): link x_plus failed"
    # Without one of them it is another list.
    model.set_router(RELAY, silent=0)
    assert [fault for fault in expected if fault not in machine.faults()] == [
        Fault(RELAY, "router", "link x_plus silent")
    ]


@pytest.mark.parametrize("site", MESH.sites)
def test_a_dead_place_hides_no_other_fault(
    model: ModelTransport, machine: Machine, site: tuple[int, int, int]
) -> None:
    expected = every_fault(model)
    model.places[site].is_dead = True
    found = machine.faults()
    unit = next(fault.unit for fault in reversed(expected) if fault.site == site)
    assert Fault(site, unit, "no answer") in found
    others = [fault for fault in expected if fault.site != site]
    if site == MASTER:
        others.remove(Fault(NODES[1], "node 1", "no barrier message"))
    assert [fault for fault in found if fault.site != site] == others


def test_missing_nodes_of_a_large_machine() -> None:
    mesh = Mesh(shape=(9, 9, 1), n_nodes=70)
    model = ModelTransport(mesh)
    machine = Machine(mesh, model)
    assert machine.missing() == []
    model.set_missing(0, 31, 32, 69)
    assert machine.missing() == [0, 31, 32, 69]
    # Bits beyond the nodes mean nothing.
    model.set_missing(70, 95)
    assert machine.missing() == [0, 31, 32, 69]


def test_counters_by_name_and_node(model: ModelTransport, machine: Machine) -> None:
    for number, site in enumerate(NODES):
        model.set(site, **{name: 100 * number + k for k, name in enumerate(node.COUNTERS)})
    model.set(MASTER, **{name: 7 * k for k, name in enumerate(MASTER_COUNTERS)})
    found = machine.node_counters()
    assert list(found) == list(node.COUNTERS)
    for k, name in enumerate(node.COUNTERS):
        assert found[name].tolist() == [100 * number + k for number in range(len(NODES))]
    assert machine.master_counters() == {name: 7 * k for k, name in enumerate(MASTER_COUNTERS)}
    model.places[NODES[1]].is_dead = True
    with pytest.raises(MachineError, match="node 1 at "):
        machine.node_counters()


def record(model: ModelTransport, number: int, spikes: list[tuple[int, int]]) -> None:
    site = NODES[number]
    model.set(site, recorded=len(spikes))
    # What lies behind the records is of no run.
    model.places[site].memory = bytearray(np.array([*spikes, (9, 9)], dtype=RECORD).tobytes())


def test_spikes_are_sorted_by_step_and_source(model: ModelTransport, machine: Machine) -> None:
    assert [array.tolist() for array in machine.spikes()] == [[], []]
    record(model, 0, [(2, 5), (2, 3), (4, 1)])
    record(model, 2, [(1, 70), (2, 4), (4, 0)])
    steps, sources = machine.spikes()
    assert steps.tolist() == [1, 2, 2, 2, 4, 4]
    assert sources.tolist() == [70, 3, 4, 5, 0, 1]
    model.places[NODES[2]].memory[4] ^= 1
    assert machine.spikes()[1].tolist() != sources.tolist()


def test_a_memory_that_holds_fewer_records_is_named(
    model: ModelTransport, machine: Machine, tmp_path: Path
) -> None:
    record(model, 3, [(1, 1)])
    model.set(NODES[3], recorded=3)
    with pytest.raises(MachineError) as error:
        machine.spikes()
    assert str(error.value).startswith(f"node 3 at {named(NODES[3])}: ")
