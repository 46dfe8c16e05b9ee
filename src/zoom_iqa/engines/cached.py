"""Any engine with a memory on disk: a request that was answered once is answered again without asking."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any

from zoom_iqa.base.record_files import RecordFile
from zoom_iqa.base.sampling import SamplingParams
from zoom_iqa.base.types import Finish, Generation, Request
from zoom_iqa.engines.engine import Engine


@dataclass(frozen=True, kw_only=True)
class KeptReply:
    """A generation without its request's key; ``digest`` is of everything that decides a reply."""

    digest: str
    text: str
    finish: Finish
    token_ids: tuple[int, ...] | None
    logprobs: tuple[float, ...] | None
    entropies: tuple[float, ...] | None


class _ReplyCodec:
    def key(self, record: KeptReply) -> Hashable:
        return record.digest

    def encode(self, record: KeptReply) -> Mapping[str, Any]:
        return asdict(record)

    def decode(self, fields: Mapping[str, Any]) -> KeptReply:
        lists = ("token_ids", "logprobs", "entropies")
        tuples = {name: None if fields[name] is None else tuple(fields[name]) for name in lists}
        return KeptReply(**{**fields, **tuples})


class CachedEngine:
    """``engine`` with its replies in ``path``; a context manager. Answers that failed are not kept.

    Equal requests that are under way at once are asked once. A reply is found again by ``identity`` (everything of the
    engine that decides it: model, address, settings, or weights), the prompt's texts and pixels, the rule by which
    tokens are drawn, and the seed.
    """

    def __init__(self, engine: Engine, *, identity: str, path: Path) -> None:
        self.sampling = engine.sampling
        self._engine = engine
        self._identity = identity
        self._file: RecordFile[KeptReply] = RecordFile(path, _ReplyCodec())
        self._kept: dict[str, KeptReply] = {}
        self._digests: dict[str, str] = {}
        self._alike: dict[str, list[str]] = {}  # keys that wait for the same reply as the one that was asked
        self._ready: list[Generation] = []

    def __enter__(self) -> CachedEngine:
        self._file.__enter__()
        self._kept = {reply.digest: reply for reply in self._file.written}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.__exit__(kind, error, trace)

    @property
    def busy(self) -> bool:
        """Whether an answer is awaited."""
        return bool(self._ready) or self._engine.busy

    def submit(self, request: Request) -> None:
        """Answer from memory, or ask."""
        digest = reply_digest(request, identity=self._identity, sampling=request.sampling or self.sampling)
        kept = self._kept.get(digest)
        if kept is not None:
            self._ready.append(_generation(request.key, kept))
            return
        if digest in self._alike:
            self._alike[digest].append(request.key)
            return
        self._engine.submit(request)
        self._alike[digest] = []
        self._digests[request.key] = digest

    def step(self) -> list[Generation]:
        """Answers remembered, and those come meanwhile, which is written down before it is given back."""
        ready, self._ready = self._ready, []
        finished = [] if ready else self._engine.step()
        fresh = [(self._digests.pop(made.key), made) for made in finished]
        replies = [_reply(digest, made) for digest, made in fresh if made.finish != "failed"]
        self._file.append(replies)
        self._kept.update((reply.digest, reply) for reply in replies)
        alike = [replace(made, key=key) for digest, made in fresh for key in self._alike.pop(digest)]
        return [*ready, *finished, *alike]

    def refresh(self) -> None:
        """The weights have changed, which ``identity`` must say: pass it on."""
        self._engine.refresh()

    def release(self) -> None:
        """Pass it on."""
        self._engine.release()


def reply_digest(request: Request, *, identity: str, sampling: SamplingParams) -> str:
    """A digest of everything that decides the reply to a request."""
    fields = (identity, request.prompt_key, request.seed, sorted(asdict(sampling).items()))
    return hashlib.blake2b(repr(fields).encode(), digest_size=16).hexdigest()


def _reply(digest: str, made: Generation) -> KeptReply:
    return KeptReply(
        digest=digest,
        text=made.text,
        finish=made.finish,
        token_ids=made.token_ids,
        logprobs=made.logprobs,
        entropies=made.entropies,
    )


def _generation(key: str, kept: KeptReply) -> Generation:
    return Generation(key, kept.text, kept.token_ids, kept.logprobs, kept.entropies, kept.finish)
