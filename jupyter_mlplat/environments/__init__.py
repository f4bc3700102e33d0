"""Environments of one's own inside an instance: folders below `envs/` of the instance's environment, each a kernel.

They lie where an image holds them, so a saved image offers their kernels too.
"""
