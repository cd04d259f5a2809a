"""Layers that umoci refuses or mangles: old GNU members, numbers without bounds, times far off.

Nothing is removed by any of them, so that GNU tar can unpack them one upon the other."""

import hashlib
import sys

from tarball import Tarball

WORK = sys.argv[1]
SECOND = 10**9


def noise(length, seed=1):
    """Bytes that do not compress, the same every time."""
    return b"".join(hashlib.sha256(b"%d %d" % (seed, n)).digest() for n in range(length // 32 + 1))[:length]


def layer1():
    t = Tarball(f"{WORK}/layer1.tar")
    t.directory("./", mode=0o751, uid=5, gid=6, mtime=1_400_000_000_987_654_321)

    # GNU's old form of files with holes: with as many spans as the header has room for, with one
    # further block of them, and with several.
    t.directory("sparse")
    for count in (1, 3, 4, 5, 20, 100):
        t.sparse(f"sparse/gnu{count}", "gnu", count * 10_000 + 5000, [(n * 10_000, noise(3072, n)) for n in range(count)])
    t.sparse("sparse/gnu-hole", "gnu", 5 << 20, [])
    t.sparse("sparse/gnu-late", "gnu", 5 << 20, [((5 << 20) - 512, noise(512))])

    # Times before 1970, and to the end of what ext4 tools agree on.
    t.directory("times", mtime=-1)
    for name, time in (("minus-nano", -1), ("minus-half", -SECOND // 2), ("minus-second", -SECOND),
                       ("minus-one-and-half", -1_500_000_000), ("y1901", -(2**31) * SECOND), ("y1910", -1_893_456_000_123_456_789),
                       ("y2300", 10_413_792_000_000_000_005), ("y2310", (2**33 + 2**31) * SECOND - 1)):
        t.file(f"times/{name}", name, mtime=time)
        t.directory(f"times/{name}.d", mtime=time)
        t.symlink(f"times/{name}-link", name, mtime=time)

    # Owners in base-256, and the largest that a header's octal has room for.
    t.directory("owners")
    for owner in (2097151, 2097152, 2**32 - 2):
        t.plain(f"owners/base256-{owner}", b"0", owner, b"base-256")

    # Members of an old tar, without a magic, and a directory that only its slash tells.
    t.plain("old-file", b"\0", 1, b"v7")
    t.plain("contiguous", b"7", 1, b"contiguous")
    t.plain("old-dir/", b"\0", 1, b"")
    t.file("old-dir/inside", "i")

    # pax says what holds for all that follows, then a member says otherwise.
    t.global_header({b"comment": b"made by hand", b"mtime": b"1234567890.5"})
    t.file("global", "g")
    t.file("global-overridden", "o", mtime=1_700_000_000_000_000_001)
    t.close()


def layer2():
    t = Tarball(f"{WORK}/layer2.tar")
    # GNU tar gives a directory its time back only when the same tar has it, before what is in it.
    t.directory("sparse", mtime=1_600_000_001 * SECOND)
    t.sparse("sparse/gnu3", "gnu", 100_000, [(50_000, b"another")])
    t.link("sparse/linked", "sparse/gnu5")
    t.directory("times", mtime=-1)
    t.file("times/minus-second", "later", mtime=-2 * SECOND - 1)
    t.close()


layer1()
layer2()
