"""The package's listener, descriptor 3, in a `for` loop."""

import unotify

for call in unotify.Listener.from_fd(3):
    call.reply(1)
