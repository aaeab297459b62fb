"""Coefficients: where they come from, how well they predict, how to fit your own."""
