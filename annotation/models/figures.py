"""Figures of a campaign as they were last counted: statistics take seconds, and no page waits for them."""

from __future__ import annotations

from django.db import models

from annotation.models.campaigns import Campaign


class Figures(models.Model):
    """`state` names the rankings that they were counted over; others since then make them old, not wrong."""

    campaign = models.OneToOneField(Campaign, on_delete=models.CASCADE, related_name="figures")
    state = models.CharField(max_length=80, blank=True)  # num of rankings and the newest id; blank: never counted
    report = models.JSONField(default=dict)
    counted_at = models.DateTimeField(null=True)
    took_seconds = models.FloatField(default=0)
    asked_at = models.DateTimeField(null=True)  # when a count was last asked for, until it is done
    failure = models.CharField(max_length=200, blank=True)
