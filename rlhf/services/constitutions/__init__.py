"""Constitutions: drafts, publishing, documents in and out, and what differs between two versions."""
