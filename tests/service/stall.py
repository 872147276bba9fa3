"""Run inside a machine: holds one thread still, as a debugger does, for as long as its process lives.

ptrace(2): PTRACE_SEIZE and PTRACE_INTERRUPT stop the one thread alone, which no signal can do.
"""

import ctypes
import os
import sys

SEIZE, INTERRUPT = 0x4206, 0x4207  # linux/ptrace.h
ANY_THREAD = 0x40000000  # __WALL, linux/wait.h

thread = int(sys.argv[1])
libc = ctypes.CDLL(None, use_errno=True)
for request in (SEIZE, INTERRUPT):
    if libc.ptrace(ctypes.c_long(request), ctypes.c_long(thread), None, None):
        sys.exit(f"ptrace {request:#x}: {os.strerror(ctypes.get_errno())}")
stopped = os.waitpid(thread, ANY_THREAD)[1]
print("still", flush=True)
while os.WIFSTOPPED(stopped):
    stopped = os.waitpid(thread, ANY_THREAD)[1]
