"""Answers for people: tables in a terminal, flat rows for a spreadsheet, figures with three digits."""
