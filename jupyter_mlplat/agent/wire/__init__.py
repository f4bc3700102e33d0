"""What goes over the wire to containerd."""
