"""The command line: parse, call the library, report.

In: words. Out: files in ``--out``, a report on stdout or one line of error, an exit status.
Add a command as a module of its own, and to the list in main.py.
"""
