"""Measures what issuing costs."""
