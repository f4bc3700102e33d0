"""The SSH gateway: how its sshd and those of instances are run, and the small programs that its sshd calls."""
