"""SSH: whose keys open which instances, from where, and who is inside now."""
