"""Peak memory of fitting and using the estimators."""
