"""Transfers: copies and syncs of files and objects that go on where they were when their process was killed.

A transfer is a folder (`folder.py`) with its order, its plan and a journal of what has arrived. Whoever carries it out
(`carrying.py`) may be killed at any line: the next one goes on from the journal.
"""
