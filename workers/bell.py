"""Ringing the doorbell: a message with a job id, and nothing else."""

from __future__ import annotations

import logging
from contextlib import closing

from kombu.exceptions import OperationalError

log = logging.getLogger(__name__)

# more wake-ups than this in the queue say nothing new
MAX_WAITING = 8


def ring(job_id: int) -> bool:
    """Sends one wake-up unless enough wait already. Gives False if the broker is out of reach: the sweep rings again."""
    from workers.app import QUEUE, app

    if app.conf.broker_url == "none":  # no bell: the workers ask by themselves
        return True
    connection = app.connection_for_write(connect_timeout=3)
    try:
        with connection, closing(connection.channel()) as channel:
            app.amqp.queues[QUEUE](channel).declare()
            _, waiting, _ = channel.queue_declare(queue=QUEUE, passive=True)
            if waiting < MAX_WAITING:
                app.send_task("workers.tasks.wake", args=[job_id], connection=connection, argsrepr="-", kwargsrepr="-")
        return True
    except (OperationalError, OSError, *connection.connection_errors, *connection.channel_errors) as error:
        log.warning("broker out of reach, the sweep will ring again", extra={"job_id": job_id, "error": type(error).__name__})
        return False
