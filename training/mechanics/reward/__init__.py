"""Reward models: their trainer, heads, scores, the rule that makes one score of them, and how far to trust it."""
