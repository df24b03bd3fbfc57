"""Critique and revision by principles: the constitution, how requests are put, who is asked, and what of an answer is a reply."""
