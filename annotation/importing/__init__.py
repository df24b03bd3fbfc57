"""What was made elsewhere, taken in: prompts, completions and rankings from files, checked whole before anything is kept."""
