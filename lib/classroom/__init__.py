"""For courses and readers: checks of answers, figures to move by hand, results of another package."""
