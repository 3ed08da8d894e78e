"""Who a student can be: copies and averages, in closed form or solved in a few numbers, and how to
tell them.
"""
