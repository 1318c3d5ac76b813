"""Resources against needs: when money arrives, what a sale brings, the ladder, the survival horizon, debt coverage.

Reads the resources of a book and the needs that the paths of its accounts make; places nothing (``allocation`` does).
"""
