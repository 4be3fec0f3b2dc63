"""What is built is what users install."""

import os
import subprocess
import sys
import tarfile
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SERVER_ONLY = ("asyncpg", "msgspec", "prometheus_client", "psutil", "pydantic_settings", "typer", "uvloop")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the sdist, and the wheel that was built from it."""
    target = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", target, ROOT],
        check=True,
        capture_output=True,
        text=True,
    )
    return target


@pytest.fixture(scope="module")
def installed(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin directory of a fresh environment with the wheel. What it depends on comes from the suite's environment."""
    place = tmp_path_factory.mktemp("clean")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", place], check=True)
    pip = [sys.executable, "-m", "pip", "--python", place / "bin" / "python", "--disable-pip-version-check"]
    if subprocess.run([sys.executable, "-m", "pip", "--version"], capture_output=True).returncode != 0:
        pip = [sys._base_executable, *pip[1:]]  # an environment that was made without pip
    wheel = next(built.glob("*.whl"))
    subprocess.run([*pip, "install", "--quiet", "--no-deps", "--no-index", wheel], check=True)
    site = next((place / "lib").glob("python*/site-packages"))
    import aiohttp

    # a plain path: the suite's own editable install does not come with it
    (site / "dependencies.pth").write_text(f"{Path(aiohttp.__file__).parents[1]}\n")
    return place / "bin"


def run(*words: str | Path, cwd: Path) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "INGEST_"))}
    result = subprocess.run(words, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_the_wheel_holds_both_packages_typed_and_nothing_else(built: Path) -> None:
    with zipfile.ZipFile(next(built.glob("*.whl"))) as wheel:
        names = wheel.namelist()
    assert {"scrapy_batching/py.typed", "ingest_server/py.typed"} <= set(names)
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"scrapy_batching", "ingest_server"}
    assert any(name.endswith("LICENSE") for name in names)


def test_the_sdist_holds_what_make_needs(built: Path) -> None:
    with tarfile.open(next(built.glob("*.tar.gz"))) as sdist:
        names = {name.split("/", 1)[1] for name in sdist.getnames() if "/" in name}
    wanted = {"Makefile", "pyproject.toml", "README.md", "CHANGELOG.md", "LICENSE", "scrapy.cfg", "tests/conftest.py"}
    assert wanted <= names
    assert not [name for name in names if name.startswith((".venv", "dist/", "results/"))]


def test_a_plain_install_asks_for_nothing_of_the_servers(built: Path) -> None:
    with zipfile.ZipFile(next(built.glob("*.whl"))) as wheel:
        metadata = next(name for name in wheel.namelist() if name.endswith("METADATA"))
        wants = Parser().parsestr(wheel.read(metadata).decode()).get_all("Requires-Dist", [])
    plain = [want for want in wants if "extra ==" not in want]
    assert not [want for want in plain if want.replace("-", "_").startswith(SERVER_ONLY)]
    assert any(want.startswith("scrapy>=") for want in plain)


def test_the_crawls_side_imports_without_the_servers_dependencies(installed: Path, tmp_path: Path) -> None:
    program = f"""
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.split('.')[0] in {SERVER_ONLY!r}:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Missing())
import scrapy_batching, pkgutil, importlib
for module in pkgutil.walk_packages(scrapy_batching.__path__, 'scrapy_batching.'):
    importlib.import_module(module.name)
print(scrapy_batching.__file__)
"""
    where = run(installed / "python", "-c", program, cwd=tmp_path)
    assert str(installed.parent) in where


def test_the_commands_work_from_the_wheel(installed: Path, tmp_path: Path) -> None:
    assert run(installed / "ingest-server", "version", cwd=tmp_path).strip()
    assert "--database" in run(installed / "ingest-server", "run", "--help", cwd=tmp_path)
    where = run(installed / "python", "-c", "import ingest_server; print(ingest_server.__file__)", cwd=tmp_path)
    assert str(installed.parent) in where
