"""The Celery app. Every setting has its reason; the evidence is in docs/decisions/0002-sql-is-the-truth.md."""

from __future__ import annotations

import os
import ssl
from typing import Any
from urllib.parse import urlsplit

from celery import Celery, Task
from kombu.entity import Exchange, Queue

from workers import transport
from workers.broker import broker_url
from workers.settings import Settings, load_settings

QUEUE = transport.QUEUE
HEARTBEAT_S = 5
SOFT_STOP_S = 10.0


class QuietTask(Task):  # type: ignore[misc]
    """Keeps arguments out of message headers and logs: Celery would put their repr there in clear."""

    def apply_async(self, *args: Any, **options: Any) -> Any:
        return super().apply_async(*args, **{**options, "argsrepr": "-", "kwargsrepr": "-"})


def make_app(settings: Settings) -> Celery:
    """The app for these settings. Nothing is connected before the first message."""
    transport.use()  # of what lies in the queue, wake-ups alone are heard
    os.environ.pop("CELERY_BROKER_URL", None)  # Celery would take it for ours, whatever the settings say
    app = Celery("stillhouse", broker=broker_url(settings), include=["workers.tasks"], task_cls=QuietTask)
    app.conf.update(
        # trust and privacy: JSON only, whoever sends: a pickle runs code. No results, no events, no remote control (its reply
        # keys never expire): nothing grows in the broker, nothing is copied into it
        task_serializer="json",
        accept_content=["json"],
        result_accept_content=["json"],
        event_serializer="json",
        task_ignore_result=True,
        result_backend=None,
        task_remote_tracebacks=False,  # an exception's words may quote a document
        worker_send_task_events=False,
        task_send_sent_event=False,
        worker_enable_remote_control=False,
        # our logging writes fixed fields; Celery's would write arguments and exceptions
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        # a doorbell: acked late and in any case, never requeued or retried by the broker; SQL counts attempts
        task_acks_late=True,
        task_acks_on_failure=True,
        task_acks_on_timeout=True,
        task_reject_on_worker_lost=False,
        task_retry_on_worker_lost=False,
        # a wake-up that cannot be sent is no error: the sweep rings again
        task_publish_retry=False,
        task_default_queue=QUEUE,
        task_create_missing_queues=False,  # a forged or misspelt name makes no queue that nobody reads
        task_queues=[_queue(settings)],
        # a process takes one wake-up at a time: one that it held back would wake nobody else
        worker_prefetch_multiplier=1,
        worker_disable_rate_limits=True,  # they would hold messages back by timers
        broker_transport_options=_transport_options(settings),
        broker_use_ssl=_tls(settings),
        # a broker that is away is waited for, for ever: by default the worker gives up after 100 attempts
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        # AMQP finds a half-open connection by its heartbeat: twice this
        broker_heartbeat=HEARTBEAT_S,
        # the work is committed to SQL, not acked: a lost broker must not kill it
        worker_cancel_long_running_tasks_on_connection_loss=False,
        # spawn: a fork after native threads have started hangs for ever. A child that loads a student takes longer than the 4 s that are allowed by default
        worker_pool="prefork",
        worker_pool_start_method="spawn",
        worker_proc_alive_timeout=60,
        # SIGQUIT: time for the part in hand, also of the pollers, before the processes are ended
        worker_soft_shutdown_timeout=SOFT_STOP_S,
        worker_enable_soft_shutdown_on_idle=True,
        # no time limit: one document may take long; a process that stands still is ended by its watchdog (drain.py). No recycling of
        # processes by age or memory either: Celery looks at the peak, and only after a call; hardening.py bounds what a process may take
    )
    return app


def _queue(settings: Settings) -> Queue:
    # RabbitMQ: replicated and on disk, and it survives a node; the others know no such thing
    arguments = {"x-queue-type": "quorum"} if broker_url(settings).startswith("amqp") else None
    return Queue(QUEUE, Exchange(QUEUE, type="direct"), routing_key=QUEUE, queue_arguments=arguments)


def _transport_options(settings: Settings) -> dict[str, Any]:
    url = broker_url(settings)
    if url.startswith("amqp"):
        # without it a publish that the server refused or lost looks like one that arrived
        return {"confirm_publish": True}
    return {
        "global_keyprefix": "stillhouse:",  # what the least rights of a broker's user are given by
        # a wake-up that was taken and not acked comes back after two minutes; calls last ten seconds
        "visibility_timeout": 120,
        "unacked_restore_interval": 10,
        "unacked_restore_throttle": 1,  # by default it looks every tenth time only
        # without timeouts a half-open connection waits for ever
        "socket_timeout": 5,
        "socket_connect_timeout": 3,
        "socket_keepalive": not url.startswith("redis+socket"),
        "health_check_interval": 5,
        "retry_on_timeout": True,
        "client_name": "stillhouse",
    }


def _tls(settings: Settings) -> dict[str, Any] | None:
    """TLS with the server's certificate and name checked; left to itself kombu checks neither for rediss://."""
    url = urlsplit(broker_url(settings))
    authorities = str(settings.broker_ca_file) if settings.broker_ca_file else None
    if url.scheme == "rediss":
        return {"ssl_cert_reqs": ssl.CERT_REQUIRED, "ssl_check_hostname": True, "ssl_ca_certs": authorities}
    if url.scheme == "amqps":
        return {"cert_reqs": ssl.CERT_REQUIRED, "server_hostname": url.hostname, "ca_certs": authorities}
    return None


# the edge where a worker process reads its settings
app = make_app(load_settings())
