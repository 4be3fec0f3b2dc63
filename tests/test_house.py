"""The house: imports run down only, no circle, each library behind its own door. Type-checking imports count too."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
WINGS = ("scrapy_batching", "ingest_server")

# Rooms from top to bottom: a room imports from lower lines only. The wing's own face (__init__) stands above them all.
FLOORS = {
    "scrapy_batching": (
        ("addon", "commands"),
        ("pipeline",),
        ("assembly",),
        ("life",),
        ("intake",),
        ("quick",),
        ("delivery", "full", "leftovers", "start_check"),
        ("telemetry",),
        ("settings", "spool"),
        ("wire",),
        ("batching", "closing", "gate", "items"),
        ("errors", "names", "saying", "stopping", "signals", "water", "words"),
    ),
    "ingest_server": (
        ("__main__",),
        ("cli",),
        ("commands",),
        ("app",),
        ("serving",),
        ("api", "audit", "doctor", "upkeep"),
        ("asking",),
        ("models", "postgres", "workers"),
        ("delivery", "splitting"),
        ("parking",),
        ("admission", "inflate", "queues", "settings", "tls", "wire"),
        ("tokens",),
        ("errors", "ports", "statuses", "telemetry"),
        ("backoff", "container", "files", "isolation", "logs", "model", "names", "retries", "turns"),
    ),
}

# Who may import a library, by room (a package counts with all its files).
DOORS = {
    "asyncpg": {"ingest_server.postgres", "ingest_server.app", "ingest_server.serving"},
    "scrapy": {
        "scrapy_batching.addon",
        "scrapy_batching.pipeline",
        "scrapy_batching.gate",
        "scrapy_batching.settings",
        "scrapy_batching.commands",
    },
    "pydispatch": {"scrapy_batching.telemetry"},
    "aiohttp.web": {"ingest_server.api"},
    "sqlite3": {"ingest_server.queues"},
    "typer": {"ingest_server.cli", "ingest_server.commands"},
    "pydantic_settings": {"ingest_server.settings"},
    "prometheus_client": {"ingest_server.telemetry", "ingest_server.api"},
    "psutil": {"ingest_server.admission", "ingest_server.container", "ingest_server.postgres"},
}

FORBIDDEN_NAMES = {"utils", "util", "helpers", "common", "misc", "manager", "managers"}


def modules(wing: str) -> dict[str, Path]:
    """Every module of a wing by its dotted name."""
    found = {}
    for path in sorted((ROOT / wing).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imported(path: Path) -> set[str]:
    """What a file imports, as dotted names; `from a import b` is a.b where that is a module of ours, else both."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import; this house writes whole names"
            assert node.module is not None
            whole = {f"{node.module}.{alias.name}" for alias in node.names}
            names |= whole
            if not all((ROOT / name.replace(".", "/")).with_suffix(".py").exists() for name in whole):
                names.add(node.module)
    return names


def room_of(module: str) -> str:
    """A file at the top of a wing is a room; so is a folder, with all that is in it."""
    return ".".join(module.split(".")[:2])


def arrows(wing: str) -> dict[str, set[str]]:
    """Which room imports which, within the wing; the wing's own face (__init__) is a room of its own."""
    names = modules(wing)
    found: dict[str, set[str]] = {room_of(name): set() for name in names}
    for name, path in names.items():
        for target in imported(path):
            # `from wing.room import Thing` names wing.room.Thing too: keep what is a module
            if target in names and room_of(target) != room_of(name):
                found[room_of(name)].add(room_of(target))
    return found


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Every way that leads back to where it began (one for each start)."""
    found = []
    for start in graph:
        stack = [(start, [start])]
        seen = set()
        while stack:
            node, way = stack.pop()
            for target in graph.get(node, ()):
                if target == start:
                    found.append([*way, start])
                elif target not in seen:
                    seen.add(target)
                    stack.append((target, [*way, target]))
    return found


@pytest.mark.parametrize("wing", WINGS)
def test_imports_run_down_only(wing: str) -> None:
    floor = {f"{wing}.{room}": depth for depth, rooms in enumerate(FLOORS[wing]) for room in rooms}
    graph = arrows(wing)
    assert set(graph) - {wing} == set(floor), "a new room needs its floor, a room that is gone needs none"
    upwards = [
        f"{room} imports {target}"
        for room, targets in graph.items()
        if room != wing
        for target in targets
        if target != wing and floor[target] <= floor[room]
    ]
    assert upwards == []
    assert [room for room, targets in graph.items() if wing in targets] == [], "nobody inside imports the face"


@pytest.mark.parametrize("wing", WINGS)
def test_no_circle_between_rooms(wing: str) -> None:
    assert circles(arrows(wing)) == []


@pytest.mark.parametrize("wing", WINGS)
def test_no_circle_between_files(wing: str) -> None:
    names = modules(wing)
    graph = {name: {one for one in imported(path) if one in names} - {name} for name, path in names.items()}
    assert circles(graph) == []


def test_the_wings_never_import_each_other() -> None:
    for wing, other in (WINGS, WINGS[::-1]):
        for name, path in modules(wing).items():
            assert not [one for one in imported(path) if one.split(".")[0] == other], name


@pytest.mark.parametrize("library", DOORS)
def test_a_library_stays_behind_its_door(library: str) -> None:
    trespassers = []
    for wing in WINGS:
        for name, path in modules(wing).items():
            uses = any(one == library or one.startswith(library + ".") for one in imported(path))
            if uses and room_of(name) not in DOORS[library]:
                trespassers.append(name)
    assert trespassers == []


def test_no_room_is_called_utils() -> None:
    for wing in (*WINGS, "spiders", "loadtests", "tests"):
        for path in (ROOT / wing).rglob("*.py"):
            assert not FORBIDDEN_NAMES & set(path.with_suffix("").parts), path


@pytest.mark.parametrize("wing", WINGS)
def test_the_words_of_the_glossary(wing: str) -> None:
    """One word for one thing: names of ours do not use the words that the design leaves out."""
    words = re.compile(r"(^|_)(manager|utils|chunks?|jobs?|payloads?|records?)($|_)", re.IGNORECASE)
    found = []
    for name, path in modules(wing).items():
        found += [
            f"{name}: {node.name}"
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
            and words.search(re.sub(r"(?<=[a-z])(?=[A-Z])", "_", node.name))
        ]
    assert found == []


@pytest.mark.parametrize("wing", WINGS)
def test_public_things_say_what_they_promise(wing: str) -> None:
    """Every module that holds code of ours and every public function and class has a docstring."""
    missing = []
    for name, path in modules(wing).items():
        tree = ast.parse(path.read_text())
        classes = [node for node in tree.body if isinstance(node, ast.ClassDef) and not node.name.startswith("_")]
        for node in (*tree.body, *(one for outer in classes for one in outer.body)):
            is_definition = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
            if is_definition and not node.name.startswith("_") and ast.get_docstring(node) is None:
                missing.append(f"{name}: {node.name}")
        if tree.body and ast.get_docstring(tree) is None:
            missing.append(name)
    assert missing == []


def test_the_checker_of_circles_bites() -> None:
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a"}})
    assert circles({"a": {"b"}, "b": {"c"}, "c": set()}) == []
