"""AXI ports of a node under the names that tools know, and the streams of its units."""

from __future__ import annotations

from amaranth.hdl import Module, Value
from amaranth.lib.wiring import Component, In, Member, Out

from csnn.hardware.memory_map import WINDOW_ADDRESS_BITS
from rtl.config_window import ConfigWindow
from rtl.spike_recorder import BURST, RECORD

_INCREMENTING, _BUFFERABLE = 0b01, 0b0011
_RECORD_BITS = RECORD.size
_SIZE = (_RECORD_BITS // 8 - 1).bit_length()


def recorder_ports() -> dict[str, Member]:
    """Return the ports of an AXI4 master that only writes, one burst at a time."""
    return {
        "m_axi_awid": Out(1),
        "m_axi_awaddr": Out(BURST["address"].width),
        "m_axi_awlen": Out(8),
        "m_axi_awsize": Out(3),
        "m_axi_awburst": Out(2),
        "m_axi_awcache": Out(4),
        "m_axi_awprot": Out(3),
        "m_axi_awvalid": Out(1),
        "m_axi_awready": In(1),
        "m_axi_wdata": Out(_RECORD_BITS),
        "m_axi_wstrb": Out(_RECORD_BITS // 8),
        "m_axi_wlast": Out(1),
        "m_axi_wvalid": Out(1),
        "m_axi_wready": In(1),
        "m_axi_bid": In(1),
        "m_axi_bresp": In(2),
        "m_axi_bvalid": In(1),
        "m_axi_bready": Out(1),
    }


def connect_recorder(m: Module, node: Component, core: Component) -> None:
    """Connect the ports of `recorder_ports` with the streams of the spike recorder."""
    _leave(m, node, "m_axi_aw", core.burst)
    _leave(m, node, "m_axi_w", core.beat)
    _come(m, node, "m_axi_b", core.response)
    m.d.comb += [
        node.m_axi_awaddr.eq(core.burst.payload.address),
        node.m_axi_awlen.eq(core.burst.payload.length),
        node.m_axi_awsize.eq(_SIZE),
        node.m_axi_awburst.eq(_INCREMENTING),
        node.m_axi_awcache.eq(_BUFFERABLE),
        node.m_axi_wdata.eq(Value.cast(core.beat.payload.record)),
        node.m_axi_wstrb.eq(~0),
        node.m_axi_wlast.eq(core.beat.payload.is_last),
        core.response.payload.eq(node.m_axi_bresp),
    ]


def window_ports() -> dict[str, Member]:
    """Return the ports of an AXI4-Lite slave."""
    return {
        "s_axil_awaddr": In(WINDOW_ADDRESS_BITS),
        "s_axil_awprot": In(3),
        "s_axil_awvalid": In(1),
        "s_axil_awready": Out(1),
        "s_axil_wdata": In(32),
        "s_axil_wstrb": In(4),
        "s_axil_wvalid": In(1),
        "s_axil_wready": Out(1),
        "s_axil_bresp": Out(2),
        "s_axil_bvalid": Out(1),
        "s_axil_bready": In(1),
        "s_axil_araddr": In(WINDOW_ADDRESS_BITS),
        "s_axil_arprot": In(3),
        "s_axil_arvalid": In(1),
        "s_axil_arready": Out(1),
        "s_axil_rdata": Out(32),
        "s_axil_rresp": Out(2),
        "s_axil_rvalid": Out(1),
        "s_axil_rready": In(1),
    }


def connect_window(m: Module, node: Component, window: ConfigWindow) -> None:
    """Connect the ports of `window_ports` with the streams of the window."""
    _come(m, node, "s_axil_aw", window.write_address)
    _come(m, node, "s_axil_w", window.write_data)
    _leave(m, node, "s_axil_b", window.write_response)
    _come(m, node, "s_axil_ar", window.read_address)
    _leave(m, node, "s_axil_r", window.read_data)
    m.d.comb += [
        window.write_address.payload.eq(node.s_axil_awaddr),
        window.write_data.payload.data.eq(node.s_axil_wdata),
        window.write_data.payload.strobes.eq(node.s_axil_wstrb),
        node.s_axil_bresp.eq(window.write_response.payload),
        window.read_address.payload.eq(node.s_axil_araddr),
        node.s_axil_rdata.eq(window.read_data.payload.data),
        node.s_axil_rresp.eq(window.read_data.payload.response),
    ]


def _come(m: Module, node: Component, prefix: str, channel: Component) -> None:
    m.d.comb += [
        channel.valid.eq(getattr(node, f"{prefix}valid")),
        getattr(node, f"{prefix}ready").eq(channel.ready),
    ]


def _leave(m: Module, node: Component, prefix: str, channel: Component) -> None:
    m.d.comb += [
        getattr(node, f"{prefix}valid").eq(channel.valid),
        channel.ready.eq(getattr(node, f"{prefix}ready")),
    ]
