"""Tests of runs: the queue, the supervisor, what comes out, the API and the commands."""
