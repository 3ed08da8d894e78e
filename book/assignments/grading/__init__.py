"""What the problem sets add to nbgrader: repaired notebooks, a sandbox, feedback without hidden tests."""
