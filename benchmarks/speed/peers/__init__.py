"""Workers of other packages, each of which runs in a separate environment."""
