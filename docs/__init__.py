"""Documentation: pages, examples of the gallery, and the tools that build the site."""
