"""What models are measured by beside each other: likelihood of texts and answers, answers beside references, tasks."""
