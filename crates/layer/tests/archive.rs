//! The archive's format itself. Each case carries the line of the catalogue of hostile inputs that it stands
//! for.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use support::{Tarball, check, check_with, header, record};
use unlade_layer::{ReadOptions, tar};

#[test]
fn names() {
    let long = format!("{}/{}", "d".repeat(120), "f".repeat(120));
    let text = long.as_bytes();
    check("57", &Tarball::new().long_name(text).file("x", b"").end(), &format!("{long} file 0"));
    let twice = Tarball::new().pax(&[("path", b"first"), ("uid", b"7")]).pax(&[("linkpath", b"to")]);
    check("57", &twice.symlink("x", "y").end(), "x -> to");
    let repeated = Tarball::new().long_name(b"first").long_name(text).file("x", b"").end();
    check("57", &repeated, &format!("{long} file 0"));
    let both = Tarball::new().long_name(text).long_link(text).symlink("x", "y").end();
    check("57", &both, &format!("{long} -> {long}"));
    // What belongs to one entry does not reach the next.
    let next = Tarball::new()
        .long_name(text)
        .long_link(text)
        .pax(&[("uid", b"7")])
        .symlink("x", "y")
        .symlink("x", "y");
    check("57", &next.end(), &format!("{long} -> {long} 7:0\nx -> y"));
    let pax = Tarball::new()
        .long_name(b"gnu")
        .pax(&[("path", b"pax"), ("linkpath", b"to")])
        .symlink("x", "y")
        .end();
    check("57", &pax, "pax -> to");
    let ustar = header(b"name", b'0').set(345, b"pre/fix");
    check("57", &Tarball::new().raw(ustar.clone(), b"").end(), "pre/fix/name file 0");
    check("57", &Tarball::new().pax(&[("path", b"p")]).raw(ustar.clone(), b"").end(), "p file 0");
    // Go's prefix; what GNU tar has there are times.
    check("57", &Tarball::new().raw(ustar.gnu(), b"").end(), "pre/fix/name file 0");
    let times = header(b"name", b'0').gnu().set(345, b"00000000017\x0000000000017\0");
    check("57", &Tarball::new().raw(times, b"").end(), "name file 0");
    let full = header(&[b'n'; 100], b'0').set(345, &[b'p'; 155]);
    check(
        "57",
        &Tarball::new().raw(full, b"").end(),
        &format!("{}/{} file 0", "p".repeat(155), "n".repeat(100)),
    );
    let star = header(b"name", b'0').set(345, b"prefix").set(476, b"00000000001\0").set(508, b"tar\0");
    check("57", &Tarball::new().raw(star, b"").end(), "prefix/name file 0");

    let small =
        ReadOptions { tar: tar::Limits { header_bytes: 300, ..Default::default() }, ..Default::default() };
    let limit = "limit: entry 0: more bytes of extension headers than the limit of 300";
    check_with("57", &Tarball::new().long_name(&[b'x'; 299]).file("x", b"").end(), &small, &{
        "invalid: entry 0 (".to_owned() + &"x".repeat(299) + "): name of 299 bytes is longer than 255"
    });
    check_with("57", &Tarball::new().long_name(&[b'x'; 300]).file("x", b"").end(), &small, limit);
    let twice = Tarball::new().long_name(&[b'x'; 200]).long_name(&[b'x'; 200]).file("x", b"").end();
    check_with("57", &twice, &small, limit);
}

#[test]
fn global_headers() {
    let defaults: &[(&str, &[u8])] =
        &[("comment", b"8f2a"), ("uid", b"7"), ("mtime", b"5.5"), ("odd.key", b"?")];
    let tarball = Tarball::new().global(defaults).file("a", b"").pax(&[("uid", b"9")]).file("b", b"");
    let tarball = tarball.global(&[("uid", b"")]).file("c", b"").end();
    let expected = "a file 0 7:0 @5+500000000ns\nb file 0 9:0 @5+500000000ns\nc file 0 @5+500000000ns";
    check("58", &tarball, expected);
    for key in ["path", "linkpath", "size", "SCHILY.xattr.user.a", "GNU.sparse.map"] {
        let refused = format!("unsupported: entry 0: global header gives \"{key}\" to every entry");
        check("58", &Tarball::new().global(&[(key, b"1")]).file("a", b"").end(), &refused);
    }
    check("58", &Tarball::new().global(&[("comment", b"git")]).end(), "");
}

#[test]
fn sizes() {
    let big = |size: &str| Tarball::new().pax(&[("size", size.as_bytes())]).file("a", b"").end();
    let cut = "corrupt: entry 0 (a): archive is cut off inside an entry's content";
    check("59", &big("8589934592"), cut);
    check("59", &big("9223372036854775807"), cut);
    check("59", &big("9223372036854775808"), "invalid: entry 0 (a): size overflows 63 bits");
    check("59", &big("18446744073709551616"), "corrupt: entry 0 (a): pax record is not a number that fits");
    check("59", &big("-1"), "invalid: entry 0 (a): size is negative");
    let field = |bytes: &[u8]| Tarball::new().raw(header(b"a", b'0').set(124, bytes), b"data").end();
    check("59", &field(b"\x80\0\0\0\0\0\0\0\0\0\0\x04"), "a file 4");
    check(
        "59",
        &field(b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"),
        "invalid: entry 0 (a): size is negative",
    );
    check("59", &field(b"\x80\0\0\0\x80\0\0\0\0\0\0\0"), "invalid: entry 0 (a): size overflows 63 bits");
    check(
        "59",
        &field(b"\x80\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"),
        "invalid: entry 0 (a): size overflows 63 bits",
    );
    check("59", &field(b"0000000000x\0"), "corrupt: entry 0 (a): size is not a number");
    check("59", &Tarball::new().pax(&[("size", b"4")]).raw(header(b"a", b'0'), b"data").end(), "a file 4");
    // An extension header's own size is checked before anything is allocated.
    let huge = Tarball::new().raw(header(b"x", b'x').size(1 << 30), b"").end();
    check("60", &huge, "limit: entry 0: more bytes of extension headers than the limit of 1048576");
    check("70", &Tarball::new().raw(header(b"a", b'0').size(5000), b"data").end(), cut);
}

#[test]
fn pax_records() {
    for records in
        [&b"7 a=b\n"[..], b"6 abc\n", b"6 a=bc", b"x a=b\n", b"99999999999 a=b\n", b"6 a=b\n\0", b"5 =b\n"]
    {
        let tarball = Tarball::new().sized(header(b"x", b'x'), records).file("a", b"").end();
        check("60", &tarball, "corrupt: entry 0: malformed pax record");
        let tarball = Tarball::new().sized(header(b"x", b'g'), records).file("a", b"").end();
        check("60", &tarball, "corrupt: entry 0: malformed pax record");
    }
    // A value may look like a record.
    let inner = [b"\n".to_vec(), record(b"path", b"evil")].concat();
    let tarball = Tarball::new().pax(&[("comment", &inner), ("path", b"good")]).file("x", b"").end();
    check("60", &tarball, "good file 0");
    // An empty value takes back what stood before; Solaris's X is an x.
    let tarball = Tarball::new().pax(&[("path", b"a"), ("path", b""), ("uid", b"")]).file("x", b"").end();
    check("60", &tarball, "x file 0");
    let solaris = Tarball::new().sized(header(b"x", b'X'), &record(b"path", b"s")).file("x", b"").end();
    check("60", &solaris, "s file 0");
    let dangling = Tarball::new().file("a", b"").pax(&[("path", b"b")]).end();
    check("60", &dangling, "corrupt: entry 1: archive ends behind a header that extends an entry");
}

/// A GNU header with a sparse map of up to four pairs.
fn gnu_sparse(real_size: u64, pairs: &[(u64, u64)], extended: bool) -> support::Header {
    let mut header = header(b"s", b'S').gnu().set(483, format!("{real_size:011o}\0").as_bytes());
    for (i, (offset, length)) in pairs.iter().enumerate() {
        header = header.set(386 + 24 * i, format!("{offset:011o}\0{length:011o}\0").as_bytes());
    }
    header.set(482, &[u8::from(extended)])
}

#[test]
fn sparse() {
    let block = [b'x'; 4096];
    let expected = "s file 1048576 declared[8192+4096]";
    let gnu = Tarball::new()
        .sized(gnu_sparse(1 << 20, &[(8192, 4096), (1 << 20, 0)], false), &block)
        .file("t", b"t");
    check("61", &gnu.end(), &format!("{expected}\nt file 1"));
    // An extension block with one pair, and one more that is empty.
    let mut extension = [0; 512];
    extension[..24].copy_from_slice(format!("{:011o}\0{:011o}\0", 40960, 4096).as_bytes());
    extension[504] = 1;
    let content = [&extension[..], &[0; 512], &block, &block].concat();
    let extended = gnu_sparse(65536, &[(8192, 4096)], true).size(8192);
    check(
        "61",
        &Tarball::new().raw(extended, &content).file("t", b"t").end(),
        "s file 65536 declared[8192+4096 40960+4096]\nt file 1",
    );

    let pax = |records: &[(&str, &[u8])], content: &[u8]| {
        Tarball::new().pax(records).file("GNUSparseFile.1/s", content).file("t", b"t").end()
    };
    let v00: &[(&str, &[u8])] = &[
        ("path", b"s"),
        ("GNU.sparse.size", b"1048576"),
        ("GNU.sparse.numblocks", b"2"),
        ("GNU.sparse.offset", b"8192"),
        ("GNU.sparse.numbytes", b"4096"),
        ("GNU.sparse.offset", b"1048576"),
        ("GNU.sparse.numbytes", b"0"),
    ];
    check("61", &pax(v00, &block), &format!("{expected}\nt file 1"));
    let v01 = |size: &'static str, map: &'static str| -> Vec<(&str, &[u8])> {
        vec![
            ("GNU.sparse.size", size.as_bytes()),
            ("GNU.sparse.numblocks", b"2"),
            ("GNU.sparse.name", b"s"),
            ("GNU.sparse.map", map.as_bytes()),
        ]
    };
    check("61", &pax(&v01("1048576", "8192,4096,1048576,0"), &block), &format!("{expected}\nt file 1"));
    let v10 = |size: &'static str| -> Vec<(&str, &[u8])> {
        vec![
            ("GNU.sparse.major", b"1"),
            ("GNU.sparse.minor", b"0"),
            ("GNU.sparse.name", b"s"),
            ("GNU.sparse.realsize", size.as_bytes()),
        ]
    };
    let content = |map: &str| {
        let mut content = map.as_bytes().to_vec();
        content.resize(content.len().next_multiple_of(512), 0);
        [content, block.to_vec()].concat()
    };
    check(
        "61",
        &pax(&v10("1048576"), &content("2\n8192\n4096\n1048576\n0\n")),
        &format!("{expected}\nt file 1"),
    );
    // Only whole blocks can be left out, wherever the map's edges are.
    let odd = gnu_sparse(100_000, &[(5000, 96), (20_000, 4000)], false);
    check("61", &Tarball::new().sized(odd, &block).end(), "s file 100000 declared[4096+4096 16384+8192]");
    let end = gnu_sparse(10_000, &[(0, 100), (9000, 996)], false);
    check("61", &Tarball::new().sized(end, &block[..1096]).end(), "s file 10000 declared[0+4096 8192+1808]");
    check(
        "61",
        &Tarball::new().sized(gnu_sparse(1 << 32, &[], false), b"").end(),
        "s file 4294967296 declared[]",
    );
    check("61", &Tarball::new().sized(gnu_sparse(0, &[], false), b"").end(), "s file 0");
    check(
        "61",
        &Tarball::new().sized(gnu_sparse(8192, &[(0, 4096), (4096, 4096)], false), &[1; 8192]).end(),
        "s file 8192",
    );

    let gnu = |size, pairs: &[(u64, u64)]| Tarball::new().sized(gnu_sparse(size, pairs, false), &block).end();
    let overlaps = "invalid: entry 0 (s): sparse map overlaps or is out of order";
    check("61", &gnu(65536, &[(0, 2048), (1024, 2048)]), overlaps);
    check("61", &gnu(65536, &[(4096, 2048), (0, 2048)]), overlaps);
    check(
        "61",
        &gnu(4096, &[(1, 4096)]),
        "invalid: entry 0 (s): sparse map leads beyond the end of the file",
    );
    check(
        "61",
        &gnu(65536, &[(0, 100)]),
        "invalid: entry 0 (s): sparse map names 100 bytes of data where the archive has 4096",
    );
    let far = "invalid: entry 0 (s): sparse map leads beyond the end of the file";
    check("61", &pax(&v01("65536", "9223372036854775807,9223372036854775807"), &block), far);
    let list = "corrupt: entry 0 (s): sparse map is not a list of pairs";
    for map in ["1", "1,2,", "1,2,3", "a,b", "1,,2,3", "-1,2"] {
        check("61", &pax(&v01("65536", map), &block), list);
    }
    check(
        "61",
        &pax(&v10("65536"), b"1\n0\n4096"),
        "corrupt: entry 0 (s): sparse map is longer than the content",
    );
    check(
        "61",
        &pax(&v10("65536"), &content("99999999\n")),
        "limit: entry 0 (s): more runs of data in a sparse file than the limit of 1048576",
    );
    check(
        "61",
        &pax(&v10("65536"), &content("1\nx\n4096\n")),
        "corrupt: entry 0 (s): sparse map has something else than numbers",
    );
    check(
        "61",
        &pax(&v10("65536"), &content("1\n000000000000000000000\n")),
        "corrupt: entry 0 (s): number in a sparse map is too long",
    );
    check(
        "61",
        &pax(&v10("65536")[..3], &content("0\n")),
        "corrupt: entry 0 (s): sparse file without its size",
    );
    let newer: &[(&str, &[u8])] = &[("GNU.sparse.major", b"2"), ("GNU.sparse.realsize", b"1")];
    check("61", &pax(newer, b""), "unsupported: entry 0 (GNUSparseFile.1/s): sparse file of format 2.0");
    let posix = gnu_sparse(0, &[], false).set(257, b"ustar\x0000");
    check(
        "61",
        &Tarball::new().raw(posix, b"").end(),
        "unsupported: entry 0 (s): sparse file of another format than GNU's",
    );
}

#[test]
fn times_and_owners() {
    let pax = |key: &str, value: &str| Tarball::new().pax(&[(key, value.as_bytes())]).file("a", b"").end();
    check("62", &pax("mtime", "-1.5"), "a file 0 @-2+500000000ns");
    check("62", &pax("mtime", "1.123456789987"), "a file 0 @1+123456789ns");
    check("62", &pax("mtime", "16725225600"), "a file 0 @16725225600");
    check("62", &pax("mtime", "123456789012345"), "a file 0 @123456789012345");
    check("62", &pax("mtime", "soon"), "corrupt: entry 0 (a): pax time is not a number that fits");
    let field = |bytes: &[u8]| Tarball::new().raw(header(b"a", b'0').mtime(bytes), b"").end();
    check("62", &field(b"77777777777\0"), "a file 0 @8589934591");
    check("62", &field(b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfe"), "a file 0 @-2");
    check("62", &field(b"\x80\0\0\0\0\0\0\x05\0\0\0\0"), "a file 0 @21474836480");
    check("62", &field(b"\x80\0\0\0\x80\0\0\0\0\0\0\0"), "invalid: entry 0 (a): mtime overflows 64 bits");

    for id in ["65536", "2147483648", "4294967295"] {
        check("63", &pax("uid", id), &format!("a file 0 {id}:0"));
        check("63", &pax("gid", id), &format!("a file 0 0:{id}"));
    }
    check("63", &pax("uid", "4294967296"), "invalid: entry 0 (a): uid 4294967296 does not fit 32 bits");
    check("63", &pax("gid", "-1"), "invalid: entry 0 (a): gid -1 is negative");
    let base_256 = header(b"a", b'0').uid(b"\x80\0\0\0\xff\xff\xff\xff").gid(b"\x80\0\0\0\0\x01\x86\xa0");
    let base_256 = base_256.set(265, b"somebody").set(297, b"some group");
    check("63", &Tarball::new().raw(base_256, b"").end(), "a file 0 4294967295:100000");
    let negative = header(b"a", b'0').uid(b"\xff\xff\xff\xff\xff\xff\xff\xff");
    check("63", &Tarball::new().raw(negative.clone(), b"").end(), "invalid: entry 0 (a): uid -1 is negative");
    // A field that a record replaces is not looked at.
    check("63", &Tarball::new().pax(&[("uid", b"5")]).raw(negative, b"").end(), "a file 0 5:0");

    let mode = |bytes: &[u8]| Tarball::new().raw(header(b"a", b'0').mode(bytes), b"").end();
    check("64", &mode(b"0104755\0"), "a file 0 4755");
    check("64", &mode(b"0007777\0"), "a file 0 7777");
    check("64", &mode(b"0000000\0"), "a file 0 0000");
    check("64", &mode(b"7777644\0"), "a file 0 7644\nModeMasked 1");
}

#[test]
fn headers_and_ends() {
    let mut spoiled = Tarball::new().file("a", b"").end();
    spoiled[0] ^= 1;
    check("65", &spoiled, "corrupt: entry 0: not a tar header: its checksum does not match");
    spoiled[148] = b'9';
    check("65", &spoiled, "corrupt: entry 0: not a tar header: its checksum is not a number");
    check("65", &Tarball::new().signed(header(b"\xff\xfe", b'0')).end(), "\\xff\\xfe file 0");
    check("65", &[b'x'; 1024], "corrupt: entry 0: not a tar header: its checksum is not a number");

    let one = Tarball::new().file("a", b"a");
    check("66", &one.0, "a file 1\nEndMissing 1");
    check("66", &one.clone().bytes(&[0; 512]).0, "a file 1\nEndMissing 1");
    check("66", &[&one.0[..], &[0; 100]].concat(), "a file 1\nEndMissing 1");
    // umoci's `insert --opaque` leaves out the last block's padding: the content is whole.
    check("66", &one.0[..1023], "a file 1\nEndMissing 1");
    check("66", &one.0[..513], "a file 1\nEndMissing 1");
    check("66", &one.0[..512], "corrupt: entry 0 (a): archive is cut off inside an entry's content");
    check("66", &one.0[..511], "corrupt: entry 0: archive is cut off inside a header");
    check(
        "66",
        &Tarball::new().pax(&[("path", b"a")]).0[..515],
        "corrupt: entry 0: archive is cut off inside an extension header",
    );
    let lone = one.clone().bytes(&[0; 512]).file("b", b"").end();
    check("66", &lone, "corrupt: entry 1: a lone zero block stands between entries");

    let padded = [one.clone().end(), vec![0; 9216]].concat();
    check("67", &padded, "a file 1");
    let trailing = [one.clone().end(), b"something else".to_vec()].concat();
    check("67", &trailing, "a file 1\nTrailingBytes 1");
    let limited =
        ReadOptions { tar: tar::Limits { trailing_bytes: 13, ..Default::default() }, ..Default::default() };
    check_with(
        "67",
        &trailing,
        &limited,
        "limit: more bytes behind the end of the archive than the limit of 13",
    );
    check("71", &[0; 1024], "");
    check("71", &[0; 10240], "");
    check("71", &[], "EndMissing 1");

    let two = ReadOptions { tar: tar::Limits { entries: 2, ..Default::default() }, ..Default::default() };
    let files = |count: usize| (0..count).fold(Tarball::new(), |t, i| t.file(&i.to_string(), b"")).end();
    check_with("73", &files(2), &two, "0 file 0\n1 file 0");
    check_with("73", &files(3), &two, "limit: entry 2 (2): more entries than the limit of 2");
    let names = ReadOptions { metadata_bytes: 2, ..Default::default() };
    check_with(
        "73",
        &files(3),
        &names,
        "limit: entry 2 (2): more bytes of names, links and attributes than the limit of 2",
    );
}

#[test]
fn contents_are_found_by_their_offset() {
    let long = "n".repeat(150);
    let tarball = Tarball::new()
        .file("manifest.json", b"{}")
        .dir("blobs/")
        .pax(&[("path", long.as_bytes())])
        .file("x", &[b'x'; 100_000])
        .symlink("layer.tar", "../other/layer.tar")
        .file("last", b"last")
        .end();
    let index = |skip: fn(&mut tar::Reader<std::io::Cursor<&[u8]>>), bytes| {
        let mut reader = tar::Reader::new(std::io::Cursor::new(bytes), tar::Limits::default());
        let mut entries = Vec::new();
        while let Some(entry) = reader.entry()? {
            skip(&mut reader);
            entries.push(entry);
        }
        reader.finish().map(|end| (entries, end))
    };
    let (entries, end) = index(|_| {}, &tarball[..]).unwrap();
    let sought = index(|reader| reader.seek_over_content().unwrap(), &tarball[..]);
    assert_eq!(sought.unwrap(), (entries.clone(), end));
    assert_eq!((end.length, end.entries, end.marked, end.trailing), (tarball.len() as u64, 5, true, false));
    let contents: Vec<&[u8]> = entries
        .iter()
        .map(|entry| &tarball[entry.content_offset as usize..][..entry.size as usize])
        .collect();
    assert_eq!(contents, [&b"{}"[..], b"", &[b'x'; 100_000], b"", b"last"]);
    assert_eq!((&entries[2].name[..], entries[2].kind), (long.as_bytes(), tar::EntryKind::File));
    assert_eq!(
        (&entries[3].link[..], entries[3].kind),
        (&b"../other/layer.tar"[..], tar::EntryKind::Symlink)
    );

    // Seeking notices a content that is cut off, too.
    let mut reader = tar::Reader::new(std::io::Cursor::new(&tarball[..50_000]), tar::Limits::default());
    while reader.entry().unwrap().is_some_and(|entry| entry.size < 100_000) {}
    let error = support::failure(&reader.seek_over_content().unwrap_err());
    assert_eq!(error, format!("corrupt: entry 2 ({long}): archive is cut off inside an entry's content"));
}
