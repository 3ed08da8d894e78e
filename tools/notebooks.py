"""Where the notebooks of the book are: chapters, and long proofs with their checks."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = sorted([*ROOT.glob("book/*.ipynb"), *ROOT.glob("book/proofs/*.ipynb")])
