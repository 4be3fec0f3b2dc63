"""The command as a whole: what Scrapy knows of it, and mistakes."""

import pytest

from tests.scrapy_batching.commands.typed import typing


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
        (["show", "0", "--items", "-1"], {}, "--items -1: write 0 or a larger number"),
        (["send", "--refusde"], {}, "unknown: send --refusde"),
        (["send"], {"BATCHING_URL": "nowhere"}, "BATCHING_URL = 'nowhere': write it as http://127.0.0.1:8800"),
    ],
)
async def test_mistakes_are_told(tmp_path, arguments, settings, said):
    code, _, err = await typing(tmp_path, *arguments, **settings)
    assert code == 2
    assert said in err


async def test_scrapy_knows_the_command(tmp_path):
    """Loaded by Scrapy from the entry point, outside of a project."""
    code, out, _ = await typing(tmp_path, "--help")
    assert code == 0
    assert "scrapy batches [options] status|send|show ID" in out
    assert "--refused" in out
