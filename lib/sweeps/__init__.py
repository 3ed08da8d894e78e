"""Flows of many students, each certified and named, and the tables that keep them."""
