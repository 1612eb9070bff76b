"""Redis as Celery's transport, which takes wake-ups and nothing else: what a stranger has laid into the queue is dropped unread.

kombu's own raises what a message that is no JSON raises, and the worker ends by it; a message of another shape stays unacked and
stops the worker's ear, which hears one at a time. Headers of Celery's could set time limits, delays and follow-up tasks.
"""

from __future__ import annotations

import base64
import json
import logging
from queue import Empty
from typing import Annotated, Any, Literal

from kombu.transport import TRANSPORT_ALIASES, redis
from pydantic import BaseModel, ConfigDict, Field, field_validator

log = logging.getLogger(__name__)

QUEUE = "stillhouse.wake"
Id = Annotated[str, Field(max_length=64)]
JobId = Annotated[int, Field(ge=1, lt=2**63)]


class _Part(BaseModel):
    """A part of a message. What it does not name is left out of what is read."""

    model_config = ConfigDict(strict=True, populate_by_name=True)


class _Headers(_Part):
    lang: Literal["py"]
    task: Literal["workers.tasks.wake"]
    id: Id
    root_id: Id | None = None
    parent_id: Id | None = None
    eta: None = None
    expires: None = None
    timelimit: list[None] = Field(default=[None, None], min_length=2, max_length=2)
    retries: Literal[0] = 0
    argsrepr: Literal["-"] = "-"
    kwargsrepr: Literal["-"] = "-"
    compression: None = None


class _Delivery(_Part):
    exchange: Literal["", "stillhouse.wake"]
    routing_key: Literal["stillhouse.wake"]


class _Properties(_Part):
    correlation_id: Id
    delivery_info: _Delivery
    delivery_tag: Id
    body_encoding: Literal["base64"]
    priority: int = 0


class _Embedded(_Part):
    model_config = ConfigDict(extra="forbid")

    callbacks: None = None
    errbacks: None = None
    chain: None = None
    chord: None = None


class _Body(_Part):
    arguments: Annotated[list[JobId], Field(min_length=1, max_length=1)]
    named: Annotated[dict[str, None], Field(max_length=0)]
    embedded: _Embedded


class _WakeUp(_Part):
    """A message as `bell.ring` sends it through Redis: one job's number."""

    body: Annotated[str, Field(max_length=1000)]
    content_type: Literal["application/json"] = Field(alias="content-type")
    content_encoding: Literal["utf-8"] = Field(alias="content-encoding")
    headers: _Headers
    properties: _Properties

    @field_validator("body")
    @classmethod
    def _is_one_job(cls, body: str) -> str:
        arguments, named, embedded = json.loads(base64.b64decode(body, validate=True))
        _Body.model_validate({"arguments": arguments, "named": named, "embedded": embedded})
        return body


class Channel(redis.Channel):
    def _has_queue(self, queue: str, **_: Any) -> bool:
        # kombu asks EXISTS of the bare name, without our prefix; and an empty list exists no more in Redis
        return queue == QUEUE

    def _brpop_read(self, **options: Any) -> Any:
        try:
            return super()._brpop_read(**options)  # type: ignore[no-untyped-call]
        except (ValueError, RecursionError) as error:  # what the JSON decoder raises. The message is out of the queue by now
            _drop(error)
            raise Empty from None


class Transport(redis.Transport):
    Channel = Channel

    def _deliver(self, message: Any, queue: str) -> None:
        try:
            wake_up = _WakeUp.model_validate(message)
        except (ValueError, TypeError, RecursionError) as error:  # a ValidationError is a ValueError
            _drop(error)
        else:
            super()._deliver(wake_up.model_dump(by_alias=True), queue)  # type: ignore[no-untyped-call]


def _drop(error: Exception) -> None:
    log.warning("message dropped", extra={"code": "foreign_message", "error": type(error).__name__})


def use() -> None:
    """From now on redis:// and its kin, in this process, are read by the transport above."""
    TRANSPORT_ALIASES.update(dict.fromkeys(("redis", "rediss"), f"{__name__}:Transport"))
