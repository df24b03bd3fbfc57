"""A look before fine-tuning: what speaks against a dataset, a chat template, or fine-tuning at all."""
