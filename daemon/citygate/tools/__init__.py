"""The operators' commands, a file each. Those that ask a running daemon do it through ``ask`` (docs/control.md)."""
