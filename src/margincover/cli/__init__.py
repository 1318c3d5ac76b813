"""``margincover ...``: parse the command line, call ``app``, print, choose the exit code. Computes nothing."""
