"""Tests of models, datasets and artifacts."""
