"""Statements about perturbed copies proven by interval arithmetic; `python -m lib.proofs`.

- enclosures: a zero of equations, and the signs of a matrix, in balls
- perturbed: the equations of perturbed copies, their Hessian's blocks and what follows for one pair
  (k, n)
- boundaries: the real n at which a verdict changes
- ends: the ends of stored flows, each within a ball that the exact flow cannot leave
- projections: copy-average against every function of k - 1 projections, for k = 3

Only this package needs python-flint (``pip install "copy-average-book[proofs]"``), and nothing of
lib imports it.
"""
