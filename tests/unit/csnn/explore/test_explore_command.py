"""`csnn explore`: tables, files, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from commands import csnn, names, network_file, refused, succeed

from csnn.explore.chips import CHIPS

FILES = {"front.svg", "mesh.svg", "boards.svg", "explore.json", "manifest.json"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("explore")
    succeed("generate", network_file(path), "--out", path / "image")
    succeed("simulate", path / "image", "--out", path / "run")
    return path


def test_search_on_a_small_network(folder: Path) -> None:
    options = (folder / "image", "--run", folder / "run", "--out", folder / "found")
    found = succeed("explore", *options, "--json").json
    assert names(folder / "found") == FILES
    assert json.loads((folder / "found" / "explore.json").read_text()) == {
        name: value for name, value in found.items() if name != "out"
    }
    assert found["steps"] == 200
    points, best = found["points"], found["front"]
    assert all(max(point["shares"].values()) <= 1 for point in points)
    for point in points:
        assert any(
            other["devices"] <= point["devices"]
            and other["real_time_factor"] <= point["real_time_factor"]
            for other in best
        )
    # The front of each device, with other clocks and links.
    assert set(found["variations"]) >= {f"{one['devices']} x {one['chip']}" for one in best}
    for rows in found["variations"].values():
        assert rows["as assumed"] in points
        assert len(rows) == (4 if rows["as assumed"]["devices"] == 1 else 9)
    for name in ("front", "mesh", "boards"):
        assert "projections" in (folder / "found" / f"{name}.svg").read_text()
    mesh = found["mesh"]
    assert mesh["links without latency"]["real_time_factor"] < mesh["as it is"]["real_time_factor"]
    assert any(CHIPS["xc7z045"].basis in line for line in found["assumptions"])
    # It may be written again, and only where nothing else is.
    shown = succeed("explore", *options)
    assert max(map(len, shown.out.splitlines())) <= 80
    assert "assumed:" in shown.out
    outcome = csnn("explore", folder / "image", "--run", folder / "run", "--out", folder / "run")
    refused(outcome, str(folder / "run"))


def test_images_of_other_models_are_refused(tmp_path: Path) -> None:
    """Their pipelines take more than the LIF pipeline, whose resources are counted."""
    text = network_file(tmp_path).read_text()
    network = tmp_path / "other.toml"
    network.write_text(text.replace("[machine]", '[neuron]\nsolver = "rk4"\n\n[machine]'))
    succeed("generate", network, "--out", tmp_path / "image")
    refused(csnn("explore", tmp_path / "image"), "IMAGE", "lif_exp_cuba_rk4", "LIF only")


def test_devices_can_be_chosen(folder: Path) -> None:
    options = (folder / "image", "--run", folder / "run", "--time-ms", 2, "--json")
    found = succeed("explore", *options, "--device", "xc7z045", "--most-devices", 1).json
    assert found["steps"] == 20
    assert {point["chip"] for point in found["points"]} == {"xc7z045"}
    assert {point["devices"] for point in found["points"]} == {1}
    same = succeed("explore", *options, "--device", "XC7Z045", "--most-devices", 1).json
    assert same == found
    # Too small a network for what is tried on a large device.
    found = succeed("explore", *options, "--device", "xcvu37p").json
    assert found["points"] == found["front"] == []


def test_help_names_the_devices() -> None:
    told = " ".join(succeed("explore", "--help").out.split())
    assert f"{', '.join(CHIPS)}; may be repeated" in told


def test_networks_too_small_for_any_design(folder: Path) -> None:
    """There is nothing to draw then, and the reason is told."""
    options = (folder / "image", "--run", folder / "run", "--time-ms", 2, "--device", "xcvu37p")
    shown = succeed("explore", *options, "--out", folder / "none")
    assert "too small a network" in shown.out
    assert names(folder / "none") == FILES - {"front.svg"}


def test_nodes_of_few_pipelines(tmp_path: Path) -> None:
    change = ("neurons_per_node = 40", "neurons_per_node = 40\next_lanes = 2")
    succeed("generate", network_file(tmp_path, change), "--out", tmp_path / "image")
    found = succeed(
        "explore", tmp_path / "image", "--time-ms", 2, "--warmup-ms", 1, "--json",
        "--most-devices", 1,
    ).json  # fmt: skip
    assert found["mesh"]["2 lanes"]["lanes"] == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--device", "xc2064"), "--device = 'xc2064': must be one of xc7z045, "),
        (("--most-devices", "0"), "explore.most_devices = 0: must be"),
        (("--time-ms", "0.1"), "the model needs 2 to 1000000 steps"),
        (("--warmup-ms", "5"), "excludes --run"),
    ],
)
def test_what_cannot_be_is_refused(folder: Path, arguments: tuple[str, ...], message: str) -> None:
    outcome = csnn("explore", folder / "image", "--run", folder / "run", *arguments)
    refused(outcome, message)
