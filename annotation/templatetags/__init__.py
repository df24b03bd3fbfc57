"""Filters of the pages of campaigns."""
