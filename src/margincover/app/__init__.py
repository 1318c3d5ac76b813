"""The composition root: the only room that knows all stages.

Loads a book, chooses rules and a scenario generator, runs status and coverage, and hands results to the reports.
"""
