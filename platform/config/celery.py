"""The Celery app: a doorbell for workers and a clock for sweeps. Tasks carry ids at most; the rows are the truth."""

from __future__ import annotations

import os

from celery import Celery

from config import broker

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
SWEEP_S = 15.0

broker.install()
app = Celery("steadyhand")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.conf.beat_schedule = {
    task: {"task": task, "schedule": SWEEP_S, "options": {"expires": SWEEP_S}}
    for task in ("runs.tasks.sweep", "annotation.tasks.sweep_leases", "annotation.tasks.sweep_doors")
}
app.autodiscover_tasks()
