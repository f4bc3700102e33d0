"""`python -S measured.py COMMAND…` runs a program and says, last on standard output, how many bytes of memory it took.

A small process does that, for Linux counts to a program's peak what its parent had when it started it. The word PARENT
in the command stands for its pid.
"""

import os
import resource
import subprocess
import sys

command = [str(os.getpid()) if word == "PARENT" else word for word in sys.argv[1:]]
done = subprocess.run(command, stdout=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024)
sys.exit(done.returncode)
