"""What very large catalogues cost: memory and time, and their growth with the items."""
