"""What people said: rankings, how likely their orders are, which comparisons to learn, and how reliable raters are."""
