"""A soak as one HTML page that needs nothing beside itself."""

from collections.abc import Iterable
from html import escape
from pathlib import Path
from string import Template

from loadtests.page import table, whole_page
from loadtests.soak.draw import draw
from loadtests.soak.plan import SAYS
from loadtests.soak.results import Result
from loadtests.soak.table import COLUMNS, LEGEND, check_words, says, words

_STYLE = """\
td:first-child, th:first-child { text-align: left; }
tr.wrong td { color: #c00000; font-weight: 600; }
"""

_REST = Template("""<p class="small">Each panel is one series over the minutes of the run. Thick bars are the medians of
the second and of the last quarter: those are compared. A gap in a line is a moment in which it could not be read,
because PostgreSQL was away.</p>
<h2>Series</h2>
$series
<p class="small">$legend</p>
<h2>Counted at the end</h2>
$checks
<h2>Faults</h2>
$faults""")


def write_page(result: Result, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page(result), encoding="utf-8")


def page(result: Result) -> str:
    counts = [(says_kind, sum(done.kind is kind for done in result.faults)) for kind, says_kind in SAYS.items()]
    rest = _REST.substitute(
        series=_table(COLUMNS, ((words(one), one.flat is False) for one in result.verdicts)),
        legend=escape(LEGEND),
        checks=_table(("what", "expected", "found"), ((check_words(one), not one.holds) for one in result.checks)),
        faults=_table(("what", "times"), (((said, str(count)), False) for said, count in counts)),
    )
    return whole_page(
        result,
        heading=f"Soak: {result.seconds / 60:.0f} minutes at {result.arguments['rate']:,.0f} items a second",
        summary=says(result),
        figure=draw(result),
        rest=rest,
        style=_STYLE,
    )


def _table(head: Iterable[str], rows: Iterable[tuple[Iterable[str], bool]]) -> str:
    return table(head, ((row, "wrong" if is_wrong else "") for row, is_wrong in rows))
