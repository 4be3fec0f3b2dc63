"""A run's result for the terminal, and the words that terminal and page share."""

from rich import box
from rich.table import Table

from loadtests.results import Cell, Result

COLUMNS = (
    "workers",
    "batch",
    "items/s",
    "ceiling",
    "ratio",
    "p10–p90",
    "p50 ms",
    "p99 ms",
    "CPU server",
    "CPU database",
    "MiB",
)
WIDTH = 100
"""Characters that the table needs in a line."""

LEGEND = (
    "batch: its items · ceiling: items/s of COPY with ready tuples, as many connections as workers · "
    "ratio: ours over the ceiling of the same round · ms: one batch, from the request to the answer that it is "
    "committed · CPU: seconds for 1,000 items · MiB: the server's largest resident memory"
)
SHAPES = {"wide": "wide items (18 columns, 1 KB of JSON)", "narrow": "narrow items (5 columns, 150 B of JSON)"}


def words(cell: Cell) -> tuple[str, ...]:
    """One row of the table, a word for each of `COLUMNS`; figures are medians over the rounds."""
    cpu = cell.cpu_seconds_per_1000_items
    return (
        str(cell.workers),
        f"{cell.batch_size:,}",
        f"{cell.items_per_second.median:,.0f}",
        f"{cell.ceiling_items_per_second.median:,.0f}",
        f"{cell.ratio.median:.2f}",
        f"{cell.ratio.p10:.2f}–{cell.ratio.p90:.2f}",
        f"{cell.latency_ms.p50:,.1f}",
        f"{cell.latency_ms.p99:,.1f}",
        f"{cpu['server']:.4f}",
        f"{cpu['postgres']:.4f}" if "postgres" in cpu else "–",
        f"{cell.server_rss_peak_bytes / 2**20:,.0f}",
    )


def title(result: Result, shape: str) -> str:
    return f"{result.mode}, {SHAPES[shape]}"


def table(result: Result, shape: str) -> Table:
    """The cells of one shape; the fastest stands out."""
    cells = [cell for cell in result.cells if cell.shape == shape]
    fastest = max(cells, key=lambda cell: cell.items_per_second.median)
    drawn = Table(
        title=title(result, shape),
        caption=LEGEND,
        title_justify="left",
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    for name in COLUMNS:
        drawn.add_column(name, justify="right")
    for index, cell in enumerate(cells):
        last_of_workers = index + 1 == len(cells) or cells[index + 1].workers != cell.workers
        drawn.add_row(*words(cell), style="bold" if cell is fastest else "", end_section=last_of_workers)
    return drawn
