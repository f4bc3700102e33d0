"""The Kubernetes back end: instances are pods of the Hub's spawner, jobs are Jobs, images lie in a registry."""
