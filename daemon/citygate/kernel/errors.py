"""What the kernel, or a program that talks to it, could not do."""


class KernelError(Exception):
    """One plain sentence: what failed or is missing, by name, and what to install or grant."""
