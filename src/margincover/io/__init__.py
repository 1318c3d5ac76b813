"""The outside: book files, positions CSV, price history, raw exchange responses, result files.

The only room that parses and the only one that opens files. Takes paths and texts; gives types of ``model``.
Whatever cannot be read as stated is an ``InputError`` that names the file, the account, the field and what is allowed.
Must not import ``report``, ``app``, ``cli`` or any calculation room above ``model``; opens no network connection.
"""
