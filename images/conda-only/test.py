import sys

import pip

print("Python", sys.version.split()[0], "pip", pip.__version__)
