"""Single batches in the spool, found by their id and looked into. Nothing is changed; blocking, without asyncio."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import orjson

from scrapy_batching.spool.folder import RunFolder
from scrapy_batching.spool.runs import find_runs
from scrapy_batching.spool.stock import State, lines_in, refused_in


@dataclass(frozen=True, slots=True, kw_only=True)
class Lying:
    """A batch that lies in a run's folder, or in `refused/` (then `run` and `spider` are empty and `pid` is 0).

    `since` is RFC 3339 in UTC: the start of its crawl's run, or when it was refused; `size` in bytes; `reason`, `status` and
    `url` are of a refused one only.
    """

    id: str
    table: str
    crawl: str
    spider: str
    run: str
    since: str
    items: int
    size: int
    state: State
    pid: int
    path: Path
    url: str = ""
    reason: str = ""
    status: int | None = None

    def lines(self, most: int) -> Iterator[bytes]:
        """Its first items, whole lines without their LF; none if the file is gone by now."""
        try:
            with self.path.open("rb") as file:
                for line in islice(file, most):
                    if line.endswith(b"\n"):
                        yield line[:-1]
        except FileNotFoundError:
            return


def lying(spool: Path, *, beginning: str = "") -> list[Lying]:
    """Every batch whose id begins so: what runs hold, oldest first, then what was refused."""
    wanted = beginning.lower()
    found = [one for run in find_runs(spool)[0] for one in _in_run(run, wanted)]
    return found + list(_refused(spool, wanted))


def _in_run(run: RunFolder, wanted: str) -> Iterator[Lying]:
    try:
        about, left = run.about, run.left()
    except OSError:
        return  # it was emptied and removed in the meantime
    ones = [one for one in left if str(one.id).startswith(wanted)]
    if about is None or not ones:
        return
    state: State = "in use"
    if run.claim():
        run.release()
        state = "waiting"
    for one in ones:
        yield Lying(
            id=str(one.id),
            table=one.table,
            crawl=about.crawl,
            spider=about.spider,
            run=run.path.name,
            since=about.started_at,
            items=lines_in(one.path),
            size=one.size,
            state=state,
            pid=about.pid,
            path=one.path,
        )


def _refused(spool: Path, wanted: str) -> Iterator[Lying]:
    for one in refused_in(spool):
        if str(one.id).startswith(wanted):
            reason, status = _why(one.about)
            yield Lying(
                id=str(one.id),
                table=one.table,
                crawl=one.crawl,
                spider="",
                run="",
                since=one.refused_at,
                items=one.items,
                size=one.size,
                state="refused",
                pid=0,
                path=one.path,
                url=one.url,
                reason=reason,
                status=status,
            )


def _why(about: Path) -> tuple[str, int | None]:
    """The reason, with the status where a server said it."""
    try:
        said = orjson.loads(about.read_bytes())
        problem = said.get("problem")
        status = problem.get("status") if isinstance(problem, dict) else None
        return str(said.get("reason") or ""), status if isinstance(status, int) and status else None
    except (OSError, ValueError, AttributeError):
        return "", None
