"""What runs inside the sandboxes: a student's kernel that answers, and the tests that ask it. Values pass as text."""
