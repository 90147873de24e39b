"""What a notification says of its call."""

from struct import Struct

# `struct unotify_request`, and where its parts are.
REQUEST = Struct("=QiIiIQ6Q")
ID = Struct("=Q")
PID = Struct("=8xi")
SYSCALL = Struct("=16xi")
ARCH = Struct("=20xI")
INSTRUCTION_POINTER = Struct("=24xQ")
ARGS = Struct("=32x6Q")
INT_ARGS = Struct("=32x" + "i4x" * 6)
