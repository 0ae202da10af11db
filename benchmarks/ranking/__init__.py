"""How well the recommenders rank, beside others."""
