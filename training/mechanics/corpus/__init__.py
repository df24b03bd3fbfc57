"""A corpus as one stream of tokens, what pretraining must remember, and bits per byte."""
