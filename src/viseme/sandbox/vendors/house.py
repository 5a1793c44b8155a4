"""What the vendors of one sandbox share."""

import asyncio
import math
from collections.abc import Coroutine
from pathlib import Path

import attrs

from ..blob import Blob
from ..clock import Clock
from ..links import Signer
from ..log import Log
from ..studio import Studio


@attrs.define(eq=False)
class House:
    """The clock, the log, the studio and the upload slots; and the work that goes on beside the requests."""

    clock: Clock
    log: Log
    studio: Studio
    signer: Signer
    seed: int
    tasks: set[asyncio.Task[None]] = attrs.field(factory=set[asyncio.Task[None]])
    making: set[asyncio.Task[None]] = attrs.field(factory=set[asyncio.Task[None]])
    uploads: dict[str, "Slot"] = attrs.field(factory=dict[str, "Slot"])

    def spawn(self, work: Coroutine[None, None, None], *, making: bool = False) -> None:
        """Runs something beside the requests, until done or until the sandbox closes."""
        task = asyncio.create_task(work)
        for tasks in (self.tasks, self.making) if making else (self.tasks,):
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    def upload(self, id: str) -> "Slot | None":
        """An upload slot by its id, unless its file was kept long enough."""
        slot = self.uploads.get(id)
        return slot if slot is not None and self.clock.now() < slot.kept_until else None

    def upload_path(self, id: str) -> Path:
        """Where an upload's bytes lie."""
        return self.studio.folder / f"upload-{id}"

    async def close(self) -> None:
        """Ends everything that runs beside the requests."""
        for task in list(self.tasks):
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)


@attrs.define(eq=False)
class Slot:
    """A presigned upload: what was announced, until when it may come, what arrived, and until when that is kept."""

    name: str
    content_type: str
    blob: Blob | None = None
    until: float = math.inf
    expired: bool = False
    kept_until: float = math.inf
