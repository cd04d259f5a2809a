"""Writes layer tars member by member: every header as it is asked for, also the ones that no tool writes."""

BLOCK = 512


def octal(value, width):
    """A number as tar has it: octal, or base-256 where that has no room."""
    digits = b"%0*o" % (width - 1, value) if value >= 0 else b""
    if 0 < len(digits) < width:
        return digits + b"\0"
    raw = bytearray(value.to_bytes(width, "big", signed=True))
    raw[0] |= 0x80
    return bytes(raw)


def padded(data):
    return data + bytes(-len(data) % BLOCK)


def pax_record(key, value):
    """`LENGTH KEY=VALUE\\n`, where LENGTH counts its own digits."""
    body = b" " + key + b"=" + value + b"\n"
    length = len(body)
    while len(b"%d" % length) + len(body) != length:
        length = len(b"%d" % length) + len(body)
    return b"%d" % length + body


class Tarball:
    """A tar being written. Paths and targets are bytes or text; times are nanoseconds since 1970."""

    def __init__(self, path):
        self.out = open(path, "wb")

    def close(self):
        self.out.write(bytes(2 * BLOCK))
        self.out.close()

    def header(self, name, kind, mode=0o644, uid=0, gid=0, size=0, mtime=0, link=b"", major=0, minor=0, magic=b"ustar\x0000"):
        head = bytearray(BLOCK)
        for at, field in (
            (0, name[:100]), (100, octal(mode, 8)), (108, octal(uid, 8)), (116, octal(gid, 8)),
            (124, octal(size, 12)), (136, octal(mtime, 12)), (148, b" " * 8), (156, kind),
            (157, link[:100]), (257, magic), (329, octal(major, 8)), (337, octal(minor, 8)),
        ):
            head[at:at + len(field)] = field
        head[148:156] = b"%06o\0 " % sum(head)
        return head

    def add(self, path, kind, data=b"", mode=0o644, uid=0, gid=0, mtime=1_600_000_000_000_000_000,
            target=b"", major=0, minor=0, xattrs=None, pax=None):
        """One member; what a plain header has no room for goes into a pax header before it."""
        path = path.encode() if isinstance(path, str) else path
        target = target.encode() if isinstance(target, str) else target
        records = dict(pax or {})
        seconds, nanoseconds = divmod(mtime, 10**9)
        if len(path) > 100 and b"GNU.sparse.name" not in records:
            records[b"path"] = path
        if len(target) > 100:
            records[b"linkpath"] = target
        if uid > 0o7777777:
            records[b"uid"], uid = b"%d" % uid, 0
        if gid > 0o7777777:
            records[b"gid"], gid = b"%d" % gid, 0
        if nanoseconds or not 0 <= seconds < 8**11:
            sign, whole, rest = (b"-", -mtime // 10**9, -mtime % 10**9) if mtime < 0 else (b"", seconds, nanoseconds)
            records[b"mtime"], seconds = b"%s%d.%09d" % (sign, whole, rest), 0
        for name, value in (xattrs or {}).items():
            records[b"SCHILY.xattr." + name.encode()] = value
        if records:
            body = b"".join(pax_record(key, value) for key, value in records.items())
            self.out.write(self.header(b"PaxHeaders/" + path[:80], b"x", size=len(body)) + padded(body))
        self.out.write(self.header(path, kind, mode, uid, gid, len(data), seconds, target, major, minor))
        self.out.write(padded(data))

    def directory(self, path, mode=0o755, **more):
        self.add(path, b"5", mode=mode, **more)

    def file(self, path, data=b"", **more):
        data = data.encode() if isinstance(data, str) else data
        self.add(path, b"0", data, **more)

    def symlink(self, path, target, **more):
        self.add(path, b"2", mode=0o777, target=target, **more)

    def link(self, path, target, **more):
        self.add(path, b"1", target=target, **more)

    def node(self, path, kind, major=0, minor=0, **more):
        self.add(path, {"character": b"3", "block": b"4", "fifo": b"6"}[kind], major=major, minor=minor, **more)

    def plain(self, path, kind, owner, data):
        """A member with nothing but an old header, base-256 where octal has no room."""
        path = path.encode()
        mode = 0o755 if path.endswith(b"/") else 0o644
        self.out.write(self.header(path, kind, mode, owner, owner, len(data), 1_600_000_000, magic=b"") + padded(data))

    def global_header(self, records):
        """What pax says of all members that follow."""
        body = b"".join(pax_record(key, value) for key, value in records.items())
        self.out.write(self.header(b"pax_global_header", b"g", size=len(body)) + padded(body))

    def gnu_long(self, kind, value):
        """GNU's way to give the next member a long name (`L`) or a long target (`K`)."""
        self.out.write(self.header(b"././@LongLink", kind, size=len(value) + 1, magic=b"ustar  \0") + padded(value + b"\0"))

    def sparse(self, path, form, size, pieces, **more):
        """A file with holes: `pieces` are (offset, bytes), `form` is how tar says it.

        All but the last piece must fill whole blocks, as they do in every real tar: whether others are
        padded, readers do not agree on.
        """
        assert all(len(piece) % BLOCK == 0 for _, piece in pieces[:-1])
        path = path.encode() if isinstance(path, str) else path
        data = b"".join(piece for _, piece in pieces)
        spans = [(offset, len(piece)) for offset, piece in pieces] + [(size, 0)]
        if form == "gnu":
            self.gnu_sparse(path, size, spans, data)
            return
        pax = {b"GNU.sparse.size": b"%d" % size, b"GNU.sparse.numblocks": b"%d" % len(spans)}
        if form == "0.1":
            pax[b"GNU.sparse.name"] = path
            pax[b"GNU.sparse.map"] = b",".join(b"%d,%d" % span for span in spans)
        if form == "1.0":
            pax = {b"GNU.sparse.major": b"1", b"GNU.sparse.minor": b"0", b"GNU.sparse.name": path,
                   b"GNU.sparse.realsize": b"%d" % size}
            data = padded(b"%d\n" % len(spans) + b"".join(b"%d\n%d\n" % span for span in spans)) + data
        name = path if form == "0.0" else b"GNUSparseFile.0/" + path.split(b"/")[-1]
        if form == "0.0":
            # Its keys repeat, so it is written here and not as a dictionary.
            body = b"".join(pax_record(key, value) for key, value in pax.items())
            for offset, length in spans:
                body += pax_record(b"GNU.sparse.offset", b"%d" % offset) + pax_record(b"GNU.sparse.numbytes", b"%d" % length)
            self.out.write(self.header(b"PaxHeaders/" + path[:80], b"x", size=len(body)) + padded(body))
            pax = None
        self.add(name, b"0", data, pax=pax, **more)

    def gnu_sparse(self, path, size, spans, data):
        """The old GNU form: four spans in the header, twenty-one in each block that follows it."""
        head = self.header(path, b"S", size=len(data), mtime=1_600_000_000, magic=b"ustar  \0")
        head[329:345] = bytes(16)
        entries = [octal(offset, 12) + octal(length, 12) for offset, length in spans]
        head[386:386 + 24 * len(entries[:4])] = b"".join(entries[:4])
        head[482] = len(entries) > 4
        head[483:495] = octal(size, 12)
        head[148:156] = b" " * 8
        head[148:156] = b"%06o\0 " % sum(head)
        self.out.write(head)
        entries = entries[4:]
        while entries:
            block = bytearray(BLOCK)
            block[:24 * len(entries[:21])] = b"".join(entries[:21])
            entries = entries[21:]
            block[504] = len(entries) > 0
            self.out.write(block)
        self.out.write(padded(data))
