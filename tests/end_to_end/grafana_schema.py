"""Grafana's own types of a dashboard as JSON schemas: made once below target/ with what ../dashboards/ pins."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Sequence

from processes import Finished, run

ROOT = Path(__file__).resolve().parent.parent.parent
SOURCE = ROOT / "tests" / "dashboards"
PLACE = ROOT / "target" / "dashboards-check"
FILES = ("package.json", "package-lock.json", "tsconfig.json", "types.ts", "check.js")


def prepared() -> Path:
    """The folder with the schemas, installed and made anew where what they are made from has changed."""
    PLACE.mkdir(parents=True, exist_ok=True)
    is_old = [name for name in FILES if not _same(SOURCE / name, PLACE / name)]
    for name in is_old:
        # Only here when all that follows from it is done.
        (PLACE / name).unlink(missing_ok=True)
    node_modules, schemas = PLACE / "node_modules", PLACE / "schemas.json"
    if "package.json" in is_old or "package-lock.json" in is_old or not node_modules.exists():
        for name in ("package.json", "package-lock.json"):
            shutil.copy(SOURCE / name, PLACE / name)
        schemas.unlink(missing_ok=True)
        shutil.rmtree(node_modules, ignore_errors=True)
        _run("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", seconds=300).succeeded()
    if is_old or not schemas.exists():
        for name in FILES:
            shutil.copy(SOURCE / name, PLACE / name)
        generator = node_modules / ".bin" / "ts-json-schema-generator"
        options = ("--path", "types.ts", "--tsconfig", "tsconfig.json", "--no-type-check", "--out", "made.json")
        _run(generator, *options, seconds=120).succeeded()
        (PLACE / "made.json").rename(schemas)
    return PLACE


def checked(files: Sequence[Path]) -> Finished:
    """The answer of check.js about some dashboards."""
    return _run("node", "check.js", prepared() / "schemas.json", *files)


def _run(*arguments: object, seconds: float = 60) -> Finished:
    return run(*arguments, folder=PLACE, seconds=seconds, environment=dict(os.environ))


def _same(one: Path, other: Path) -> bool:
    return other.exists() and one.read_bytes() == other.read_bytes()
