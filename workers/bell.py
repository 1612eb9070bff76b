"""Ringing the doorbell: a message with a job id, and nothing else."""

from __future__ import annotations

import logging
import time
from contextlib import closing
from typing import Any

from kombu.exceptions import OperationalError

log = logging.getLogger(__name__)

# a broker is given so long to answer, and after a miss is left alone: whoever rings has better to do
ANSWER_S = 3.0
QUIET_S = 30.0
# more wake-ups than this in the queue say nothing new
MAX_WAITING = 8


_quiet_until = 0.0


def ring(job_id: int) -> bool:
    """Sends one wake-up unless enough wait already. Gives False if the broker is out of reach: the sweep rings again."""
    from workers.app import QUEUE, app

    if app.conf.broker_url == "none":  # no bell: the workers ask by themselves
        return True
    global _quiet_until
    if time.monotonic() < _quiet_until:
        return False
    connection = app.connection_for_write(connect_timeout=ANSWER_S, transport_options=_patience(app.conf))
    try:
        with connection, closing(connection.channel()) as channel:
            app.amqp.queues[QUEUE](channel).declare()
            _, waiting, _ = channel.queue_declare(queue=QUEUE, passive=True)
            if waiting < MAX_WAITING:
                app.send_task("workers.tasks.wake", args=[job_id], connection=connection, argsrepr="-", kwargsrepr="-", confirm_timeout=ANSWER_S)
        return True
    except (OperationalError, OSError, *connection.connection_errors, *connection.channel_errors) as error:
        _quiet_until = time.monotonic() + QUIET_S
        log.warning("broker out of reach, the sweep will ring again", extra={"job_id": job_id, "error": type(error).__name__})
        return False


def _patience(conf: Any) -> dict[str, Any]:
    """The transport's options; RabbitMQ's have no bound on an answer of their own."""
    options = dict(conf.broker_transport_options)
    return options | {"read_timeout": ANSWER_S, "write_timeout": ANSWER_S} if conf.broker_url.startswith("amqp") else options
