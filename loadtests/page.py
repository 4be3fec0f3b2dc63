"""The result as one HTML page that needs nothing beside itself: plot and style stand inside."""

from collections.abc import Iterable, Mapping
from html import escape
from pathlib import Path
from string import Template

from matplotlib.figure import Figure

from loadtests.plot import draw, svg
from loadtests.report import COLUMNS, LEGEND, title, words
from loadtests.results import About, Result

STYLE = """\
:root { color-scheme: light; }
body { font: 16px/1.5 system-ui, sans-serif; color: #222; background: #fff; }
body { max-width: 70rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin-bottom: .2rem; }
h2 { font-size: 1.1rem; margin-top: 2rem; }
p.small, dl { color: #555; font-size: .875rem; }
svg { width: 100%; height: auto; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .875rem; width: 100%; }
th, td { padding: .25rem .6rem; text-align: right; border-bottom: 1px solid #e4e4e4; white-space: nowrap; }
th { border-bottom: 2px solid #999; }
tr.last td { border-bottom-color: #999; }
dt { font-weight: 600; float: left; clear: left; width: 9rem; }
dd { margin: 0 0 0 9.5rem; overflow-wrap: anywhere; }
"""

_PAGE = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$heading</title>
<style>
$style</style>
</head>
<body>
<h1>$heading</h1>
<p id="plot-says">$summary</p>
<figure style="margin:0">
$plot
</figure>
$rest
<h2>How it was measured</h2>
<dl>$facts</dl>
</body>
</html>
""")

_REST = Template("""<p class="small">Points are medians over the rounds, bars go from the 10th to the 90th percentile. Each round
measures both sides of a cell right after each other, in an order that chance decides. Ours goes from HTTP to commit:
parse, validate, write, ledger. The ceiling is asyncpg's COPY of ready tuples on the same
database, with as many connections as workers and one transaction a batch.</p>
$tables
<p class="small">$legend</p>""")


def write_page(result: Result, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page(result), encoding="utf-8")


def page(result: Result) -> str:
    shapes = list(dict.fromkeys(cell.shape for cell in result.cells))
    return whole_page(
        result,
        heading=f"From HTTP to commit: {result.mode}",
        summary=" ".join(_best(result, shape) for shape in shapes),
        figure=draw(result),
        rest=_REST.substitute(tables="\n".join(_table(result, shape) for shape in shapes), legend=escape(LEGEND)),
    )


def whole_page(result: About, *, heading: str, summary: str, figure: Figure, rest: str, style: str = "") -> str:
    """Every scenario's page: heading, summary and plot, then `rest`, which is HTML, and how it was measured."""
    return _PAGE.substitute(
        style=STYLE + style,
        heading=escape(heading),
        summary=escape(summary),
        plot=svg(figure),
        rest=rest,
        facts=_facts(result),
    )


def _best(result: Result, shape: str) -> str:
    best = max((cell for cell in result.cells if cell.shape == shape), key=lambda cell: cell.items_per_second.median)
    return (
        f"Fastest with {shape} items: {best.items_per_second.median:,.0f} a second in batches of {best.batch_size:,} "
        f"with workers {best.workers}, {best.ratio.median:.2f} of the ceiling "
        f"({best.ratio.p10:.2f}–{best.ratio.p90:.2f})."
    )


def _table(result: Result, shape: str) -> str:
    cells = [cell for cell in result.cells if cell.shape == shape]
    rows = []
    for index, cell in enumerate(cells):
        last = index + 1 == len(cells) or cells[index + 1].workers != cell.workers
        rows.append((words(cell), "last" if last else ""))
    return f"<h2>{escape(title(result, shape))}</h2>\n{table(COLUMNS, rows)}"


def table(head: Iterable[str], rows: Iterable[tuple[Iterable[str], str]]) -> str:
    """A table of plain words, as HTML; each row with its class, or with an empty string."""
    top = "".join(f'<th scope="col">{escape(name)}</th>' for name in head)
    body = "\n".join(
        (f'<tr class="{kind}">' if kind else "<tr>") + "".join(f"<td>{escape(word)}</td>" for word in row) + "</tr>"
        for row, kind in rows
    )
    return f'<div class="wide"><table><thead><tr>{top}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>'


def _facts(result: About) -> str:
    """Date, machine, versions and arguments of a run, as the inside of a `<dl>`."""
    found = {
        "date": result.date,
        "took": f"{result.seconds:.0f} s",
        "machine": _pairs(result.machine),
        "versions": _pairs(result.versions),
        "arguments": _pairs(result.arguments),
    }
    return "".join(f"<dt>{escape(name)}</dt><dd>{escape(said)}</dd>" for name, said in found.items())


def _pairs(found: Mapping[str, object]) -> str:
    return " · ".join(f"{name} {said}" for name, said in found.items())
