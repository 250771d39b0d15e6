"""Built-in endpoint families, one module each, on the same contract as anybody's."""
