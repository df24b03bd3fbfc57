"""Completions: sampling in continuous batches, where an answer ends, and endpoints elsewhere."""
