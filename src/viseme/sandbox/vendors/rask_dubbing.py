"""Rask's dubs under way: booked, rendered, ended; and the face check that follows the first."""

from typing import TYPE_CHECKING

from ..faults import Fault
from ..jobs import Failure, Job, Pace
from ..media import MediaFault
from ..studio import Dub, Work
from ..timeline import Fit
from .rask_dub import FAILURES, Cycle, walk
from .rask_holdings import FaceCheck, Project
from .wire import Call, Throttled

if TYPE_CHECKING:
    from .rask import Rask


def work_of(project: Project) -> Work:
    """The dubbed film: the video with synthetic speech in the language, as long as the video."""
    return Work(project.media.source, Dub(project.dst_lang), Fit.SILENCE, origin=project.media.origin)


class RaskDubbing:
    """Makes dubs."""

    def __init__(self, vendor: "Rask") -> None:
        self._vendor = vendor
        self._house = vendor.house

    def admit(self, call: Call, minutes: int) -> None:
        """Checks what another dub needs: minutes, and a place.

        Raises:
            Refusal: One of them is lacking.
        """
        self._vendor.afford(call.account, minutes)
        dubs = self._vendor.holdings(call.account).dubs
        if dubs.full(call.now, self._vendor.settings.dub_concurrency):
            raise Throttled(self._vendor.too_many_jobs(call))

    def begin(self, call: Call, project: Project, minutes: int) -> None:
        """Books a dub, the first or a new one, for so many minutes."""
        settings, again = self._vendor.settings, bool(project.cycles)
        struck = call.faulty(Fault.JOB_FAILED)
        failure = settings.dub_failure
        if struck is not None:
            failure = struck.get("status", struck.choose(tuple(sorted(FAILURES))))
        elif project.media.probe is not None and not project.media.probe.sound:
            failure = "no_audio"
        transcribed = project.transcript_id is not None
        steps = walk(failure, again=again, transcribed=transcribed)
        pace = Pace(queue=0.0, fixed=settings.dub_seconds, per_second=settings.dub_pace)
        share = len(steps) / len(walk(again=again, transcribed=transcribed))
        number = len(project.cycles) + 1
        job = Job(
            id=f"{project.id}-dub-{number}", vendor=self._vendor.name, account=call.account.name, at=call.now,
            inputs={}, pace=pace, origin=call.origin,
        )  # fmt: skip
        planned = call.now + (pace.end(call.now, project.media.seconds) - call.now) * min(1.0, share)
        stale = call.now + (settings.stale_dub_seconds if again else 0.0)
        cycle = Cycle(number=number, steps=steps, planned=planned, job=job, stale_until=stale, minutes=minutes)
        project.cycles.append(cycle)
        call.row.job = project.id
        self._vendor.tokens[job.token] = job
        holdings = self._vendor.holdings(call.account)
        call.account.spent += minutes
        holdings.dub_minutes += minutes
        holdings.dubs.take(call.now, job.id)
        if failure is not None or self._house.studio.fixed is not None:
            job.film = self._house.studio.fixed if failure is None else None
            self._ended(project, cycle)
        else:
            self._house.spawn(self._make(project, cycle), making=True)

    async def _make(self, project: Project, cycle: Cycle) -> None:
        try:
            cycle.job.film = await self._house.studio.render(work_of(project))
        except MediaFault:
            cycle.steps = (*cycle.steps[:-1], "merging_failed")
        self._ended(project, cycle)

    def _ended(self, project: Project, cycle: Cycle) -> None:
        """The end of a dub is known; it may be to come."""
        job, settings = cycle.job, self._vendor.settings
        job.ended_at = end = max(cycle.planned, self._house.clock.now())
        account = self._vendor.accounts[job.account]
        holdings = self._vendor.holdings(account)
        holdings.dubs.until(end, job.id)
        if cycle.failure is not None:
            job.failure = Failure(cycle.failure, "")
            if settings.refund_failed:
                account.spent -= cycle.minutes
                holdings.dub_minutes -= cycle.minutes
        elif project.face is None and settings.face_check == "auto":
            begin = end + settings.face_late_seconds
            project.face = FaceCheck(begin, begin + settings.face_seconds, settings.face)
