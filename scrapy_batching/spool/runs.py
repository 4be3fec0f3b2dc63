"""The runs that lie in a spool directory, and what else lies there."""

from pathlib import Path

from scrapy_batching.spool.folder import RunFolder
from scrapy_batching.spool.layout import is_debris, is_draft, is_run_name
from scrapy_batching.spool.refusals import REFUSED


def find_runs(spool: Path) -> tuple[list[RunFolder], list[Path]]:
    """The runs below a spool directory, oldest first, and what lies there and is not ours (or of another format)."""
    runs, foreign = [], []
    for one in sorted(spool.iterdir()) if spool.is_dir() else ():
        if one.name == REFUSED or is_draft(one) or is_debris(one):
            continue
        run = RunFolder(one)
        if is_run_name(one.name) and run.about is not None:
            runs.append(run)
        else:
            foreign.append(one)
    return runs, foreign
