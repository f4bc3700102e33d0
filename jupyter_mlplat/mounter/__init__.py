"""Mounts folders of buckets by rclone: what a back end keeps running on a machine or a node."""
