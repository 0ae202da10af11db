"""The documentation: pages, the gallery, and the tools that build it."""
