"""A program under sandlock, in its chroot mode, where the new root is the old one.

chroot.py DIRECTORY COMMAND [ARGUMENT...]: it may read everything, and write in the directory.
"""

import os
import sys

from sandlock import Sandbox

done = Sandbox(
    chroot="/", fs_readable=["/"], fs_writable=[sys.argv[1], "/tmp", "/dev/null"], cwd=os.getcwd()
).run(sys.argv[2:])
if not done.success:
    sys.exit(f"exit code {done.exit_code}: {done.stderr!r} {done.error}")
