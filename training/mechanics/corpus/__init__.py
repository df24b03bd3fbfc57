"""A corpus as one stream of tokens in memory or in files, the rows of it, and bits per byte."""
