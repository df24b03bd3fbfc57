"""What is done with artifacts, models and datasets."""
