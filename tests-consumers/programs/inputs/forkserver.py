"""A pool of processes of a fork server, which is asked through a Unix socket with a name of its own."""

import multiprocessing
import os


def main() -> None:
    with multiprocessing.get_context("forkserver").Pool(2) as pool:
        print(pool.map(os.path.basename, ["/a/b", "/c/d"]))


if __name__ == "__main__":
    main()
