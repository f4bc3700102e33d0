"""The runner: runs one job's notebook or script in its environment and leaves what came of it in the job's folder.

It is a process of its own, needs nothing else of the platform while it runs, and survives it. `python -m
jupyter_mlplat.runner JOB_DIR` reads `spec.json`, and from then on `state.json` says how the job is.

Its imports are few and late on purpose: the kernel is started before what talks to it is loaded.
"""
