"""AI feedback: which pairs are judged by which principle, how a critic is asked, and what both orders come to."""
