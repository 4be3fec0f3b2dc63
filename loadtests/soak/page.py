"""A soak as one HTML page that needs nothing beside itself."""

from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from string import Template

from loadtests.page import STYLE, facts
from loadtests.plot import svg
from loadtests.soak.draw import draw
from loadtests.soak.plan import SAYS
from loadtests.soak.results import Result
from loadtests.soak.table import COLUMNS, LEGEND, check_words, says, words

_PAGE = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Soak</title>
<style>
$style
td:first-child, th:first-child { text-align: left; }
tr.wrong td { color: #c00000; font-weight: 600; }
</style>
</head>
<body>
<h1>Soak: $heading</h1>
<p id="plot-says">$summary</p>
<figure style="margin:0">
$plot
</figure>
<p class="small">Each panel is one series over the minutes of the run. Thick bars are the medians of the second and of the last
quarter: those are compared. A gap in a line is a moment in which it could not be read, because PostgreSQL was away.</p>
<h2>Series</h2>
$series
<p class="small">$legend</p>
<h2>Counted at the end</h2>
$checks
<h2>Faults</h2>
$faults
<h2>How it was measured</h2>
<dl>$facts</dl>
</body>
</html>
""")


def write_page(result: Result, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page(result), encoding="utf-8")


def page(result: Result) -> str:
    counts = [(says_kind, sum(done.kind is kind for done in result.faults)) for kind, says_kind in SAYS.items()]
    return _PAGE.substitute(
        style=STYLE,
        heading=escape(f"{result.seconds / 60:.0f} minutes at {result.arguments['rate']:,.0f} items a second"),
        summary=escape(says(result)),
        plot=svg(draw(result)),
        series=_table(COLUMNS, ((words(one), one.flat is False) for one in result.verdicts)),
        legend=escape(LEGEND),
        checks=_table(("what", "expected", "found"), ((check_words(one), not one.holds) for one in result.checks)),
        faults=_table(("what", "times"), (((said, str(count)), False) for said, count in counts)),
        facts=facts(result),
    )


def _table(head: Sequence[str], rows: Iterable[tuple[Sequence[str], bool]]) -> str:
    top = "".join(f'<th scope="col">{escape(name)}</th>' for name in head)
    body = "\n".join(
        ('<tr class="wrong">' if is_wrong else "<tr>") + "".join(f"<td>{escape(word)}</td>" for word in row) + "</tr>"
        for row, is_wrong in rows
    )
    return f'<div class="wide"><table><thead><tr>{top}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>'
