"""Downloads with everything on (hash, checks, sync, rename) against curl, in bytes per second."""

from __future__ import annotations

import mmap
import shutil
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from statistics import median

from attrs import frozen

from benchmarks.children import How, measured
from benchmarks.downloads.peers import curl, curls
from benchmarks.downloads.serving import film, served
from benchmarks.reports import Bound, Options, Report
from benchmarks.samples import by_turns, ratio

__all__ = ["run"]

MIB = 1 << 20
_SMALL = 8 * MIB
_WIDTH = 32
_TOOLS = ("curl", "tee", "sha256sum", "sync", "xargs")
_RATIOS = {
    "one_vs_curl": ("one: viseme", "one: curl | tee | sha256sum, sync"),
    "one_vs_curl_openssl": ("one: viseme", "one: curl | tee | openssl, sync"),
    "one_vs_bare_curl": ("one: viseme without hash", "one: curl"),
    "one_vs_script": ("one: viseme", "one: aiohttp script"),
    "many_vs_curl": ("many: viseme", "many: curl --parallel, sha256sum, sync"),
    "many_vs_curl_openssl": ("many: viseme", "many: curl --parallel, openssl, sync"),
    "many_vs_script": ("many: viseme", "many: aiohttp script"),
}
"""The figures that are ratios of throughput: ours, then theirs."""


@frozen
class _Fetched:
    """What a fetch took. ``cpu`` and ``grown`` (resident memory, bytes) are known of our own processes."""

    wall: float
    cpu: float | None = None
    grown: int | None = None


@frozen
class _Goods:
    """What there is to fetch: addresses, and the digests of what is behind them."""

    urls: Sequence[str]
    digests: Sequence[str]


def run(options: Options) -> Report:
    """Measure."""
    size, count, rounds = (256 * MIB, 32, 3) if options.quick else (1024 * MIB, 128, 7)
    with tempfile.TemporaryDirectory(prefix="viseme-downloads-") as made:
        folder = Path(made)
        with served(folder) as address:
            one = _goods(folder, address, "one", [size])
            few = _goods(folder, address, "few", [_SMALL])
            many = _goods(folder, address, "many", [_SMALL] * count)
            works = _works(one, few, many)
            taken = by_turns(rounds, {name: partial(_alone, work, size) for name, work in works.items()})
    return _report(taken, {"one": size, "few": _SMALL, "many": _SMALL * count})


def _goods(folder: Path, address: str, name: str, sizes: Sequence[int]) -> _Goods:
    names = [f"{name}-{number}.mp4" for number in range(len(sizes))]
    digests = [film(folder / name, size) for name, size in zip(names, sizes, strict=True)]
    return _Goods([f"{address}/{name}" for name in names], digests)


def _works(one: _Goods, few: _Goods, many: _Goods) -> dict[str, Callable[[str], _Fetched]]:
    works: dict[str, Callable[[str], _Fetched]] = {
        "one: viseme": partial(_ours, one, "ours:run"),
        "one: viseme[speed]": partial(_ours, one, "ours:run", how="speed"),
        "one: viseme without hash": partial(_ours, one, "ours:run", hashed=False),
        "one: aiohttp script": partial(_ours, one, "peers:script"),
        "few: viseme, one of 8 MiB": partial(_ours, few, "ours:run"),
        "many: viseme": partial(_ours, many, "ours:run"),
        "many: viseme[speed]": partial(_ours, many, "ours:run", how="speed"),
        "many: aiohttp script": partial(_ours, many, "peers:script"),
    }
    if not all(map(shutil.which, _TOOLS)):
        return works
    works["one: curl"] = partial(_curl, one, None)
    for hasher in filter(shutil.which, ("sha256sum", "openssl")):
        works[f"one: curl | tee | {hasher}, sync"] = partial(_curl, one, hasher)
        works[f"many: curl --parallel, {hasher}, sync"] = partial(_curls, many, hasher)
    return works


def _alone(work: Callable[[str], _Fetched], size: int) -> _Fetched:
    """Do one piece of work with a folder of its own, and with memory that the machine has at hand.

    A virtual machine gives pages that lie free back to its host, and whoever needs them next waits for them.
    """
    with mmap.mmap(-1, size + size // 4) as pages:
        for at in range(0, len(pages), mmap.PAGESIZE):
            pages[at] = 1
    with tempfile.TemporaryDirectory(prefix="viseme-downloads-") as folder:
        return work(folder)


def _ours(goods: _Goods, work: str, folder: str, *, how: How = "plain", hashed: bool = True) -> _Fetched:
    more = {} if hashed else {"hashed": False}
    arguments = {"urls": goods.urls, "folder": folder, "width": _WIDTH, **more}
    taken = measured(f"benchmarks.downloads.{work}", arguments, how=how)
    assert not hashed or taken.result == goods.digests, "what was fetched is not what is served"
    return _Fetched(taken.wall, taken.cpu, taken.peak - taken.base)


def _curl(goods: _Goods, hasher: str | None, folder: str) -> _Fetched:
    wall, digests = curl(goods.urls[0], folder, hasher)
    assert hasher is None or digests == goods.digests, "what was fetched is not what is served"
    return _Fetched(wall)


def _curls(goods: _Goods, hasher: str, folder: str) -> _Fetched:
    wall, digests = curls(goods.urls, folder, _WIDTH, hasher)
    assert digests == sorted(goods.digests), "what was fetched is not what is served"
    return _Fetched(wall)


def _report(taken: dict[str, list[_Fetched]], sizes: dict[str, int]) -> Report:
    figures: dict[str, float | None] = {}
    spread: dict[str, tuple[float, float]] = {}
    for figure, (above, below) in _RATIOS.items():
        if below in taken:  # bytes per second: what took longer has less
            figures[figure], spread[figure] = ratio(_walls(taken[below]), _walls(taken[above]))
        else:
            figures[figure] = None
    large, small = taken["one: viseme"], taken["few: viseme, one of 8 MiB"]
    figures["rss_growth_mb"] = (_grown(large) - _grown(small)) / MIB
    notes = [
        f"One file of {sizes['one'] // MIB} MiB; {sizes['many'] // _SMALL} of 8 MiB, {_WIDTH} at once. The server in a"
        " process of its own, with sendfile; a fresh process and folder each time, imports not counted.",
        "rss_growth_mb: what the large file took of memory beyond what a file of 8 MiB took.",
    ]
    if "one: curl" not in taken:
        notes.append(f"Not all of {', '.join(_TOOLS)} are installed: the script over aiohttp is the peer.")
    return Report(
        figures=figures,
        spread=spread,
        bounds={
            "one_vs_curl": Bound(least=0.7, goal=1.0),
            "many_vs_curl": Bound(least=0.8, goal=1.0),
            "one_vs_bare_curl": Bound(least=0.9),
            "rss_growth_mb": Bound(most=16),
        },
        headings=("", "MiB/s", "least", "most", "CPU s/GiB", "memory MiB"),
        rows=[_row(name, fetches, sizes[name.partition(":")[0]]) for name, fetches in taken.items()],
        notes=notes,
    )


def _walls(fetches: Sequence[_Fetched]) -> list[float]:
    return [fetch.wall for fetch in fetches]


def _grown(fetches: Sequence[_Fetched]) -> float:
    return median(fetch.grown or 0 for fetch in fetches)


def _row(name: str, fetches: Sequence[_Fetched], size: int) -> tuple[str, ...]:
    speeds = [size / MIB / fetch.wall for fetch in fetches]
    cpu = [fetch.cpu * 1024 * MIB / size for fetch in fetches if fetch.cpu is not None]
    grown = f"{_grown(fetches) / MIB:.0f}" if cpu else ""
    own = f"{median(cpu):.2f}" if cpu else ""
    return name, f"{median(speeds):.0f}", f"{min(speeds):.0f}", f"{max(speeds):.0f}", own, grown
