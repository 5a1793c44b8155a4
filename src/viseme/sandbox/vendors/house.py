"""What the vendors of one sandbox share."""

import asyncio
from collections.abc import Coroutine

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

    async def close(self) -> None:
        """Ends everything that runs beside the requests."""
        for task in list(self.tasks):
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)


@attrs.define(eq=False)
class Slot:
    """A presigned upload: what was announced, and what arrived."""

    name: str
    content_type: str
    blob: Blob | None = None
