"""The contract between the engine and a vendor's adapter.

A provider is sans-I/O: each operation is a generator that yields steps (a request to send, a handle to save) and is
sent the replies. It owns no clock, randomness, file or connection, so a test drives it with a list of replies.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

from viseme.attempts import Handle, Intent
from viseme.failures import Kind
from viseme.jobs import Job
from viseme.providers.sheet import Batch, Limits, Model, NoOptions, NoSettings, Price, Safety, Sheet
from viseme.providers.steps import (
    Base64Of,
    Body,
    Credential,
    Fault,
    FilePart,
    Flow,
    Form,
    Multipart,
    Outcome,
    Reply,
    Request,
    Role,
    Save,
    Step,
    TextPart,
    http_kind,
    look_at,
    retry_after,
)
from viseme.providers.terms import Terms
from viseme.providers.verdicts import (
    Absent,
    Accepted,
    Answer,
    Blame,
    Finding,
    Found,
    Member,
    Observation,
    Refused,
    Seen,
    Undecided,
    Uploaded,
    Verdict,
    failure_of,
)
from viseme.results import Cost

__all__ = [
    "Absent",
    "Accepted",
    "Answer",
    "Base64Of",
    "Batch",
    "Blame",
    "Body",
    "Credential",
    "Fault",
    "FilePart",
    "Finding",
    "Flow",
    "Form",
    "Found",
    "Limits",
    "Member",
    "Model",
    "Multipart",
    "NoOptions",
    "NoSettings",
    "Observation",
    "Outcome",
    "Price",
    "Provider",
    "Refused",
    "Reply",
    "Request",
    "Role",
    "Safety",
    "Save",
    "Seen",
    "Sheet",
    "Step",
    "TextPart",
    "Undecided",
    "Uploaded",
    "Verdict",
    "failure_of",
    "http_kind",
    "look_at",
    "retry_after",
]


class Provider(Terms, ABC):
    """The adapter for one vendor's API, bound to one account's settings. Translates, and nothing else.

    What is asked before anything is sent stands in :class:`~viseme.providers.terms.Terms`, also what it is made of.
    """

    # -- flows ---------------------------------------------------------------------------------------------------

    def start(self) -> Flow[str | None]:
        """A harmless request before the first job; returns what to tell the user, or None.

        Best effort unless it raises Refused.
        """
        yield from ()
        return None

    def authorize(self, old: Credential | None, now: float) -> Flow[Credential]:
        """Obtain what :meth:`sign` needs; run once for all requests that wait for it, and again near its expiry."""
        yield from ()
        return Credential(self.account.api_key or "")

    @abstractmethod
    def sign(self, request: Request, credential: Credential, now: float) -> Mapping[str, str]:
        """The headers that prove the account. Asked only for requests to the API's own origin."""

    def upload(self, job: Job, name: str, source: FilePart | str) -> Flow[Uploaded]:
        """Hand a medium over to the vendor; shared by all jobs of the account that use the same one.

        Args:
            name: the job's field.
            source: the local file, or the link.
        """
        yield from ()
        raise TypeError(f"{self.name} takes no uploads")

    @abstractmethod
    def create(self, job: Job, intent: Intent, handles: Mapping[str, Handle]) -> Flow[Accepted]:
        """Start the stage that ``intent`` names (``intent.at`` is about now). Holds at most one paid request.

        A stage of ``sheet.free_stages`` has none, and may be accepted without any request.

        Args:
            handles: of the stages before this one, by stage, and of media handed over, by the job's field.
        """

    def inherit(self, own: Handle, theirs: Handle) -> Handle:
        """The handle of a task that takes what another task has paid for (``Request.claim``).

        Args:
            own: what the task's own flow saved before its request.
            theirs: the other task's handle.
        """
        return theirs

    def create_many(self, members: Sequence[Member]) -> Flow[Mapping[str, Accepted]]:
        """Start many jobs with one paid request, after a rehearsal that costs nothing; by the intents' ``id``.

        Where the vendor blames one of them, the refusal's verdict counts it in ``line``.

        Args:
            members: as many as ``sheet.batch`` allows.
        """
        raise TypeError(f"{self.name} has no batches")

    def batch_bytes(self, member: Member) -> int:
        """What a job adds to the size of its batch."""
        return 0

    @abstractmethod
    def poll(self, handle: Handle, hold: float = 0.0, now: float = 0.0) -> Flow[Observation]:
        """Look at one stage, holding the request up to ``hold`` seconds where the vendor can.

        Args:
            now: UTC seconds.
        """

    def poll_many(self, handles: Sequence[Handle]) -> Flow[Mapping[str, Observation]]:
        """Look at up to ``sheet.bulk`` stages in one request; by the handles' ``id``.

        Ids that the vendor leaves out are missing.
        """
        raise TypeError(f"{self.name} cannot list")

    def reconcile(self, job: Job, intent: Intent, now: float = 0.0) -> Flow[Finding]:
        """Find out what became of a create whose reply was lost, without repeating it.

        Args:
            intent: with what the create's flow saved, in ``saved``.
            now: UTC seconds.
        """
        yield from ()
        return Undecided(message=f"{self.name} has no way to ask for a job without its id")

    def cancel(self, handle: Handle) -> Flow[Answer]:
        """Call a stage off, where the vendor can."""
        yield from ()
        return Answer(outcome="unsupported", message=f"{self.name} has no cancel; the job runs on and is billed")

    def balance(self) -> Flow[Cost | None]:
        """What is left on the account, in the vendor's unit; None where the vendor does not tell."""
        yield from ()
        return None

    def estimate(self, job: Job, seconds: float, fps: float | None = None) -> Flow[Cost | None]:
        """What a result of so many seconds would cost; by the price table where the vendor is not asked."""
        yield from ()
        return self.reckon(job, seconds, fps)

    # -- reading replies -----------------------------------------------------------------------------------------

    def verdict(self, request: Request, outcome: Outcome) -> Verdict | None:
        """What an outcome means; None for success. A lost reply to a paid request is ``fate_unknown``."""
        if isinstance(outcome, Fault):
            return self._fault(request, outcome)
        if outcome.status < 400:
            return self.unreadable(request, outcome)
        return self.refusal(request, outcome)

    @abstractmethod
    def refusal(self, request: Request, reply: Reply) -> Verdict:
        """What a reply with an HTTP error status means, status **and** body read."""

    def unreadable(self, request: Request, reply: Reply) -> Verdict | None:
        """The verdict on a reply with a good HTTP status: None where it makes sense.

        A paid request that was answered with something else than JSON may well have been carried out.
        """
        if reply.status < 300 and reply.json() is not None:
            return None
        paid = request.role is Role.PAID
        if reply.status >= 300:
            lost = paid and reply.status not in (307, 308)  # these two ask for it elsewhere: not done here
            return Verdict(
                kind=Kind.FATE_UNKNOWN if lost else Kind.PROTOCOL,
                message=f"{self.name} sent the request on to another address (HTTP {reply.status}); check base_url",
                blame="account",
                charged=lost,
            )
        return Verdict(
            kind=Kind.FATE_UNKNOWN if paid else Kind.TRANSIENT,
            message=f"{self.name} answered something that is not JSON: {reply.opening()}",
            charged=paid,
        )

    def _fault(self, request: Request, fault: Fault) -> Verdict:
        lost = request.role is Role.PAID and fault.sent
        return Verdict(
            kind=Kind.FATE_UNKNOWN if lost else Kind.TRANSIENT,
            message=f"no reply from {self.name}: {fault.message}",
            blame="network",
            charged=lost,
        )
