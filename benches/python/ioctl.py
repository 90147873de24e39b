"""The loop by hand in Python, with nothing but the standard library: `fcntl.ioctl` on descriptor 3."""

import fcntl

LISTENER = 3
RECV, SEND = 0xC0502100, 0xC0182101
SET_FLAGS, SYNC_WAKE_UP = 0x40082104, 1

fcntl.ioctl(LISTENER, SET_FLAGS, SYNC_WAKE_UP)
request, zero = bytearray(80), bytes(80)
# struct seccomp_notif_resp: id, value, error, flags.
response = bytearray((1).to_bytes(8, "little").rjust(16, b"\0") + bytes(8))
try:
    while True:
        request[:] = zero
        fcntl.ioctl(LISTENER, RECV, request)
        response[:8] = request[:8]
        fcntl.ioctl(LISTENER, SEND, response)
except FileNotFoundError:
    pass  # the target has ended
