"""The commands and their options. What a command needs is imported when it is called, so that ``--help`` is quick."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from viseme.cli.guard import finish

__all__ = ["app"]

app = typer.Typer(
    name="viseme",
    help="Drives lip-sync jobs over hosted APIs: never pays twice by accident, never loses what was paid for.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    pretty_exceptions_show_locals=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


class FaultPreset(StrEnum):
    """How unkind the sandbox is."""

    none = "none"
    mild = "mild"
    hostile = "hostile"


class Mode(StrEnum):
    """How jobs are created."""

    single = "single"
    batch = "batch"


Out = Annotated[str | None, typer.Option("--out", metavar="DIR", help="Folder of the results.  [default: ./out]")]
Ledger = Annotated[str | None, typer.Option("--ledger", metavar="FILE", help="The ledger.  [default: DIR/viseme.db]")]
ConfigFile = Annotated[str | None, typer.Option("--config", metavar="FILE", help="[default: ./viseme.toml]")]
Events = Annotated[
    str | None,
    typer.Option("--events", metavar="FILE", help="Write every event as a line of JSON, anew; - is standard output."),
]
Wait = Annotated[bool, typer.Option("--wait", help="Stay while jobs wait for credit or budget.")]
Budget = Annotated[
    str | None,
    typer.Option("--budget", metavar="TEXT", help='Spend no more over the whole ledger: "25usd", "500 credits/day".'),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say only what is wrong.")]


@app.callback(invoke_without_command=True)
def viseme(version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False) -> None:
    """Options before a command."""
    if version:
        from importlib.metadata import version as version_of

        print(f"viseme {version_of('viseme')}")
        raise typer.Exit


@app.command()
def run(
    manifest: Annotated[str, typer.Argument(metavar="MANIFEST", help="A .jsonl or .csv file, or - for JSON lines.")],
    out: Out = None,
    config: ConfigFile = None,
    ledger: Ledger = None,
    account: Annotated[
        str | None, typer.Option("--account", metavar="NAME", help="The account of rows that name none.")
    ] = None,
    events: Events = None,
    skip_invalid: Annotated[
        bool, typer.Option("--skip-invalid", help="Leave bad rows out; good ones start as they arrive.")
    ] = False,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Create jobs anew that an earlier run saw fail; they are paid again.")
    ] = False,
    redo: Annotated[
        list[str] | None,
        typer.Option("--redo", metavar="KEY", help="Create and pay for this job anew, whatever became of it."),
    ] = None,
    mode: Annotated[
        Mode | None, typer.Option("--mode", help="Create many jobs with one request (batch), or each by itself.")
    ] = None,
    no_preflight: Annotated[
        bool, typer.Option("--no-preflight", help="Do not look at the media before the first job is created.")
    ] = False,
    budget: Budget = None,
    wait: Wait = False,
    quiet: Quiet = False,
) -> None:
    """Run a manifest, or go on with it.

    Status: 0 all succeeded, 1 some did not, 2 a mistake in the command, manifest or configuration, 130 interrupted.
    """

    def command() -> int:
        from viseme.cli.run import Again, Sitting, run

        sitting = Sitting(out=out, config=config, ledger=ledger, events=events, budget=budget, wait=wait, quiet=quiet)
        again = Again(retry_failed=retry_failed, redo=tuple(redo or ()))
        return run(
            manifest,
            sitting,
            account=account,
            skip_invalid=skip_invalid,
            again=again,
            mode=None if mode is None else mode.value,
            preflight=not no_preflight,
        )

    finish(command)


@app.command()
def check(
    manifest: Annotated[str, typer.Argument(metavar="MANIFEST", help="A .jsonl or .csv file, or - for JSON lines.")],
    config: ConfigFile = None,
    account: Annotated[
        str | None, typer.Option("--account", metavar="NAME", help="The account of rows that name none.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Look for what is wrong with a manifest and its media; sends nothing that costs.

    Status: 0 every row can be run (there may be warnings), 2 some cannot, or the command or configuration is wrong.
    """

    def command() -> int:
        from viseme.cli.check import check

        return check(manifest, config=config, account=account, as_json=as_json)

    finish(command)


@app.command()
def resume(
    out: Out = None,
    config: ConfigFile = None,
    ledger: Ledger = None,
    events: Events = None,
    budget: Budget = None,
    wait: Wait = False,
    quiet: Quiet = False,
) -> None:
    """Go on with everything that is open, without the manifest."""

    def command() -> int:
        from viseme.cli.run import Sitting, resume

        return resume(
            Sitting(out=out, config=config, ledger=ledger, events=events, budget=budget, wait=wait, quiet=quiet)
        )

    finish(command)


@app.command()
def estimate(
    manifest: Annotated[str, typer.Argument(metavar="MANIFEST", help="A .jsonl or .csv file, or - for JSON lines.")],
    config: ConfigFile = None,
    account: Annotated[
        str | None, typer.Option("--account", metavar="NAME", help="The account of rows that name none.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Tell what a manifest costs at most, in the vendor's unit and in US dollars; buys nothing."""

    def command() -> int:
        from viseme.cli.estimate import estimate

        return estimate(manifest, config=config, account=account, as_json=as_json)

    finish(command)


@app.command()
def spend(
    out: Out = None,
    ledger: Ledger = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Show what was spent, set aside, and taken for jobs that failed, by account and UTC day, also during a run."""

    def command() -> int:
        from viseme.cli.spend import spend

        return spend(out=out, ledger=ledger, as_json=as_json)

    finish(command)


@app.command()
def status(
    out: Out = None,
    ledger: Ledger = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Show how the jobs stand and what each account waits for, also during a run."""

    def command() -> int:
        from viseme.cli.status import status

        return status(out=out, ledger=ledger, as_json=as_json)

    finish(command)


@app.command()
def reconcile(
    resubmit: Annotated[
        str | None, typer.Option("--resubmit", metavar="KEY", help="Create it anew; it may be paid twice.")
    ] = None,
    abandon: Annotated[str | None, typer.Option("--abandon", metavar="KEY", help="End it as failed.")] = None,
    out: Out = None,
    ledger: Ledger = None,
    config: ConfigFile = None,
) -> None:
    """List the creates whose fate is unknown, or decide about one."""

    def command() -> int:
        from viseme.cli.reconcile import reconcile

        return reconcile(resubmit=resubmit, abandon=abandon, out=out, ledger=ledger, config=config)

    finish(command)


@app.command()
def cancel(
    keys: Annotated[list[str] | None, typer.Argument(metavar="[KEY]...", help="The jobs to call off.")] = None,
    every: Annotated[bool, typer.Option("--all", help="All that have not ended.")] = False,
    out: Out = None,
    ledger: Ledger = None,
    config: ConfigFile = None,
) -> None:
    """Call jobs off: here at once, at the vendor where it can be."""

    def command() -> int:
        from viseme.cli.cancel import cancel

        return cancel(keys or [], every=every, out=out, ledger=ledger, config=config)

    finish(command)


@app.command()
def accounts(config: ConfigFile = None) -> None:
    """Show the configured accounts, their limits and what is left on them, never their keys."""

    def command() -> int:
        from viseme.cli.accounts import accounts

        return accounts(config)

    finish(command)


@app.command()
def sandbox(
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0 takes any free one.")],
    host: Annotated[str, typer.Option("--host")] = "127.0.0.1",
    speed: Annotated[float, typer.Option("--speed", help="Vendor seconds per real second.")] = 1.0,
    seed: Annotated[int, typer.Option("--seed", help="Decides which requests the faults strike.")] = 0,
    faults: Annotated[FaultPreset, typer.Option("--faults")] = FaultPreset.none,
) -> None:
    """Play the vendors: real HTTP, real media, real bills, faults on demand. The API key is "sandbox"."""

    def command() -> int:
        from viseme.cli.sandbox import sandbox

        return sandbox(host=host, port=port, speed=speed, seed=seed, faults=faults.value)

    finish(command)


@app.command()
def demo(
    out: Annotated[str, typer.Option("--out", metavar="DIR", help="Folder of the results.")] = "viseme-demo",
    quiet: Quiet = False,
) -> None:
    """Start the sandbox, make sample clips, run forty jobs over all vendors, and check the bill."""

    def command() -> int:
        from viseme.cli.demo import demo

        return demo(out, quiet=quiet)

    finish(command)
