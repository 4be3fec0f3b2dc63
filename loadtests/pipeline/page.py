"""The result as one HTML page that needs nothing beside itself."""

from html import escape
from pathlib import Path
from string import Template

from loadtests.page import table, whole_page
from loadtests.pipeline.draw import draw
from loadtests.pipeline.plan import CONTENDERS
from loadtests.pipeline.results import Result
from loadtests.pipeline.table import COLUMNS, GOAL_COLUMNS, GOAL_LEGEND, LEGEND, goal_words, rows, title, words

_STYLE = """\
td:nth-child(-n+2), th:nth-child(-n+2) { text-align: left; }
tr.wrong td { color: #c00000; font-weight: 600; }
tr.ours td { font-weight: 600; }
"""

_REST = Template("""<p class="small">Points are medians over the rounds, bars go from the 10th to the 90th percentile. In each
round every contender crawls the same items right after the others, in an order that chance decides, each in a process of its
own. Who stores items is counted after each crawl.</p>
<h2>Goals</h2>
$goals
<p class="small">$goal_legend</p>
$tables
<p class="small">$legend</p>
<h2>Contenders</h2>
<dl>$contenders</dl>""")


def write_page(result: Result, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page(result), encoding="utf-8")


def page(result: Result) -> str:
    places = dict.fromkeys((cell.shape, cell.asked) for cell in result.cells)
    rest = _REST.substitute(
        goals=table(
            GOAL_COLUMNS, ((goal_words(goal, result), "wrong" if goal.met is False else "") for goal in result.goals)
        ),
        goal_legend=escape(GOAL_LEGEND),
        tables="\n".join(_cells(result, *place) for place in places),
        legend=escape(LEGEND),
        contenders="".join(f"<dt>{escape(name)}</dt><dd>{escape(says)}</dd>" for name, says in CONTENDERS.items()),
    )
    return whole_page(
        result,
        heading="What the pipeline costs a crawl",
        summary=says(result),
        figure=draw(result),
        rest=rest,
        style=_STYLE,
    )


def says(result: Result) -> str:
    """The goals in a sentence."""
    measured = [goal for goal in result.goals if goal.met is not None]
    missed = [goal for goal in measured if not goal.met]
    told = "".join(
        f" {goal.says}: {found.median:.3f} ({found.p10:.3f}–{found.p90:.3f}), goal {goal.least:.2f}."
        for goal, found in ((goal, result.ratios[goal.ratio]) for goal in measured)
        if goal.least is not None
    )
    return f"{len(measured) - len(missed)} of {len(measured)} goals met.{told}"


def _cells(result: Result, shape: str, asked: int) -> str:
    found = [
        (words(cell), " ".join(["ours"] * (cell.contender == "ours") + ["last"] * is_last))
        for cell, is_last in rows(result, shape, asked)
    ]
    return f"<h2>{escape(title(shape, asked))}</h2>\n{table(COLUMNS, found)}"
