"""Parts of CollaborativeVAE: least squares, the content model, and the rounds."""
