"""What it takes to begin: ``import viseme`` against ``import aiohttp``, and ``viseme --help``."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from functools import partial
from statistics import median

from benchmarks.reports import Bound, Options, Report
from benchmarks.samples import by_turns, ratio

__all__ = ["run"]

_IMPORTS = {
    "import aiohttp": "import aiohttp",
    "import viseme": "import viseme",
    "from viseme import Scheduler": "from viseme import Scheduler, Job, Account",
}
_TIMED = "import time; began = time.perf_counter()\n{}\nprint(time.perf_counter() - began)"
_ROUNDS, _QUICK_ROUNDS = 15, 7


def run(options: Options) -> Report:
    """Time imports inside fresh processes, and the command's help as a whole process."""
    with tempfile.TemporaryDirectory() as cache:
        surroundings = {**os.environ, "PYTHONPYCACHEPREFIX": cache, "PYTHONDONTWRITEBYTECODE": ""}
        works = {name: partial(_imported, line, surroundings) for name, line in _IMPORTS.items()}
        works["viseme --help"] = partial(_helped, surroundings)
        by_turns(1, works)  # as on every day but the first: the byte code is there
        taken = by_turns(_QUICK_ROUNDS if options.quick else _ROUNDS, works)
    face, face_spread = ratio(taken["import viseme"], taken["import aiohttp"])
    engine, engine_spread = ratio(taken["from viseme import Scheduler"], taken["import aiohttp"])
    return Report(
        figures={
            "import_vs_aiohttp": face,
            "engine_import_vs_aiohttp": engine,
            "help_s": median(taken["viseme --help"]),
        },
        bounds={"import_vs_aiohttp": Bound(most=1.3), "help_s": Bound(most=0.35)},
        spread={
            "import_vs_aiohttp": face_spread,
            "engine_import_vs_aiohttp": engine_spread,
            "help_s": (min(taken["viseme --help"]), max(taken["viseme --help"])),
        },
        headings=("", "median ms", "least", "most"),
        rows=[
            (name, *(f"{1000 * seconds:.1f}" for seconds in (median(each), min(each), max(each))))
            for name, each in taken.items()
        ],
        notes=(
            "Each import in a process of its own, by turns, with byte code cached; the interpreter's own start is not"
            " in it. The help is the whole process.",
            "The package loads a name when it is first used: the engine's row is what a program pays that runs jobs.",
        ),
    )


def _imported(line: str, surroundings: dict[str, str]) -> float:
    """Seconds that an import takes in a fresh interpreter."""
    return float(_output([sys.executable, "-c", _TIMED.format(line)], surroundings))


def _helped(surroundings: dict[str, str]) -> float:
    began = time.perf_counter()
    _output([sys.executable, "-m", "viseme", "--help"], surroundings)
    return time.perf_counter() - began


def _output(words: list[str], surroundings: dict[str, str]) -> str:
    return subprocess.run(words, capture_output=True, text=True, check=True, env=surroundings).stdout
