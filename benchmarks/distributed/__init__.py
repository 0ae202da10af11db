"""What a search or a ranking costs on a cluster."""
