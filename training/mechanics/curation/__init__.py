"""What curating a dataset is made of: normal text, filters, personal data, duplicates, overlap with evaluation sets."""
