"""Figures: pure functions of scores."""
