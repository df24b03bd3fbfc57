"""A vLLM server that samples rollouts: a process of its own in an environment of its own, reached over HTTP alone."""
