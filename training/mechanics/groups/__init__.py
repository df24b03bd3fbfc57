"""Learning from groups of completions (GRPO, RLOO, online DPO): mathematics, loop, and people's votes as a reward."""
