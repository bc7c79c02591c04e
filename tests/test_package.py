"""What is published and what is installed: the built packages, and the lists of exact versions."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from email import message_from_bytes
from email.message import Message
from pathlib import Path
from typing import Any

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
LISTS = ("dev", "bench", "docs")
VERSIONS = ("3.11", "3.12", "3.13", "3.14", "3.15")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "-d", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return folder


def metadata_of(built: Path) -> Message:
    with zipfile.ZipFile(next(built.glob("*.whl"))) as wheel:
        (name,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
        return message_from_bytes(wheel.read(name))


def test_the_readme_that_an_index_shows_has_absolute_links_only(built: Path) -> None:
    readme = str(metadata_of(built).get_payload())
    prose = re.sub(r"^```.*?^```", "", readme, flags=re.DOTALL | re.MULTILINE)
    targets = re.findall(r"\]\(([^)]+)\)", prose)
    source = PROJECT["project"]["urls"]["Source"]
    assert f"{source}/raw/HEAD/docs/story.svg" in targets
    assert f"{source}/blob/HEAD/CONTRIBUTING.md" in targets
    assert [target for target in targets if not target.startswith("https://")] == []
    own_files = [target.partition("/HEAD/")[2].partition("#")[0] for target in targets if target.startswith(source)]
    assert [name for name in own_files if not (ROOT / name).is_file()] == []
    own = (ROOT / "README.md").read_text()
    assert re.findall(r"^```.*?^```", readme, re.DOTALL | re.MULTILINE) == re.findall(
        r"^```.*?^```", own, re.DOTALL | re.MULTILINE
    )


def test_the_wheel_names_the_projects_addresses_and_holds_the_library_only(built: Path) -> None:
    addresses = metadata_of(built).get_all("Project-URL") or []
    assert {address.partition(",")[0] for address in addresses} == {"Source", "Changelog", "Issues"}
    with zipfile.ZipFile(next(built.glob("*.whl"))) as wheel:
        assert {name.partition("/")[0] for name in wheel.namelist()} == {"whilst", "whilst-0.1.0.dist-info"}
        assert "whilst/py.typed" in wheel.namelist()


def test_the_source_package_holds_what_both_commands_of_the_readme_need(built: Path) -> None:
    with tarfile.open(next(built.glob("*.tar.gz"))) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    for name in (
        "docs/story.svg",
        "README.md",
        "Makefile",
        "hatch_build.py",
        "requirements/dev.txt",
        "examples/demo.py",
    ):
        assert name in names
    assert "tests/test_package.py" in names


def entries(name: str) -> list[tuple[Requirement, int]]:
    """Each pinned requirement of a list, with how many hashes it gives."""
    text = (ROOT / "requirements" / f"{name}.txt").read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(Requirement(line.partition(" --hash")[0].strip()), line.count("--hash=sha256:")) for line in lines]


@pytest.mark.parametrize("name", LISTS)
def test_a_list_names_exact_versions_with_their_hashes_and_no_host(name: str) -> None:
    assert entries(name)
    for requirement, hashes in entries(name):
        assert re.fullmatch(r"==[^*,]+", str(requirement.specifier)), requirement
        assert hashes, requirement
    text = (ROOT / "requirements" / f"{name}.txt").read_text()
    assert not re.search(r"://|--(extra-)?index|--find-links|--trusted|@ ", text)


def wanted(group: str) -> list[Requirement]:
    found = []
    for each in PROJECT["dependency-groups"][group]:
        found += wanted(each["include-group"]) if isinstance(each, dict) else [Requirement(each)]
    return found


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", LISTS)
def test_a_list_pins_all_that_the_project_asks_for_within_its_bounds(name: str, version: str) -> None:
    environment: dict[str, str] = {
        **{key: str(value) for key, value in default_environment().items()},
        "python_version": version,
        "python_full_version": f"{version}.0",
    }

    def applies(requirement: Requirement) -> bool:
        return requirement.marker is None or requirement.marker.evaluate(environment)

    pinned = [requirement for requirement, _ in entries(name) if applies(requirement)]
    by_name = {canonicalize_name(each.name): str(each.specifier).removeprefix("==") for each in pinned}
    assert len(by_name) == len(pinned)  # one version each
    asked = wanted(name)
    if name == "dev":
        project = PROJECT["project"]
        lists = [
            project["dependencies"],
            *project["optional-dependencies"].values(),
            PROJECT["build-system"]["requires"],
        ]
        asked += [Requirement(each) for texts in lists for each in texts]
    for requirement in filter(applies, asked):
        assert by_name[canonicalize_name(requirement.name)] in requirement.specifier, requirement


def test_version_loads_next_to_nothing() -> None:
    # A bare interpreter has some thirty modules; `whilst --help`, with click, about seventy more than this.
    program = (
        "import sys; before = set(sys.modules); from whilst.cli import main; code = main(['--version']);"
        "print(code, *sorted(set(sys.modules) - before))"
    )
    command = [sys.executable, "-S", "-c", program]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60)
    said, loaded = done.stdout.splitlines()
    code, *modules = loaded.split()
    assert (said, code) == (f"whilst, version {PROJECT['project']['version']}", "0")
    assert {name for name in modules if name.startswith("whilst")} == {
        "whilst", "whilst._light", "whilst.cli", "whilst.errors", "whilst.model", "whilst.model.drawable",
    }  # fmt: skip
    assert not {"click", "importlib.metadata", "typing", "inspect"} & set(modules)
