"""The sandbox as one owner of state and one aiohttp application."""

import asyncio
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast
from urllib.parse import unquote, urlsplit

import attrs
from aiohttp import web
from aiohttp.typedefs import Handler

from . import backstage
from .clock import Clock
from .faults import Fault, FaultDesk, Faults
from .library import Library
from .links import Signer
from .log import Log
from .reception import receive
from .studio import Studio
from .vendors import VENDORS, Vendor, VendorSettings
from .vendors.house import House

_UPLOAD_LIMIT = 5 * 1024**3


class Sandbox:
    """Stand-in vendors on one port: real HTTP, real media, real bills, faults on demand.

    Args:
        speed: How many vendor seconds pass in a real one; 60 makes a minute a second.
        seed: Decides which requests the drawn faults strike.
        faults: `Faults`, or the name of a preset: `none`, `mild`, `hostile`.
        settings: Per vendor its settings, whole or as a mapping of those that differ from the defaults.
        fixed_size: Serve results of this many bytes (a short valid film) instead of rendering any: for benchmarks.
            Inputs are not fetched then.
        fixed_seconds: How long that film lasts.
        clock: A clock of the caller's own instead of one with `speed`.
        log_rows: How many rows the request log keeps.
    """

    def __init__(
        self,
        *,
        speed: float = 1.0,
        seed: int = 0,
        faults: Faults | str = "none",
        settings: Mapping[str, VendorSettings | Mapping[str, Any]] | None = None,
        fixed_size: int | None = None,
        fixed_seconds: float = 2.0,
        clock: Clock | None = None,
        log_rows: int = 100_000,
    ) -> None:
        self.clock = clock or Clock(speed)
        self._log = Log(log_rows)
        self._desk = FaultDesk(seed, Faults.named(faults) if isinstance(faults, str) else faults)
        self._studio = Studio(self._local, fixed_size, fixed_seconds)
        self._library = Library(self._studio)
        self._house = House(self.clock, self._log, self._studio, Signer(secrets.token_bytes(16)), seed)
        self._vendors: dict[str, Vendor] = {}
        for name, (vendor, defaults) in VENDORS.items():
            chosen = (settings or {}).get(name, defaults())
            self._vendors[name] = vendor(
                self._house, chosen if isinstance(chosen, VendorSettings) else defaults(**chosen)
            )
        if unknown := set(settings or {}) - set(VENDORS):
            raise ValueError(f"unknown vendors: {', '.join(unknown)}; known are {', '.join(VENDORS)}")
        self.app = self._wired()

    def _wired(self) -> web.Application:
        app = web.Application(client_max_size=_UPLOAD_LIMIT)
        for vendor in self._vendors.values():
            for endpoint in vendor.endpoints():
                handler = receive(vendor, endpoint, self._desk)
                path = f"/{vendor.name}{endpoint.path}"
                app.router.add_route(endpoint.method, path, handler)
                if endpoint.method == "GET":
                    app.router.add_route("HEAD", path, handler)
            app.router.add_route("*", f"/{vendor.name}/{{tail:.*}}", _unknown(vendor))
        app.router.add_routes(self._library.routes())
        app.router.add_routes(backstage.routes(self))
        app.cleanup_ctx.append(self._open)
        return app

    async def _open(self, app: web.Application) -> AsyncIterator[None]:
        await self._studio.open()
        yield
        await self._house.close()
        await self._studio.close()

    @asynccontextmanager
    async def serve(self, host: str = "127.0.0.1", port: int = 0) -> AsyncGenerator[str]:
        """Serves until the block is left; yields the address, `http://127.0.0.1:PORT`. Port 0 takes any free one."""
        runner = web.AppRunner(self.app, access_log=None, shutdown_timeout=0.5)
        await runner.setup()
        try:
            site = web.TCPSite(runner, host, port, backlog=1024)
            await site.start()
            bound = cast("tuple[str, int]", runner.addresses[0])
            yield f"http://{host}:{bound[1]}"
        finally:
            await runner.cleanup()

    async def _local(self, url: str, origin: str) -> Path | None:
        """A file that the sandbox itself serves, without a request to itself; None for any other URL."""
        if not origin or not url.startswith(origin + "/"):
            return None
        pieces = unquote(urlsplit(url).path).split("/")
        if len(pieces) == 3 and pieces[1] == "media":
            return await self._library.path(pieces[2])
        if len(pieces) == 5 and pieces[2] == "files":
            slot = self._house.upload(pieces[3])
            return self._house.upload_path(pieces[3]) if slot is not None and slot.blob is not None else None
        return None

    @property
    def folder(self) -> Path:
        """The temporary folder with samples and films; gone when the sandbox closes."""
        return self._studio.folder

    def inject(
        self, fault: Fault | str, *, vendor: str | None = None, route: str | None = None, times: int = 1, **details: Any
    ) -> None:
        """Orders a fault for the next `times` matching requests (`route`: create, poll, list, result, upload, ...)."""
        self._desk.inject(fault, vendor=vendor, route=route, times=times, **details)

    def configure(self, vendor: str, **changes: Any) -> None:
        """Changes settings of a vendor while it runs.

        Raises:
            KeyError: There is no such vendor.
            TypeError: There is no such setting.
        """
        self._vendors[vendor].settings = attrs.evolve(self._vendors[vendor].settings, **changes)

    def settings(self, vendor: str) -> VendorSettings:
        """A vendor's settings as they stand."""
        return self._vendors[vendor].settings

    def bill(self) -> dict[str, Any]:
        """Every account's bill."""
        return {name: lines for vendor in self._vendors.values() for name, lines in vendor.statements().items()}

    def log(self, vendor: str | None = None, route: str | None = None) -> list[dict[str, Any]]:
        """The request log, oldest first."""
        return [row.told() for row in self._log.rows(vendor, route)]

    def results(self, vendor: str | None = None) -> list[dict[str, Any]]:
        """Every finished film with its digest, inputs and deliveries."""
        now = self.clock.now()
        chosen: Iterable[Vendor] = self._vendors.values() if vendor is None else [self._vendors[vendor]]
        return [row for each in chosen for row in each.results(now)]

    async def settled(self) -> None:
        """Returns when the media of every booked job is made, and with it their ends, which may be to come."""
        while self._house.making:
            await asyncio.wait(self._house.making)

    def reset(self) -> None:
        """Forgets jobs, bills, log and ordered faults; settings and rendered films stay."""
        for task in list(self._house.tasks):
            task.cancel()
        self._house.uploads.clear()
        for each in self._vendors.values():
            each.forget()
        self._log.clear()
        self._desk.reset()


def _unknown(vendor: Vendor) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        row = vendor.house.log.open(vendor.house.clock.now(), vendor.name, "unknown", request)
        reply = vendor.unknown_path(request)
        row.status = reply.status
        return reply

    return handle
