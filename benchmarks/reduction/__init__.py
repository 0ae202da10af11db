"""How well codes of few dimensions serve a classifier, beside others."""
