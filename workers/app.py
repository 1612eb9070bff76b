"""The Celery app. Every setting has its reason; the evidence is in docs/decisions/0002-sql-is-the-truth.md."""

from __future__ import annotations

from typing import Any

from celery import Celery, Task

from workers.broker import broker_url
from workers.settings import Settings, load_settings

QUEUE = "stillhouse.wake"


class QuietTask(Task):  # type: ignore[misc]
    """Keeps arguments out of message headers and logs: Celery would put their repr there in clear."""

    def apply_async(self, *args: Any, **options: Any) -> Any:
        return super().apply_async(*args, **{**options, "argsrepr": "-", "kwargsrepr": "-"})


def make_app(settings: Settings) -> Celery:
    """The app for these settings. Nothing is connected before the first message."""
    app = Celery("stillhouse", broker=broker_url(settings), include=["workers.tasks"], task_cls=QuietTask)
    app.conf.update(
        # trust and privacy: JSON only, no results, no events, no remote control (its reply keys never expire)
        task_serializer="json",
        accept_content=["json"],
        task_ignore_result=True,
        result_backend=None,
        worker_send_task_events=False,
        task_send_sent_event=False,
        worker_enable_remote_control=False,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        # a doorbell: acked late, never requeued by the broker; SQL counts attempts
        task_acks_late=True,
        task_acks_on_failure_or_timeout=True,
        task_reject_on_worker_lost=False,
        # a wake-up that cannot be sent is no error: the sweep rings again
        task_publish_retry=False,
        task_default_queue=QUEUE,
        worker_prefetch_multiplier=1,
        worker_disable_rate_limits=True,
        # without timeouts a half-open connection waits for ever
        broker_transport_options=_transport_options(settings),
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        # the work is committed to SQL, not acked: a lost broker must not kill it
        worker_cancel_long_running_tasks_on_connection_loss=False,
        # spawn: a fork after native threads have started hangs for ever
        worker_pool="prefork",
        worker_pool_start_method="spawn",
        worker_proc_alive_timeout=60,
        # no time limit: one document may take long; a process that stands still is ended by its watchdog (drain.py)
    )
    if not broker_url(settings).startswith("redis"):
        app.conf.update(task_default_queue_type="quorum", worker_detect_quorum_queues=True)
    return app


def _transport_options(settings: Settings) -> dict[str, Any]:
    if broker_url(settings).startswith("amqp"):
        return {"confirm_publish": True}
    return {
        "global_keyprefix": "stillhouse:",
        "visibility_timeout": 120,
        "unacked_restore_interval": 10,
        "socket_timeout": 5,
        "socket_connect_timeout": 3,
        "health_check_interval": 5,
        "retry_on_timeout": True,
    }


# the edge where a worker process reads its settings
app = make_app(load_settings())
