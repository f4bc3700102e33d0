"""Known vulnerabilities of Python packages, and which of them an image has."""
