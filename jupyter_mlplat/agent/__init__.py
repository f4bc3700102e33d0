"""The node agent: saves what a container changed as layers of an image."""
