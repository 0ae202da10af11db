"""What large catalogues and many users cost."""
