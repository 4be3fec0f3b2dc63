"""`python -m loadtests.faults.launch [hooks] -- server ARGS… | crawl ARGS…`: the product, with hooks put on from outside.

server ARGS…    as `ingest-server ARGS…`
crawl ARGS…     as `scrapy ARGS…`

--power DIR          note what is durable below DIR, for `loadtests.faults.power.forget(DIR)` (the journal's folder, the spool)
--clock FILE         the wall clock follows FILE, which `loadtests.faults.clock.set_clock` writes
--file-limit BYTES   no file may grow past this: writing fails with EFBIG. `disks.limit_files` changes it while it runs
--break NAME         take one safeguard away: fsync, ledger, drain (server), rename (crawl). May stand more than once
"""

import argparse
import importlib
import resource
import sys
from collections.abc import Sequence
from pathlib import Path

from loadtests.faults.breaches import BREACHES, BreachFailed, commit_breach
from loadtests.faults.clock import shift_clock, shift_dates

PACKAGES = {"server": "ingest_server", "crawl": "scrapy_batching"}


def words(
    *, power: Path | None = None, clock: Path | None = None, file_limit: int | None = None, breaches: Sequence[str] = ()
) -> list[str]:
    """The hooks as words of the command line, to stand before `--`."""
    pairs = [
        ("--power", power),
        ("--clock", clock),
        ("--file-limit", file_limit),
        *(("--break", one) for one in breaches),
    ]
    return [word for flag, value in pairs if value is not None for word in (flag, str(value))]


def main(arguments: Sequence[str]) -> None:
    """Put the hooks on and become the product. Ends as it does; exit code 2 where a hook cannot be put on."""
    own = list(arguments[: arguments.index("--")] if "--" in arguments else arguments)
    parser = argparse.ArgumentParser(prog="loadtests.faults.launch", description=__doc__)
    parser.add_argument("--power", type=Path)
    parser.add_argument("--clock", type=Path)
    parser.add_argument("--file-limit", type=int)
    parser.add_argument("--break", dest="breaches", action="append", default=[], choices=BREACHES)
    given = parser.parse_args(own)
    part, *rest = list(arguments[len(own) + 1 :]) or [""]
    if part not in PACKAGES:
        parser.error("after -- comes server or crawl, and its arguments")
    try:
        _put_on(part, power=given.power, clock=given.clock, file_limit=given.file_limit, breaches=given.breaches)
    except (BreachFailed, LookupError) as error:
        parser.error(str(error))
    sys.argv = ["ingest-server" if part == "server" else "scrapy", *rest]
    if part == "server":
        importlib.import_module("ingest_server.__main__").main()
    else:
        importlib.import_module("scrapy.cmdline").execute()


def _put_on(
    part: str, *, power: Path | None, clock: Path | None, file_limit: int | None, breaches: Sequence[str]
) -> None:
    if file_limit is not None:
        _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (file_limit, hard))  # Python ignores SIGXFSZ: writes fail with EFBIG
    if clock is not None:
        shift_clock(clock)
        shift_dates(PACKAGES[part])
    if power is not None:
        _watch(power, part)
    for name in breaches:
        commit_breach(name, part)


def _watch(folder: Path, part: str) -> None:
    from loadtests.faults.power import Notes
    from loadtests.faults.power_files import watch_files

    if not sys.platform.startswith("linux"):
        raise LookupError("--power needs Linux: it finds the names of open files in /proc")
    notes = Notes(folder)
    watch_files(notes)
    if part == "server":
        try:
            from loadtests.faults.power_sqlite import connect_over
        except ModuleNotFoundError as error:
            raise LookupError(f"--power needs {error.name}: pip install -e '.[dev]'") from error
        connection = importlib.import_module("ingest_server.queues.connection")
        if "connect" not in vars(connection):
            raise LookupError("ingest_server.queues.connection has no connect any more")
        connection.connect = connect_over(notes)  # type: ignore[attr-defined]


if __name__ == "__main__":
    main(sys.argv[1:])
