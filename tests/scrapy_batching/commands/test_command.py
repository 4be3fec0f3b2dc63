"""The command as a whole: what Scrapy knows of it, and mistakes."""

import pytest

from tests.scrapy_batching.commands.typed import typed, typing
from tests.scrapy_batching.leftovers.leaving import left_by


@pytest.mark.parametrize(
    ("command", "said"),
    [("status", "nothing lies in none\n"), ("send", "0 items in 0 batches delivered, 0 items refused\n")],
)
async def test_a_spool_that_is_not_there_is_told(tmp_path, command, said):
    code, out, err = await typing(tmp_path, command, BATCHING_SPOOL_DIR="none")
    assert (code, out) == (0, said)
    assert f"there is no directory {tmp_path / 'none'}." in err
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("arguments", "settings", "said"),
    [
        ([], {}, "nothing was asked for; write `scrapy batches status`"),
        (["sned"], {}, "unknown: sned"),
        (["list"], {}, "unknown: list; write `scrapy batches status`"),
        (["show"], {}, "scrapy batches status --ids"),
        (["show", ""], {}, "the id is missing: write `scrapy batches show ID`"),
        (["show", " "], {}, "the id is missing"),
        (["show", "0", "1"], {}, "one batch at a time"),
        (
            ["show", "0", "--timeout", "4"],
            {},
            "`show` takes no --timeout: leave it out; it is for `scrapy batches send`",
        ),
        (["status", "--items", "4"], {}, "`status` takes no --items: leave it out; it is for `scrapy batches show`"),
        (["status", "--refused"], {}, "`status` takes no --refused"),
        (["send", "--ids"], {}, "`send` takes no --ids: leave it out; it is for `scrapy batches status`"),
        (["send", "--timeout", "-4"], {}, "--timeout -4: write 0 or a larger number of seconds"),
        (["send", "--timeout", "nan"], {}, "--timeout nan: write 0 or"),
        (["send", "--timeout", "inf"], {}, "--timeout inf: write 0 or"),
        (["show", "0", "--items", "-1"], {}, "--items -1: write 0 or a larger number"),
        (["send", "--refusde"], {}, "unknown: send --refusde"),
        (["send"], {"BATCHING_URL": "nowhere"}, "BATCHING_URL = 'nowhere': write it as http://127.0.0.1:8800"),
    ],
)
async def test_mistakes_are_told(tmp_path, arguments, settings, said):
    code, _, err = await typing(tmp_path, *arguments, **settings)
    assert code == 2
    assert said in err


@pytest.mark.parametrize(
    "arguments", [["status", "--ids"], ["status", "--json", "--ids"], ["show"], ["show", "--json"]]
)
async def test_a_reader_who_has_enough_ends_it_quietly(tmp_path, arguments):
    """As `| head` does: nobody reads the rest of what is more than a pipe holds."""
    if "show" in arguments:
        (name,) = left_by(tmp_path / "spool", 30_000)
        arguments = [*arguments, str(name), "--items", "30000"]
    else:
        left_by(tmp_path / "spool", *[1] * 1_000)
    async with typed(tmp_path, *arguments) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        await process.stdout.read(100)
        process._transport.get_pipe_transport(1).close()  # there is no other way to close a reader
        err = (await process.stderr.read()).decode()
        assert (await process.wait(), err) == (0, "")


async def test_scrapy_knows_the_command(tmp_path):
    """Loaded by Scrapy from the entry point, outside of a project."""
    code, out, _ = await typing(tmp_path, "--help")
    assert code == 0
    assert "scrapy batches [options] status|send|show ID" in out
    assert "--refused" in out
