"""The verdicts for the terminal, and the words that terminal and page share."""

from rich import box
from rich.table import Table

from loadtests.soak.results import Check, Result
from loadtests.soak.verdict import JUDGED_SECONDS, MIB, RATIO, SERIES, Series, Verdict

COLUMNS = ("series", "start", "median", "peak", "2nd quarter", "last quarter", "drift", "trend a day", "flat")
WIDTH = 120
"""Characters that the table needs in a line."""

LEGEND = (
    f"flat: the median of the last quarter is at most {RATIO:g} times that of the second quarter, or no more above it than a "
    "fixed slack (16 MiB of memory, 8 handles, 4 MiB of queue or spool; connections, journal and pg_wal: or below what "
    f"they may have, 8, 136 MiB and 320 MiB). Runs under {JUDGED_SECONDS / 60:.0f} minutes are not judged. start: median of "
    "the first tenth · drift: last quarter less second · trend a day: slope of the second half (median over all pairs), "
    "for information · MiB where it is a size"
)
_BY_NAME = {one.name: one for one in SERIES}


def words(verdict: Verdict) -> tuple[str, ...]:
    """One row of the table, a word for each of `COLUMNS`."""
    one = _BY_NAME[verdict.name]
    values = (verdict.start, verdict.median, verdict.peak, verdict.second_quarter, verdict.last_quarter)
    return (
        one.label,
        *(shown(one, value) for value in values),
        shown(one, verdict.drift, signed=True),
        shown(one, verdict.per_day, signed=True),
        "–" if verdict.flat is None else "yes" if verdict.flat else "NO",
    )


def shown(one: Series, value: float | None, *, signed: bool = False) -> str:
    """A value of the series, bytes as MiB."""
    if value is None:
        return "–"
    scaled = value / MIB if one.unit == "B" else value
    sign = "+" if signed else ""
    return f"{scaled:{sign},.1f}" if one.unit == "B" else f"{scaled:{sign},.0f}"


def says(result: Result) -> str:
    """The whole in a few sentences."""
    uneven = [_BY_NAME[verdict.name].label for verdict in result.verdicts if verdict.flat is False]
    wrong = [check.what for check in result.checks if not check.holds]
    flat = "Too short a run to say what is flat." if result.is_flat is None else "Flat: every series."
    counts = "Nothing lost, nothing twice, nothing left behind."
    early = f" Ended early by {result.ended}." if result.ended else ""
    return (
        f"{result.items:,} items committed in {result.seconds / 60:.1f} minutes, {len(result.faults)} faults.{early} "
        f"{'NOT flat: ' + '; '.join(uneven) + '.' if uneven else flat} "
        f"{'The counts do NOT agree: ' + '; '.join(wrong) + '.' if wrong else counts}"
    )


def series(result: Result) -> Table:
    """A row for each series; what is not flat stands out."""
    drawn = _table(f"soak, {result.arguments['rate']:,.0f} items a second, seed {result.seed}", LEGEND)
    for name in COLUMNS:
        drawn.add_column(name, justify="left" if name == "series" else "right")
    for verdict in result.verdicts:
        drawn.add_row(*words(verdict), style="bold red" if verdict.flat is False else "")
    return drawn


def checks(result: Result) -> Table:
    """The counts at the end."""
    drawn = _table("counted at the end", "")
    for name, justify in (("what", "left"), ("expected", "right"), ("found", "right")):
        drawn.add_column(name, justify="left" if justify == "left" else "right")
    for check in result.checks:
        drawn.add_row(*check_words(check), style="" if check.holds else "bold red")
    return drawn


def check_words(check: Check) -> tuple[str, str, str]:
    return check.what, f"{check.expected:,}", f"{check.found:,}"


def _table(title: str, caption: str) -> Table:
    return Table(
        title=title,
        caption=caption or None,
        title_justify="left",
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
