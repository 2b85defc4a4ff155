"""Word vectors from text files: fitted, judged on published sets, and used to classify."""
