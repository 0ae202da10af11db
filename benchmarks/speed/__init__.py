"""Speed of training and ranking, compared with other packages."""
