"""Several processes on one machine: the socket that they share, who starts and replaces them, and what each is told."""
