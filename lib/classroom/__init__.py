"""For students and readers: checks, figures to move by hand, and another package's results."""
