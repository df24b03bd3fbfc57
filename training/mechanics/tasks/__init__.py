"""Tasks on labelled texts: their rows, heads on pretrained models, windows, decisions, figures, and what words alone tell."""
