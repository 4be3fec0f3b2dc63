import os
import re

import aiohttp
import pytest

from spiders.demo.programs import ProgramError, log, running, serving
from spiders.demo.workplace import workplace


async def test_a_server_is_ready_when_it_says_so_and_gone_after_the_block(tmp_path):
    async with serving("site", "spiders.site", "--port", "0", "--listings", "3", place=tmp_path) as url:
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+", url)
        async with aiohttp.request("GET", url) as answer:
            assert answer.status == 200
    with pytest.raises(aiohttp.ClientConnectorError):
        async with aiohttp.request("GET", url):
            pass


async def test_a_program_that_does_not_start_is_quoted(tmp_path):
    with pytest.raises(ProgramError, match="site ended with exit code 2") as failed:
        async with serving("site", "spiders.site", "--port", "many", place=tmp_path):
            pass
    assert "invalid int value: 'many'" in str(failed.value)


async def test_a_program_is_ended_when_the_block_fails(tmp_path):
    with pytest.raises(ZeroDivisionError):
        async with running("sleep", "spiders.site", "--port", "0", place=tmp_path) as program:
            raise ZeroDivisionError
    assert program.returncode is not None


async def test_the_caller_s_settings_and_proxies_do_not_reach_a_program(tmp_path, monkeypatch):
    for name in ("INGEST_DATABASE", "BATCHING_URL", "SCRAPY_PROJECT", "http_proxy", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "not ours")
    (tmp_path / "tell.py").write_text("import os, sys; print(sorted(os.environ), file=sys.stderr)")
    async with running("tell", "tell", place=tmp_path) as program:
        await program.wait()
    told = log("tell", tmp_path).read_text()
    assert "SCRAPY_SETTINGS_MODULE" in told
    for name in ("INGEST_DATABASE", "BATCHING_URL", "SCRAPY_PROJECT", "http_proxy", "HTTPS_PROXY"):
        assert f"'{name}'" not in told


def test_a_workplace_is_gone_afterwards_and_its_parent_is_as_it_was():
    with workplace(keep=False) as place:
        parent = place.directory.parent
        mode = parent.stat().st_mode
        place.data.mkdir()
        (place.data / "something").write_text("x")
        if os.geteuid() == 0:
            assert place.directory.stat().st_mode & 0o777 == 0o711
        else:
            assert place.directory.stat().st_mode & 0o777 == 0o700
        assert place.spooled() == 0
    assert not place.directory.exists()
    assert parent.stat().st_mode == mode


def test_a_workplace_goes_away_after_a_failure_too():
    with pytest.raises(ZeroDivisionError), workplace(keep=False) as place:
        raise ZeroDivisionError
    assert not place.directory.exists()


def test_a_workplace_that_is_kept_tells_how_to_look_at_it(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    with workplace(keep=True) as place:
        told = place.how_to_look()
    assert place.directory.is_dir()
    assert f"--data-dir {place.data}" in told
    if place.directory.parent != tmp_path:  # root: pytest's directories are closed to `nobody`
        place.directory.rmdir()
