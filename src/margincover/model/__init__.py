"""The nouns: frozen types with their invariants; no I/O, no clock, no verbs.

Every stage of the program is a function of types of this room that returns a type of this room.
Must not import any other room than ``numeric``, ``errors`` and ``units``.
"""
