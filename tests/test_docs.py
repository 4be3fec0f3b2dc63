"""The docs are under test: what they name exists, what exists is named, and what they tell to type runs."""

import functools
import importlib
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.main import get_command

from ingest_server.cli import cli
from ingest_server.settings import WITHOUT_FLAG, Settings, environment_name, flag_name, option_name
from scrapy_batching.closing import FIGURES
from scrapy_batching.leftovers.telemetry import LeftoverTelemetry
from scrapy_batching.settings.options import OPTIONS
from scrapy_batching.telemetry import Telemetry
from tests.scrapy_batching.make import Stats

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]


def rows(page: str, section: str = "") -> list[list[str]]:
    """The cells of every table row of a page, or of one section of it."""
    text = (ROOT / "docs" / page).read_text()
    lines = (text.partition(f"\n## {section}\n")[2].partition("\n## ")[0] if section else text).splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| ")]


def console(page: Path) -> list[str]:
    """Every command line in the page's console blocks."""
    blocks = re.findall(r"```console\n(.*?)```", page.read_text(), re.DOTALL)
    return [line.removeprefix("$ ") for block in blocks for line in block.splitlines() if line.strip()]


@pytest.mark.parametrize("field", [name for name in Settings.model_fields if name not in WITHOUT_FLAG])
def test_every_setting_of_the_server_has_its_row(field: str) -> None:
    row = next((cells for cells in rows("settings-server.md") if f"`{flag_name(field)}`" in cells[0]), None)
    assert row is not None, f"docs/settings-server.md has no row for {flag_name(field)}"
    assert any(environment_name(field) in cell for cell in row), row


def test_the_docs_name_no_setting_that_is_gone() -> None:
    known = {environment_name(name) for name in Settings.model_fields} | {"INGEST_CONFIG", "INGEST_TOKEN"}
    known |= {option.name for option in OPTIONS}
    for page in PAGES:
        named = set(re.findall(r"\b(?:INGEST|BATCHING)_[A-Z_]*[A-Z]\b", page.read_text()))
        assert named <= known, page.name


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.name)
def test_every_setting_of_the_crawl_has_its_row(option) -> None:
    row = next((cells for cells in rows("settings-client.md") if f"`{option.name}`" in cells[0]), None)
    assert row is not None, f"docs/settings-client.md has no row for {option.name}"


@pytest.mark.parametrize("name", ["scrapy_batching", "ingest_server"])
def test_the_public_face_is_complete_and_sorted(name: str) -> None:
    face = importlib.import_module(name)
    public = {
        key
        for key, value in vars(face).items()
        if not key.startswith("_") and not inspect.ismodule(value) and getattr(value, "__module__", "").startswith(name)
    }
    assert public <= set(face.__all__)
    assert list(face.__all__) == sorted(face.__all__, key=str.casefold) or list(face.__all__) == sorted(face.__all__)
    for exported in face.__all__:
        assert getattr(face, exported) is not None


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)", page.read_text()):
        if not target.startswith(("http://", "https://")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_in_the_docs_exist(page: Path) -> None:
    """make targets, subcommands and flags that are typed in a page; the README's are run in tests/acceptance."""
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    flags = {flag_name(name) for name in Settings.model_fields if name not in WITHOUT_FLAG}
    flags |= {"--config", "--no-create-tables"}
    commands = get_command(cli).commands
    groups = {name: set(one.commands) for name, one in commands.items() if hasattr(one, "commands")}
    for command in console(page):
        words = command.split()
        if words[0] == "make":
            assert {word for word in words[1:] if not re.search("[=-]", word)} <= targets, command
        elif words[0] == "ingest-server":
            assert words[1] in commands, command
            if words[1] in groups and len(words) > 2 and not words[2].startswith("-"):
                assert words[2] in groups[words[1]], command
            if words[1] == "run":
                assert {word.split("=")[0] for word in words if word.startswith("--")} - {"--help"} <= flags, command
        elif words[:3] == ["python", "-m", "loadtests"]:
            wanted = {word for word in words if word.startswith("--")} - {"--help"}
            assert all(flag in help_of(*words[3:4]) for flag in wanted), command


@functools.cache
def help_of(*scenario: str) -> str:
    """What `--help` of a load scenario prints."""
    return subprocess.run(
        [sys.executable, "-m", "loadtests", *scenario, "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        env={"COLUMNS": "300", "PATH": ""},
    ).stdout


def stats_in_the_docs() -> set[str]:
    """Every stat that a row of docs/stats.md names; `…/max` goes on from the name before it."""
    found: set[str] = set()
    for cells in rows("stats.md"):
        last = ""
        for name in re.findall(r"`(…/[^`]+|batching/[^`]+)`", cells[0]):
            last = name if name.startswith("batching/") else last.rpartition("/")[0] + name.removeprefix("…")
            found.add(last.removeprefix("batching/"))
    return found


def test_every_stat_of_the_crawl_is_documented_and_no_other() -> None:
    kept = Stats()
    facts = Telemetry(kept)
    facts.publish()
    said = dict.fromkeys((*FIGURES, "inserted", "updated", "unchanged"), 0)
    facts.summary("crawl", "finished", said | {"missing": 1}, Path("spool"))
    LeftoverTelemetry(kept).found(1, 1)
    published = set(kept)
    named = stats_in_the_docs()
    assert published - named == set()
    # What is there only once it happened; each is looked at in tests/scrapy_batching.
    later = {f"leftovers/{what}/{fate}" for what in ("items", "batches") for fate in ("refused", "waiting")}
    assert named - published == {"status/<code>", *later}


def test_the_changelog_follows_keep_a_changelog() -> None:
    headings = re.findall(r"^## (.*)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert headings[0] == "[Unreleased]"
    assert all(re.fullmatch(r"\[\d+\.\d+\.\d+\] - \d{4}-\d\d-\d\d", heading) for heading in headings[1:])


def test_every_option_is_a_key_of_the_file_under_its_own_name() -> None:
    assert {option_name(name) for name in Settings.model_fields} >= {"schema", "tables", "table", "database"}


@pytest.mark.parametrize(
    ("page", "section", "most_unshown"),
    [
        # what is gone for good is shown by nobody
        ("operations.md", "Backup and restore", 1),
        # what nobody can show in a test: a disk that is gone, and ninety days
        ("durability.md", "What can be lost, and when", 2),
        ("scrapy.md", "The traps of Scrapy, and the test that covers each", 0),
        ("dead-letters.md", "What to rely on", 0),
        ("tables.md", "Tables that are there already", 0),
        ("isolation.md", "What refuses an item", 0),
        ("isolation.md", "What is not the item's fault", 0),
    ],
)
def test_every_row_of_what_can_go_wrong_names_tests_that_exist(page: str, section: str, most_unshown: int) -> None:
    every = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    there = set(re.findall(r"def (test_\w+)", every))
    # a row of one cell only is a heading
    facts = [cells for cells in rows(page, section)[1:] if any(cells[1:])]
    shown = [set(re.findall(r"`(test_\w+)`", cells[-1])) for cells in facts]
    assert len(shown) > 4
    assert set().union(*shown) - there == set()
    assert sum(not names for names in shown) <= most_unshown


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_test_that_a_page_names_exists(page: Path) -> None:
    every = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    there = set(re.findall(r"def (test_\w+)", every))
    assert set(re.findall(r"`(test_\w+)`", page.read_text())) - there == set()
