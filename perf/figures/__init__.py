"""What `perf/run` is made of; Python's standard library only.

machine    what it runs on, and how much of it others took
processes  starting, watching and ending processes, and what they cost
scene      the programs, the stand-in server, and one run of logpump, of cat, of nobody
cells      what is measured, in variants that alternate
table      the targets, and the table
"""
