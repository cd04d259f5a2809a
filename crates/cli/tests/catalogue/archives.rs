//! Lines 57 to 73: the tarball's format.

mod sparse;

use testkit::image::Layer;
use testkit::tarball::{Tarball, header, record};

use crate::case::{Case, Written, entries, names, refused, tree};

#[test]
fn archives() {
    crate::check::check_all(cases());
}

const CUT: &str = "archive is cut off inside an entry's content";

pub(crate) fn cases() -> Vec<Case> {
    [long_names(), numbers(), records(), sparse::cases(), metadata(), ends(), kinds(), counts()]
        .into_iter()
        .flatten()
        .collect()
}

fn pax(key: &str, value: &str) -> Tarball {
    Tarball::new().pax(&[(key, value.as_bytes())]).file("a", b"")
}

fn long_names() -> Vec<Case> {
    let long = format!("{}/{}", "d".repeat(120), "f".repeat(120));
    let (directory, text) = (format!("{}/", "d".repeat(120)), long.as_bytes());
    let prefixed = header(b"name", b'0').set(345, b"pre/fix");
    let shown = format!("{directory} {long}=");
    let defaults: &[(&str, &[u8])] =
        &[("comment", b"8f2a"), ("uid", b"7"), ("mtime", b"5.5"), ("odd.key", b"?")];
    let defaults = Tarball::new().global(defaults).file("a", b"").pax(&[("uid", b"9")]).file("b", b"");
    let evil = [b"\n".to_vec(), record(b"path", b"evil")].concat();
    vec![
        tree(57, "GNU's long name", Tarball::new().long_name(text).file("x", b""), &shown),
        tree(57, "twice", Tarball::new().long_name(b"first").long_name(text).file("x", b""), &shown),
        tree(57, "GNU's long link", Tarball::new().long_link(text).symlink("x", "y"), &format!("x->{long}")),
        tree(
            57,
            "a long target of a hard link",
            Tarball::new().long_name(text).file("x", b"").long_link(text).hardlink("y", "x"),
            &format!("{shown} y=>{long}"),
        ),
        tree(
            57,
            "pax before GNU",
            Tarball::new().long_name(b"gnu").pax(&[("path", b"pax"), ("linkpath", b"to")]).symlink("x", "y"),
            "pax->to",
        ),
        tree(57, "pax before ustar", Tarball::new().pax(&[("path", b"p")]).raw(prefixed.clone(), b""), "p="),
        tree(57, "ustar's prefix", Tarball::new().raw(prefixed.clone(), b""), "pre/ pre/fix/ pre/fix/name="),
        tree(57, "Go's prefix", Tarball::new().raw(prefixed.gnu(), b""), "pre/ pre/fix/ pre/fix/name="),
        tree(
            57,
            "of one entry alone",
            Tarball::new().long_name(text).pax(&[("uid", b"7")]).file("x", b"").file("y", b""),
            &format!("{directory} {long}=[7:0] y="),
        ),
        refused(
            57,
            "longer than the limit",
            Tarball::new().long_name(&[b'x'; 1 << 20]).file("x", b""),
            "layer 1: limit: entry 0: more bytes of extension headers than the limit of 1048576",
        ),
        refused(
            57,
            "longer together",
            Tarball::new().long_name(&[b'x'; 600_000]).long_link(&[b'x'; 600_000]).file("x", b""),
            "layer 1: limit: entry 0: more bytes of extension headers than the limit of 1048576",
        ),
        tree(
            58,
            "global defaults",
            defaults.global(&[("uid", b"")]).file("c", b""),
            "a=[7:0]@5+500000000ns b=[9:0]@5+500000000ns c=@5+500000000ns",
        ),
        tree(58, "git's comment, alone", Tarball::new().global(&[("comment", b"git")]), ""),
        refused(
            58,
            "a name for all",
            Tarball::new().file("a", b"").global(&[("path", b"b")]).file("c", b""),
            "layer 1: unsupported: entry 1: global header gives \"path\" to every entry",
        ),
        refused(
            58,
            "a target for all",
            Tarball::new().global(&[("linkpath", b"b")]).file("c", b""),
            "layer 1: unsupported: entry 0: global header gives \"linkpath\" to every entry",
        ),
        refused(
            58,
            "a size for all",
            Tarball::new().global(&[("size", b"1")]).file("c", b""),
            "layer 1: unsupported: entry 0: global header gives \"size\" to every entry",
        ),
        tree(
            60,
            "a record inside of a value",
            Tarball::new().pax(&[("comment", &evil), ("path", b"good")]).file("x", b""),
            "good=",
        ),
    ]
}

fn numbers() -> Vec<Case> {
    let field = |bytes: &[u8]| Tarball::new().raw(header(b"a", b'0').set(124, bytes), b"data");
    let overflow = "layer 1: invalid: entry 0 (a): size overflows 63 bits";
    let cut = format!("layer 1: corrupt: entry 0 (a): {CUT}");
    vec![
        refused(59, "8 GiB that are not there", pax("size", "8589934592"), &cut),
        refused(59, "2^63 - 1 bytes that are not there", pax("size", "9223372036854775807"), &cut),
        refused(59, "2^63 bytes", pax("size", "9223372036854775808"), overflow),
        refused(
            59,
            "2^64 bytes",
            pax("size", "18446744073709551616"),
            "layer 1: corrupt: entry 0 (a): pax record is not a number that fits",
        ),
        refused(59, "negative", pax("size", "-1"), "layer 1: invalid: entry 0 (a): size is negative"),
        tree(59, "base 256", field(b"\x80\0\0\0\0\0\0\0\0\0\0\x04"), "a=data"),
        refused(
            59,
            "base 256, negative",
            field(&[0xff; 12]),
            "layer 1: invalid: entry 0 (a): size is negative",
        ),
        refused(
            59,
            "base 256, beyond 64 bits",
            field(b"\x80\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"),
            overflow,
        ),
        refused(
            59,
            "no number",
            field(b"0000000000x\0"),
            "layer 1: corrupt: entry 0 (a): size is not a number",
        ),
        tree(
            59,
            "pax before the header",
            Tarball::new().pax(&[("size", b"4")]).raw(header(b"a", b'0'), b"data"),
            "a=data",
        ),
        refused(
            70,
            "fewer bytes than said",
            Tarball::new().raw(header(b"a", b'0').size(5000), b"data"),
            &cut,
        ),
        refused(
            70,
            "no bytes",
            Tarball::new().file("b", b"1").raw(header(b"a", b'0').size(1 << 20), b""),
            &format!("layer 1: corrupt: entry 1 (a): {CUT}"),
        ),
    ]
}

fn records() -> Vec<Case> {
    let malformed = "layer 1: corrupt: entry 1: malformed pax record";
    let mut cases = vec![
        refused(
            60,
            "1 GiB",
            Tarball::new().raw(header(b"x", b'x').size(1 << 30), b""),
            "layer 1: limit: entry 0: more bytes of extension headers than the limit of 1048576",
        ),
        refused(
            60,
            "1 MiB and one byte",
            Tarball::new().raw(header(b"x", b'x').size((1 << 20) + 1), b""),
            "layer 1: limit: entry 0: more bytes of extension headers than the limit of 1048576",
        ),
        refused(
            60,
            "nothing behind it",
            Tarball::new().file("a", b"").pax(&[("path", b"b")]),
            "layer 1: corrupt: entry 1: archive ends behind a header that extends an entry",
        ),
        tree(
            60,
            "what takes back",
            Tarball::new().pax(&[("path", b"a"), ("path", b""), ("uid", b"")]).file("x", b""),
            "x=",
        ),
    ];
    for records in [
        &b"7 a=b\n"[..],
        b"6 abc\n",
        b"6 a=bc",
        b"x a=b\n",
        b"99999999999 a=b\n",
        b"6 a=b\n\0",
        b"5 =b\n",
        b"-6 a=b\n",
        b"0 a=b\n",
    ] {
        for flag in [b'x', b'g'] {
            let tar = Tarball::new().file("a", b"").sized(header(b"x", flag), records).file("b", b"");
            cases.push(refused(
                60,
                &String::from_utf8_lossy(records).escape_debug().to_string(),
                tar,
                malformed,
            ));
        }
    }
    cases
}

fn metadata() -> Vec<Case> {
    let mtime = |bytes: &[u8]| Tarball::new().raw(header(b"a", b'0').mtime(bytes), b"");
    let mode = |bytes: &[u8]| Tarball::new().raw(header(b"a", b'0').mode(bytes), b"");
    let base_256 = header(b"a", b'0').uid(b"\x80\0\0\0\xff\xff\xff\xfe").gid(b"\x80\0\0\0\0\x01\x86\xa0");
    let base_256 = base_256.set(265, b"root").set(297, b"wheel");
    let negative = header(b"a", b'0').uid(&[0xff; 8]);
    let both = &[Written::Tar, Written::Ext4];
    let mut cases = vec![
        tree(62, "before 1970", pax("mtime", "-1.5"), "a=@-2+500000000ns").only(both),
        tree(62, "more digits than there are", pax("mtime", "1.123456789987"), "a=@1+123456789ns"),
        tree(62, "the year 2500 as tar", pax("mtime", "16725225600"), "a=@16725225600").only(&[Written::Tar]),
        tree(
            62,
            "the year 2500 as ext4",
            pax("mtime", "16725225600"),
            "a=@10737418239+999999999ns !TimeClamped",
        )
        .only(&[Written::Ext4]),
        tree(62, "a time before ext4's", pax("mtime", "-5000000000"), "a=@-2147483648 !TimeClamped")
            .only(&[Written::Ext4]),
        tree(62, "octal, above 2^32", mtime(b"77777777777\0"), "a=@8589934591"),
        tree(62, "base 256, negative", mtime(b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfe"), "a=@-2"),
        refused(
            62,
            "no time",
            pax("mtime", "soon"),
            "layer 1: corrupt: entry 0 (a): pax time is not a number that fits",
        ),
        refused(
            62,
            "beyond 64 bits",
            mtime(b"\x80\0\0\0\x80\0\0\0\0\0\0\0"),
            "layer 1: invalid: entry 0 (a): mtime overflows 64 bits",
        ),
        tree(
            63,
            "base 256, and names that do not count",
            Tarball::new().raw(base_256, b""),
            "a=[4294967294:100000]",
        ),
        refused(
            63,
            "33 bits",
            pax("uid", "4294967296"),
            "layer 1: invalid: entry 0 (a): uid 4294967296 does not fit 32 bits",
        ),
        refused(63, "negative", pax("gid", "-1"), "layer 1: invalid: entry 0 (a): gid -1 is negative"),
        refused(
            63,
            "negative in the header",
            Tarball::new().raw(negative, b""),
            "layer 1: invalid: entry 0 (a): uid -1 is negative",
        ),
        tree(64, "type bits", mode(b"0104755\0"), "a=[4755]"),
        tree(64, "all", mode(b"0007777\0"), "a=[7777]"),
        tree(64, "none", mode(b"0000000\0"), "a=[0000]"),
        tree(64, "more than there are", mode(b"7777644\0"), "a=[7644] !ModeMasked"),
    ];
    for id in ["65536", "2147483648", "4294967294"] {
        cases.push(tree(63, "large owners", pax("uid", id), &format!("a=[{id}:0]")));
        cases.push(tree(63, "large groups", pax("gid", id), &format!("a=[0:{id}]")));
    }
    cases
}

fn ends() -> Vec<Case> {
    let mut spoiled = Tarball::new().file("a", b"").end();
    spoiled[0] ^= 1;
    let one = Tarball::new().file("a", b"a");
    let trailing = |count: usize| [one.clone().end(), vec![b'x'; count]].concat();
    vec![
        refused(
            65,
            "a wrong sum",
            spoiled,
            "layer 1: corrupt: entry 0: not a tar header: its checksum does not match",
        ),
        refused(
            65,
            "a wrong sum later",
            Tarball([Tarball::new().file("a", b"").0, vec![b'x'; 512]].concat()),
            "layer 1: corrupt: entry 1: not a tar header: its checksum is not a number",
        ),
        tree(65, "a sum of signed bytes", Tarball::new().signed(header(b"\xff\xfe", b'0')), "\\xff\\xfe="),
        tree(66, "no end", one.0.clone(), "a=a !EndMissing"),
        tree(66, "half an end", one.clone().bytes(&[0; 512]).0, "a=a !EndMissing"),
        tree(66, "no padding", one.0[..513].to_vec(), "a=a !EndMissing"),
        refused(
            66,
            "cut off in a content",
            one.0[..512].to_vec(),
            &format!("layer 1: corrupt: entry 0 (a): {CUT}"),
        ),
        refused(
            66,
            "cut off in a header",
            one.0[..511].to_vec(),
            "layer 1: corrupt: entry 0: archive is cut off inside a header",
        ),
        refused(
            66,
            "cut off in a pax header",
            Tarball::new().pax(&[("path", b"a")]).0[..515].to_vec(),
            "layer 1: corrupt: entry 0: archive is cut off inside an extension header",
        ),
        refused(
            66,
            "a lone block of zeros",
            one.clone().bytes(&[0; 512]).file("b", b""),
            "layer 1: corrupt: entry 1: a lone zero block stands between entries",
        ),
        tree(67, "zeros behind the end", [one.clone().end(), vec![0; 9216]].concat(), "a=a"),
        tree(67, "something behind the end", trailing(13), "a=a !TrailingBytes"),
        tree(
            67,
            "another archive behind the end",
            [one.clone().end(), Tarball::new().file("b", b"").end()].concat(),
            "a=a !TrailingBytes",
        ),
        refused(
            67,
            "much behind the end",
            trailing((64 << 20) + 1),
            "layer 1: limit: more bytes behind the end of the archive than the limit of 67108864",
        ),
        tree(71, "an empty archive", [Tarball::new(), entries("f a 1")], "a=1"),
        tree(71, "an empty blob", Vec::<u8>::new(), "!EndMissing"),
        tree(71, "no layer", Vec::<Layer>::new(), ""),
        refused(
            71,
            "not one file",
            Tarball::new(),
            "the image is empty: its layers hold not one file (--allow-empty builds it all the same)",
        )
        .with(|options| options.allow_empty = false),
        tree(71, "no layer, which is meant", Vec::<Layer>::new(), "")
            .with(|options| options.allow_empty = false),
    ]
}

fn kinds() -> Vec<Case> {
    let device = |major, minor| Tarball::new().raw(header(b"c", b'3').device(major, minor), b"");
    let unknown = Tarball::new().sized(header(b"u", b'~'), b"data").file("a", b"a");
    let gnu = Tarball::new()
        .raw(header(b"label", b'V').gnu(), b"")
        .sized(header(b"d/", b'D').gnu().mode(b"0000755\0"), b"Yf\0\0");
    let mixed = entries("c c; b b; p p; f f 1");
    let big = header(b"c", b'3').set(329, b"\x80\0\0\x01\0\0\0\0");
    vec![
        tree(68, "unknown", unknown.clone(), "a=a !UnknownType"),
        refused(
            68,
            "unknown, strictly",
            unknown,
            "layer 1: unsupported: entry 0 (u): entry of unknown type \"~\"",
        )
        .with(|options| options.layers.read.strict = true),
        tree(
            68,
            "GNU's label and directory, contiguous files",
            gnu.sized(header(b"c", b'7'), b"cont"),
            "c=cont d/",
        ),
        refused(
            68,
            "another volume's file",
            Tarball::new().sized(header(b"m", b'M').gnu(), b"rest"),
            "layer 1: unsupported: entry 0 (m): part of a file whose start is in another volume",
        ),
        tree(69, "all that Linux has", device(4095, 1_048_575), "c%4095,1048575"),
        refused(
            69,
            "more than ext4 has",
            device(4096, 0),
            "cannot make an ext4 filesystem: /c: major device number is 4096, ext4 holds at most 4095",
        )
        .only(&[Written::Ext4]),
        refused(
            69,
            "33 bits",
            Tarball::new().raw(big, b""),
            "layer 1: invalid: entry 0 (c): device's major number does not fit 32 bits",
        ),
        tree(69, "nodes", mixed.clone(), "b#8,1 c%1,3 f=1 p|"),
        tree(69, "nodes, without devices", mixed, "f=1 p| !DeviceDropped*2")
            .with(|options| options.layers.read.drop_devices = true),
        tree(
            69,
            "a device with a content",
            Tarball::new().sized(header(b"c", b'3').device(1, 3), b"text").file("a", b"1"),
            "a=1 c%1,3",
        ),
    ]
}

fn counts() -> Vec<Case> {
    let files = |directory: &str, count: usize| {
        (0..count).fold(Tarball::new(), |tar, n| tar.file(&format!("{directory}{n}"), b""))
    };
    let twice = Layer::plain(entries("f a 1; f d/b 2").end());
    let between = Layer::gzip(&entries("rm d; f a 3; h c a").end());
    let runs: Vec<u8> = (0..2000).flat_map(|_| [[b'x'; 4096], [0; 4096]].concat()).collect();
    vec![
        tree(72, "one blob twice", vec![twice.clone(), between, twice], "a=1 c=3 d/ d/b=2"),
        names(73, "100,000 names in a directory", files("d/", 100_000), 100_001),
        names(73, "a file of 2,000 runs", Tarball::new().file("a", &runs), 1),
        refused(
            73,
            "one entry too many",
            files("", 4),
            "layer 1: limit: entry 3 (3): more entries than the limit of 3",
        )
        .with(|options| options.layers.read.tar.entries = 3),
        refused(
            73,
            "too many bytes of names",
            [files("", 2), files("long", 9)],
            "layer 2: limit: entry 2 (long2): more bytes of names, links and attributes than the limit of 12",
        )
        .with(|options| options.layers.read.metadata_bytes = 12),
    ]
}
