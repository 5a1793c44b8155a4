"""What can be told of a job before anything is sent: model, options and stages, what is wrong with it, its price."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, ClassVar
from urllib.parse import urlsplit

import attrs

from viseme.addresses import private_host
from viseme.config import Account
from viseme.errors import ConfigError, JobInvalid
from viseme.jobs import Job, is_url, plain_host
from viseme.keys import FileStamp
from viseme.providers.habits import Habits
from viseme.providers.sheet import Limits, Model, NoOptions, NoSettings, Price, Sheet
from viseme.results import Cost
from viseme.strict import known_names, structure
from viseme.wording import quote

__all__ = ["Terms"]


_private_host = lru_cache(maxsize=256)(private_host)


class Terms:
    """The part of a provider that sends nothing: its account's settings, and what it makes of jobs with them.

    Args:
        account: whose base URL and settings to use.

    Raises:
        ConfigError: a setting is unknown or wrong, or the key is missing.
    """

    name: ClassVar[str]
    sheet: Sheet
    """The class holds what the vendor publishes; an instance what its account's settings make of it."""
    Options: ClassVar[type[Any]] = NoOptions
    Settings: ClassVar[type[Any]] = NoSettings

    def __init__(self, account: Account) -> None:
        self.account = account
        self.base = account.base_url or self.sheet.base_url
        parts = urlsplit(self.base)
        self.origin = f"{parts.scheme}://{parts.netloc}".lower()
        self.settings: Any = self._settings(account)
        self._need_key(account)
        self._first: dict[str, Model] = {}
        """The model of a job that names none, by its kind of picture."""
        self._habits = Habits(self.name, self.Options)

    def _settings(self, account: Account) -> Any:
        known = known_names(self.Settings)
        unknown = [name for name in account.settings if name not in known]
        if unknown:
            common = [a.name for a in attrs.fields(Account) if a.name not in ("name", "settings")]
            raise ConfigError(
                f"accounts.{account.name}: unknown name {quote(unknown[0])!r}; known are {', '.join([*common, *known])}"
            )
        try:
            return structure(account.settings, self.Settings)
        except ValueError as error:
            raise ConfigError(f"accounts.{account.name}: {error}") from None

    def _need_key(self, account: Account) -> None:
        if not account.api_key:
            raise ConfigError(
                f'accounts.{account.name}: api_key is missing; write api_key = "${self.name.upper()}_API_KEY"'
                " and export that variable"
            )
        if not account.api_key.isascii() or not account.api_key.isprintable() or " " in account.api_key:
            raise ConfigError(f"accounts.{account.name}: api_key holds characters that no key has; copy it again")

    # -- jobs ----------------------------------------------------------------------------------------------------

    def model(self, job: Job) -> Model:
        """The job's model, or the provider's default: its first that takes the job's picture.

        Raises:
            JobInvalid: the provider has no such model.
        """
        if job.model is None:
            picture = "image" if job.image else "video"
            if picture not in self._first:
                models = tuple(self.sheet.models.values())
                self._first[picture] = next((model for model in models if picture in model.pictures), models[0])
            return self._first[picture]
        known = self.sheet.models.get(job.model)
        if known is not None:
            return known
        if job.model in self.account.extra_models:
            first = next(iter(self.sheet.models.values()))
            speech = frozenset({"audio", "text", "language"})
            return attrs.evolve(first, name=job.model, speech=speech, price=None, limits={})
        raise JobInvalid(
            f"{self.account.name} has no model {quote(job.model)!r}; known are {', '.join(self.sheet.models)}"
            " (a newer one can be allowed with extra_models)",
            field="model",
        )

    def options(self, job: Job) -> Any:
        """The job's options as this provider's typed options, camelCase names understood.

        Of a job with several accounts, those that other vendors call something else are translated.

        Raises:
            JobInvalid: an option is unknown or has a wrong value.
        """
        return self._habits.read(job)

    def check(self, job: Job) -> None:
        """Refuse, locally and for free, what the vendor would refuse.

        Raises:
            JobInvalid: the message names the field and what it may be.
        """
        model = self.model(job)
        picture = "image" if job.image else "video" if job.video else None
        if picture is None:
            raise JobInvalid("the job has no picture; give video (or image, where the model takes one)", field="video")
        if picture not in model.pictures:
            wanted = " or ".join(sorted(model.pictures))
            raise JobInvalid(f"{model.name} takes no {picture}; give {wanted}", field=picture)
        speech = "audio" if job.audio else "text" if job.text else "language" if job.language else None
        if speech is None or speech not in model.speech:
            lacks = "the job has no speech" if speech is None else f"{model.name} takes no {speech}"
            raise JobInvalid(f"{lacks}; give {' or '.join(sorted(model.speech))}", field=speech or "audio")
        for name in ("video", "image", "audio"):
            self.check_source(name, getattr(job, name))
        self.options(job)

    def check_source(self, name: str, source: str | None) -> None:
        """Refuse a medium that the vendor cannot reach.

        Raises:
            JobInvalid: it is a local file and the adapter uploads none, or it is on a private network.
        """
        if source is None:
            return
        if not is_url(source):
            if self.sheet.local_files:
                return
            raise JobInvalid(
                f"{name} {quote(source)!r} is a local file, which {self.name} is not handed; give an http(s) URL",
                field=name,
            )
        try:
            host = plain_host(source) or urlsplit(source).hostname or ""
        except ValueError as error:
            raise JobInvalid(f"{name} {quote(source)!r} is not a URL: {error}", field=name) from None
        if not self.account.allow_private_hosts and _private_host(host):
            raise JobInvalid(
                f"{name} is on {quote(host)}, which {self.name} cannot reach; put it where the public internet can"
                " (or set allow_private_hosts = true if the vendor stands on the same network)",
                field=name,
            )

    def check_file(self, job: Job, name: str, stamp: FileStamp) -> None:
        """Refuse a local file that the vendor would refuse.

        Args:
            name: the job's field that names it.

        Raises:
            JobInvalid: it is empty, or larger than the vendor (or a setting) allows.
        """
        source = quote(getattr(job, name))
        if not stamp.size:
            raise JobInvalid(f"{name} {source!r} is empty; give the clip itself", field=name)
        limit = self.model(job).limits.get(name, Limits()).bytes
        if limit is not None and stamp.size > limit:
            raise JobInvalid(
                f"{name} {source!r} has {stamp.size} bytes, {self.name} takes {limit}; make it smaller", field=name
            )

    def handed_over(self, job: Job) -> tuple[str, ...]:
        """The job's fields whose media :meth:`upload` hands to the vendor before the first create.

        By default the local files.
        """
        if not self.sheet.local_files:
            return ()
        found: tuple[str, ...] = ()
        if job.video and not is_url(job.video):
            found += ("video",)
        if job.image and not is_url(job.image):
            found += ("image",)
        if job.audio and not is_url(job.audio):
            found += ("audio",)
        return found

    def cuts_speech(self, job: Job) -> str | None:
        """What becomes of speech that is longer than the video, in words, where the job's options may lose its end."""
        return None

    def stages(self, job: Job) -> tuple[str, ...]:
        """The create-and-watch steps of this job, in order."""
        return ("lipsync",)

    def exclusive(self, job: Job) -> str | None:
        """What only one task of the account may work on at a time (a project), or None."""
        return None

    def price(self, job: Job) -> Price | None:
        """The price of the job's model: the account's own (``price``), else the published one."""
        model = self.model(job)
        return self.account.price.get(model.name) or self.account.price.get("") or model.price

    def reckon(self, job: Job, seconds: float, fps: float | None = None) -> Cost | None:
        """What a result of so many seconds costs by the price table.

        Args:
            fps: pictures a second, where they are known (and count).
        """
        price = self.price(job)
        return None if price is None else price.cost(seconds)

    def secrets(self) -> tuple[str, ...]:
        """What no message may show."""
        return (self.account.api_key,) if self.account.api_key else ()
