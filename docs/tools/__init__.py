"""Extensions of Sphinx and scripts of the documentation."""
