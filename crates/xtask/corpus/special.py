"""Layers with what real images hold seldom: special files, attributes, links, holes and odd names."""

import struct
import sys

from tarball import Tarball

WORK = sys.argv[1]
SECOND = 10**9


def noise(length, seed=1):
    """Bytes that do not compress, the same every time."""
    import hashlib

    out = bytearray()
    while len(out) < length:
        out += hashlib.sha256(b"%d %d" % (seed, len(out))).digest()
    return bytes(out[:length])


def capability(permitted, root=None):
    """A security.capability value, effective; version 3 when it names the root user it counts for."""
    if root is None:
        return struct.pack("<5I", 0x02000001, permitted, 0, 0, 0)
    return struct.pack("<6I", 0x03000001, permitted, 0, 0, 0, root)


USER_OBJ, USER, GROUP_OBJ, GROUP, MASK, OTHER = 0x01, 0x02, 0x04, 0x08, 0x10, 0x20


def acl(*entries):
    """A POSIX ACL as the kernel's xattr has it: (tag, permissions, id)."""
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


NOBODY = 0xFFFFFFFF
ACL = acl((USER_OBJ, 6, NOBODY), (USER, 7, 1000), (GROUP_OBJ, 4, NOBODY), (GROUP, 5, 100000), (MASK, 7, NOBODY), (OTHER, 4, NOBODY))
DEFAULT_ACL = acl((USER_OBJ, 7, NOBODY), (USER, 5, 1001), (GROUP_OBJ, 5, NOBODY), (MASK, 5, NOBODY), (OTHER, 0, NOBODY))


def layer1():
    t = Tarball(f"{WORK}/layer1.tar")
    t.directory("./", mtime=1_500_000_000 * SECOND)
    for path in "usr usr/bin usr/lib etc var run dev srv home".split():
        t.directory(path)
    t.symlink("bin", "usr/bin")
    t.symlink("lib", "usr/lib")
    t.symlink("var/run", "/run")
    t.file("usr/bin/tool", noise(3000), mode=0o755)
    t.file("etc/hosts", "127.0.0.1 localhost\n")

    # Modes.
    t.directory("modes", mode=0o1777)
    for mode in (0o4755, 0o2755, 0o6711, 0o1644, 0o0000, 0o0444, 0o7777):
        t.file(f"modes/file{mode:04o}", f"{mode:o}", mode=mode, uid=1, gid=2)
    for mode in (0o2775, 0o1777, 0o7000):
        t.directory(f"modes/dir{mode:04o}", mode=mode, uid=3, gid=4)
    for mode in (0o0000, 0o0555, 0o0111):
        t.directory(f"modes/closed{mode:04o}", mode=mode)
        t.file(f"modes/closed{mode:04o}/child", "inside")
        t.directory(f"modes/closed{mode:04o}/sub", mode=mode)
        t.file(f"modes/closed{mode:04o}/sub/grandchild", "inside")

    # Owners.
    t.directory("owners")
    for owner in (1000, 65534, 65535, 65536, 100000, 2097151, 2097152, 2**31 - 1, 2**31, 2**32 - 2):
        t.file(f"owners/file{owner}", str(owner), uid=owner, gid=owner - 1)
    t.directory("owners/dir", uid=100000, gid=100001, mode=0o700)
    t.symlink("owners/link", "nowhere", uid=100000, gid=100001)
    t.node("owners/fifo", "fifo", uid=100000, gid=2**31)

    # Extended attributes.
    t.directory("xattrs", xattrs={"user.on.directory": b"yes"})
    t.file("xattrs/ping", noise(100), mode=0o755, xattrs={"security.capability": capability(1 << 13)})
    t.file("xattrs/rooted", noise(100), mode=0o755, xattrs={"security.capability": capability(1 << 10 | 1 << 13, root=100000)})
    t.file("xattrs/acl", "acl", mode=0o674, xattrs={"system.posix_acl_access": ACL})
    t.directory("xattrs/acl.d", mode=0o770, xattrs={"system.posix_acl_default": DEFAULT_ACL})
    t.file("xattrs/acl.d/child", "made beneath a default ACL, without one itself", mode=0o644)
    t.directory("xattrs/acl.d/sub", mode=0o755)
    t.file("xattrs/binary", "b", xattrs={"user.binary": bytes(range(256)), "user.line": b"a=b\n"})
    t.file("xattrs/large", "l", xattrs={"user.large": noise(3000, 2)})
    t.file("xattrs/many", "m", xattrs={f"user.number{n:02}": b"%d" % n * n for n in range(1, 40)})
    t.file("xattrs/same1", "1", xattrs={"user.shared": noise(900, 3)})
    t.file("xattrs/same2", "2", xattrs={"user.shared": noise(900, 3)})
    t.file("xattrs/trusted", "t", xattrs={"trusted.note": b"root's", "user.note": b"a user's"})
    t.symlink("xattrs/link", "binary", xattrs={"trusted.on.link": b"yes"})
    t.file("xattrs/" + "n" * 200, "long name of an attribute", xattrs={"user." + "n" * 200: b"v"})

    # Device nodes and fifos.
    t.node("dev/null", "character", 1, 3, mode=0o666)
    t.node("dev/console", "character", 5, 1, mode=0o600)
    t.node("dev/sda", "block", 8, 0, mode=0o660, gid=6)
    t.node("dev/far", "block", 259, 70000, mode=0o660)
    t.node("dev/farthest", "character", 4095, 1048575, mode=0o600)
    t.node("dev/byte", "block", 255, 256, mode=0o600)
    t.node("dev/zero-zero", "character", 0, 0, mode=0o000)
    t.node("dev/fifo", "fifo", mode=0o622)

    # Hard links in one layer. Their headers repeat the target's attributes, as every tool's do: what
    # counts when they differ, unpackers do not agree on.
    t.directory("links")
    t.file("links/b-first", "three names", mode=0o640)
    t.link("links/a-second", "links/b-first", mode=0o640)
    t.link("links/c-third", "./links/a-second", mode=0o640)
    t.symlink("links/symlink", "b-first")
    t.link("links/symlink-too", "links/symlink", mode=0o777)
    t.symlink("links/dangling", "/no/where")
    t.link("links/dangling-too", "links/dangling", mode=0o777)
    t.node("links/fifo", "fifo")
    t.link("links/fifo-too", "links/fifo")
    t.node("links/device", "character", 1, 5)
    t.link("links/device-too", "links/device")
    t.file("links/lower", "linked from the next layer", xattrs={"user.kept": b"yes"})
    t.file("links/split", "one name is replaced above")
    t.link("links/split-too", "links/split")
    t.file("links/bare", "one name is removed above")
    t.link("links/bare-too", "links/bare")
    t.file("links/empty")
    t.link("links/empty-too", "links/empty")

    # Files with holes.
    t.directory("sparse")
    for form in ("0.0", "0.1", "1.0"):
        t.sparse(f"sparse/pax{form}", form, 1_000_000, [(0, b"start" * 1024), (65536, noise(5632)), (700_001, b"x" * 100)])
        t.sparse(f"sparse/hole-first{form}", form, 50_000, [(40_000, b"end" * 10)])
        t.sparse(f"sparse/all-hole{form}", form, 3 << 20, [])
    t.sparse("sparse/many", "1.0", 2000 * 8192, [(n * 8192, noise(4096, n)) for n in range(2000)])
    t.file("sparse/zeros", bytes(300_000))
    t.file("sparse/zeros-inside", b"a" * 5000 + bytes(100_000) + b"b" * 5000)

    # Names.
    t.directory("names")
    for name in (b"\xff\xfe not utf-8", b"new\nline", b"-rf", b"--help", b"two  spaces ", b" ", b"tab\t", b"quote\"'`$(x)",
                 b"back\\slash\\n", b"\x1b[31mred\x1b[0m", b"*?[a]", b"%s%n", b"#", b"~", b"...", b"\xc3\xa9", b"e\xcc\x81",
                 b"CASE", b"case", b"\x01\x7f", b"x" * 255, b"\xf0" * 255):
        t.file(b"names/" + name, name)
    t.directory(b"names/dir\n\xff")
    t.file(b"names/dir\n\xff/child", "c")
    t.file("./names/dot-slash", "d")
    t.file("/names/absolute", "a")
    t.directory("names/slashes/")
    t.file("names//double///slash", "s")
    t.gnu_long(b"L", b"names/" + b"gnu" * 60)
    t.file("names/short", "g")
    t.gnu_long(b"K", b"t" * 300)
    t.symlink("names/gnu-long-target", "t")

    # Symlinks around the size that fits into an inode, and up to the longest.
    t.directory("symlinks")
    for length in (1, 58, 59, 60, 61, 100, 101, 255, 1023, 4094, 4095):
        t.symlink(f"symlinks/to{length}", ("target/" * 600)[:length])
    t.symlink("symlinks/up", "../../../../../../etc/hosts")
    t.symlink("symlinks/absolute", "/etc/hosts")
    t.symlink("symlinks/self", "self")
    t.symlink("symlinks/odd", b"\xff\n \x1b")

    # Times: whole, with nanoseconds, at the ends of 32 and 34 bits' beginnings.
    t.directory("times", mtime=1_234_567_890_123_456_789)
    for name, time in (("epoch", 0), ("one", 1), ("nano", 1_700_000_000_000_000_001), ("most", 1_700_000_000_999_999_999),
                       ("y2038-before", (2**31 - 1) * SECOND), ("y2038", 2**31 * SECOND), ("y2106", 2**32 * SECOND + 5),
                       ("y2242", 2**33 * SECOND + 123_456_789)):
        t.file(f"times/{name}", name, mtime=time)
        t.symlink(f"times/{name}-link", name, mtime=time)
        t.directory(f"times/{name}.d", mtime=time)

    # Sizes.
    t.directory("sizes")
    for size in (0, 1, 59, 60, 61, 511, 512, 513, 1023, 1024, 4095, 4096, 4097, 8192, 65536, 1 << 20):
        t.file(f"sizes/{size}", noise(size, size))
    t.file("sizes/large", noise(1 << 20) * 6 + b"end")

    # One directory with many names, and one path with many directories.
    t.directory("many")
    for number in range(6000):
        t.file(f"many/a rather long name for one file among thousands {number:05}", str(number))
    path = "deep"
    for level in range(70):
        t.directory(path)
        path += f"/{level:02}-" + "d" * 40
    t.file(path[:path.rindex("/")] + "/bottom", "deep")

    # A name that comes twice: the last one counts.
    t.file("twice", "first", mode=0o600)
    t.file("twice", "second", mode=0o644)

    # To be removed, replaced or hidden above.
    for path in ("gone", "gone/sub", "opaque-first", "opaque-last", "opaque-link", "replaced", "emptied"):
        t.directory(path)
        t.file(f"{path}/lower", path)
    for name in ("file-to-dir", "file-to-link", "file-to-fifo", "removed-and-back"):
        t.file(f"replaced/{name}", "lower", uid=7, xattrs={"user.lower": b"must not stay"})
    for name in ("dir-to-file", "dir-to-link", "dir-to-dir", "dir-and-back"):
        t.directory(f"replaced/{name}", mode=0o700, uid=7, xattrs={"user.lower": b"must not stay"})
        t.file(f"replaced/{name}/lower", "lower")
    t.symlink("replaced/link-to-dir", "dir-to-dir")
    t.symlink("replaced/link-to-file", "../etc/hosts")
    t.directory("removed-through")
    t.file("removed-through/a", "a")
    t.file("removed-through/b", "b")
    t.symlink("through", "removed-through")
    t.close()


def layer2():
    t = Tarball(f"{WORK}/layer2.tar")
    # Writes through links of the layer below, with no entry for the directory itself.
    t.file("bin/foo", "#!/bin/sh\n", mode=0o755)
    t.file("var/run/x", "through an absolute link")
    t.file("var/run/sub/y", "and below")
    t.link("bin/tool-too", "bin/tool", mode=0o755)

    # Hard links to the layer below.
    t.link("links/upper", "links/lower")
    t.link("links/upper-again", "links/upper")
    t.link("links/symlink-upper", "links/symlink", mode=0o777)
    t.link("links/fifo-upper", "links/fifo")
    t.file("links/split", "replaced: the other name keeps the old content")
    t.file("links/.wh.bare")
    t.link("etc/hosts-too", "etc/hosts")

    # Removals.
    t.file(".wh.gone")
    t.file("emptied/.wh.lower")
    t.file("opaque-first/.wh..wh..opq")
    t.file("opaque-first/upper", "upper")
    t.file("opaque-last/upper", "upper")
    t.file("opaque-last/.wh..wh..opq")
    t.directory("opaque-link")
    t.file("opaque-link/.wh..wh..opq")
    t.file("through/.wh.a")
    t.file("removed-through/.wh.never-was")
    t.file("replaced/.wh.removed-and-back")

    # Another type in the place of the lower one.
    t.directory("replaced/file-to-dir", mode=0o711)
    t.file("replaced/file-to-dir/upper", "upper")
    t.symlink("replaced/file-to-link", "dir-to-dir")
    t.node("replaced/file-to-fifo", "fifo")
    t.file("replaced/dir-to-file", "upper")
    t.symlink("replaced/dir-to-link", "dir-to-dir")
    t.directory("replaced/dir-to-dir", mode=0o755, xattrs={"user.upper": b"yes"}, mtime=1_650_000_000_000_000_007)
    t.file("replaced/dir-to-dir/upper", "upper")
    t.directory("replaced/link-to-dir")
    t.file("replaced/link-to-dir/upper", "upper")
    t.file("replaced/link-to-file", "upper")
    t.file("replaced/dir-and-back", "a file for now")

    # A parent that no layer has an entry for.
    t.file("no/parents/at/all", "n")
    t.close()


def layer3():
    t = Tarball(f"{WORK}/layer3.tar")
    t.file("replaced/removed-and-back", "back", mode=0o600)
    t.directory("replaced/dir-and-back", mode=0o750)
    t.file("replaced/dir-and-back/third", "third")
    t.file("links/lower", "a new file; the other two names keep the old one")
    t.directory("no/parents", mode=0o700, uid=9)
    t.directory("xattrs", xattrs={})
    t.file("gone/again", "g")
    t.close()


layer1()
layer2()
layer3()
