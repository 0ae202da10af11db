"""How fast training and ranking are, beside others."""
