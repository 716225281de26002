"""Pieces of HTML: escaping, numbers, tables, figures, and the style sheet."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence
from numbers import Integral, Real
from typing import Any

STYLE = """
:root{color-scheme:light}
*{box-sizing:border-box}
body{margin:0;background:#fafaf8;color:#222;font:16px/1.55 system-ui,-apple-system,"Segoe UI",
Roboto,"Helvetica Neue",Arial,sans-serif;-webkit-text-size-adjust:100%}
main{max-width:60rem;margin:0 auto;padding:2rem 1.25rem 4rem}
h1{font-size:2rem;line-height:1.2;margin:0 0 1rem;overflow-wrap:anywhere}
h2{font-size:1.3rem;margin:3rem 0 .8rem;padding-top:.7rem;border-top:2px solid #222}
h3{font-size:1rem;margin:1.8rem 0 .4rem}
.kicker{margin:0;color:#666;font-size:.85rem;letter-spacing:.06em;text-transform:uppercase}
.verdict{margin:0 0 1.4rem;padding:.8rem 1rem;border-left:6px solid #8a8a8a;background:#efefec}
.verdict.pass{border-color:#0072B2;background:#e8f2f8}
.verdict.fail{border-color:#D55E00;background:#fbeee5}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(8.5rem,1fr));gap:1rem}
.tiles b{display:block;font-size:1.45rem;font-weight:600;line-height:1.25;
font-variant-numeric:tabular-nums}
.tiles span,.quiet,figcaption{color:#555;font-size:.9rem}
.note{padding:.5rem .9rem;background:#fff7e0;border-left:6px solid #E69F00}
figure{margin:1.2rem 0 1.8rem}
figure img{display:block;width:100%;min-width:38rem;height:auto;background:#fff;
border:1px solid #e3e3de}
figcaption{margin-top:.5rem;max-width:46rem}
.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-size:.92rem;font-variant-numeric:tabular-nums}
th,td{padding:.32rem .5rem;text-align:right;border-bottom:1px solid #e3e3de;white-space:nowrap}
th{font-weight:600;border-bottom:1.5px solid #222}
th:first-child,td:first-child{text-align:left;padding-left:0}
th:last-child,td:last-child{padding-right:0}
tr.marked td{font-weight:600;background:#fbeee5}
pre{margin:.6rem 0;padding:.6rem .9rem;background:#efefec;font-size:.85rem;white-space:pre-wrap;
overflow-wrap:anywhere}
details{margin:.8rem 0}
summary{cursor:pointer;font-size:.92rem;color:#555}
details p{font-size:.85rem;color:#555;margin:.5rem 0}
dl{display:grid;grid-template-columns:minmax(9rem,max-content) 1fr;gap:.25rem 1.2rem;
font-size:.92rem}
dt{color:#555;overflow-wrap:anywhere}
dd{margin:0;overflow-wrap:anywhere;font-variant-numeric:tabular-nums}
@media(max-width:36rem){main{padding:1.2rem .8rem 3rem}h1{font-size:1.6rem}dl{display:block}
dd{margin:0 0 .5rem}th,td{padding:.32rem .3rem;font-size:.8rem}}
@media print{body{background:#fff;font-size:10.5pt}main{max-width:none;padding:0}
figure,table,.verdict{break-inside:avoid}h2,h3{break-after:avoid}}
"""


def escape(text: Any) -> str:
    """Return the text safe for HTML content and attributes."""
    return html.escape(str(text), quote=True)


def number(value: Any) -> str:
    """Return a number for reading: grouped digits, four significant ones; other values as text."""
    if isinstance(value, bool) or not isinstance(value, Real):
        return str(value)
    if isinstance(value, Integral):
        return f"{int(value):,}"
    real = float(value)
    if real == 0 or 1e-3 <= abs(real) < 1e4:
        return f"{real:.4g}"
    return f"{real:,.0f}" if 1e4 <= abs(real) < 1e12 else f"{real:.3g}"


def section(title: str, content: str) -> str:
    """Return a titled section, or nothing if it has no content."""
    return f"<section><h2>{escape(title)}</h2>{content}</section>" if content else ""


def figure_block(png_base64: str | None, caption: str) -> str:
    """Return an embedded PNG with its caption, or nothing without a picture."""
    if not png_base64:
        return ""
    return (
        f'<figure><div class="scroll"><img alt="{escape(caption)}" '
        f'src="data:image/png;base64,{png_base64}"></div>'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


def table(
    head: Sequence[str], rows: Iterable[Sequence[Any]], marked: Sequence[bool] | None = None
) -> str:
    """Return a table; `marked` rows stand out. Every cell is escaped."""
    top = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in head)
    body = ""
    for i, row in enumerate(rows):
        style = ' class="marked"' if marked is not None and marked[i] else ""
        body += f"<tr{style}>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>"
    return (
        f'<div class="scroll"><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>'
        "</div>"
    )


def disclosure(summary: str, content: str) -> str:
    """Return content that is folded away under a line of text; nothing if there is none."""
    return f"<details><summary>{escape(summary)}</summary>{content}</details>" if content else ""


def definitions(pairs: Mapping[str, Any]) -> str:
    """Return a list of names and values, or nothing if there are none."""
    if not pairs:
        return ""
    items = "".join(
        f"<dt>{escape(name.replace('_', ' '))}</dt><dd>{escape(number(value))}</dd>"
        for name, value in pairs.items()
    )
    return f"<dl>{items}</dl>"


def flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested names and values as one level, names joined by colons."""
    found: dict[str, Any] = {}
    for key, value in tree.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            found |= flat(value, f"{name}: ")
        elif isinstance(value, (list, tuple)):
            found[name] = ", ".join(str(item) for item in value)
        else:
            found[name] = value
    return found
