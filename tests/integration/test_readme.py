"""Every snippet of the README is run; the two install commands are run by .ci/run, which takes them from the README."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from viseme import parse_config
from viseme.manifest import read_jsonl
from viseme.sandbox import Sandbox

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
KEYS = dict.fromkeys(
    ("SYNC_API_KEY", "JOGG_API_KEY", "AIMLAPI_API_KEY", "RASK_CLIENT_ID", "RASK_CLIENT_SECRET"), "sandbox"
)


def snippet(name: str) -> str:
    """The fenced block behind a named mark."""
    match = re.search(rf"<!-- {name} -->\n```\w+\n(.*?)```", README, re.DOTALL)
    assert match, f"README.md has no snippet {name}"
    return match[1]


def at_sandbox(address: str) -> str:
    """The README's configuration, with every account at the sandbox and looked at quickly."""
    polling = "[accounts.aimlapi.polling]\n"
    config = snippet("config").replace(polling, polling + "first = '0.2s'\nevery = '0.2s'\n")
    for vendor in ("sync", "jogg", "aimlapi", "rask"):
        own = f'base_url = "{address}/{vendor}"\nallow_private_hosts = true\n'
        if vendor == "rask":
            own += f'token_url = "{address}/rask/oauth2/token"\nface_check_grace = "1s"\nstale_grace = "1s"\n'
        if vendor != "aimlapi":
            own += "polling = { first = '0.2s', every = '0.2s' }\n"
        config = config.replace(f"[accounts.{vendor}]\n", f"[accounts.{vendor}]\n{own}")
    return config


def local_media(text: str, address: str) -> str:
    text = re.sub(r"https://cdn\.example\.com/[\w.]*?(?:\{\w+\}\.)?(?:\w+\.)?wav", f"{address}/media/short.wav", text)
    return re.sub(r"https://cdn\.example\.com/\w+\.mp4", f"{address}/media/short.mp4", text)


def test_the_configuration_is_read() -> None:
    config = parse_config(snippet("config"), source="README.md", environ=KEYS)
    assert [account.name for account in config.accounts] == ["sync", "jogg", "aimlapi", "rask"]


def test_the_manifest_is_read() -> None:
    rows = list(read_jsonl(snippet("manifest").splitlines()))
    assert [row.problem for row in rows] == [None] * 4


async def test_the_run_command_brings_the_manifest_home(tmp_path: Path) -> None:
    async with Sandbox(speed=200).serve() as address:
        (tmp_path / "viseme.toml").write_text(at_sandbox(address))
        (tmp_path / "jobs.jsonl").write_text(local_media(snippet("manifest"), address))
        await finished(snippet("run"), tmp_path)
    lines = [json.loads(line) for line in (tmp_path / "films" / "results.jsonl").read_text().splitlines()]
    assert [line["state"] for line in lines] == ["succeeded"] * 4
    assert (tmp_path / "films" / "talk-de.mp4").stat().st_size > 1000
    assert (tmp_path / "films" / "clips" / "morning.mp4").stat().st_size > 1000


async def test_the_budget_commands_run(tmp_path: Path) -> None:
    async with Sandbox(speed=200).serve() as address:
        (tmp_path / "viseme.toml").write_text(at_sandbox(address))
        row = snippet("manifest").splitlines()[0]
        (tmp_path / "jobs.jsonl").write_text(local_media(row, address))
        told = await finished(snippet("budget"), tmp_path)
    assert "at most" in told  # the estimate
    assert "1 job" in told  # the spending


async def test_the_library_snippet_runs(tmp_path: Path) -> None:
    async with Sandbox(speed=200).serve() as address:
        place = f', base_url="{address}/sync", allow_private_hosts=True, polling={{"first": "0.2s", "every": "0.2s"}})'
        code = local_media(snippet("library"), address).replace('"YOUR-KEY"', '"sandbox"')
        code = code.replace('rates={"create": "100/min"})', 'rates={"create": "100/min"}' + place)
        (tmp_path / "program.py").write_text(code)
        told = await finished(f"{sys.executable} program.py", tmp_path)
    assert told.count("succeeded") == 3
    films = sorted(path.name for path in (tmp_path / "films").glob("*.mp4"))
    assert films == ["talk-de.mp4", "talk-es.mp4", "talk-fr.mp4"]


@pytest.mark.parametrize("name", ["demo", "test"])
def test_ci_runs_the_install_commands_of_the_readme(name: str) -> None:
    assert "python3 -m venv .venv" in snippet(name)
    assert f"readme {name}" in (ROOT / ".ci" / "run").read_text()


async def finished(command: str, folder: Path) -> str:
    """Run a command in a folder to its successful end; what it said on stdout."""
    import asyncio

    environ = {**os.environ, **KEYS, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    process = await asyncio.create_subprocess_shell(
        command, cwd=folder, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    out, error = await asyncio.wait_for(process.communicate(), 100)
    assert process.returncode == 0, error.decode()
    return out.decode()
