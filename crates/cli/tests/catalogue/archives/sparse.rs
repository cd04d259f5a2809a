//! Line 61: sparse files.

use testkit::tarball::{Header, Tarball, header};

use crate::case::{Case, Written, names, refused, tree};

/// A GNU header with a sparse map of up to four pairs.
fn gnu_sparse(real_size: u64, pairs: &[(u64, u64)]) -> Header {
    let header = header(b"s", b'S').gnu().set(483, format!("{real_size:011o}\0").as_bytes());
    pairs.iter().enumerate().fold(header, |header, (place, (offset, length))| {
        header.set(386 + 24 * place, format!("{offset:011o}\0{length:011o}\0").as_bytes())
    })
}

pub(super) fn cases() -> Vec<Case> {
    let block = [b'x'; 4096];
    let shown = "s=[\\x00*8192,x*4096,\\x00*53248]~4096 t=t";
    let gnu = |size, pairs: &[(u64, u64)], content: &[u8]| {
        Tarball::new().sized(gnu_sparse(size, pairs), content).file("t", b"t")
    };
    let pax = |records: &[(&str, &[u8])], content: &[u8]| {
        Tarball::new().pax(records).file("GNUSparseFile.1/s", content).file("t", b"t")
    };
    let mut extension = [0; 512];
    extension[..24].copy_from_slice(format!("{:011o}\0{:011o}\0", 40960, 4096).as_bytes());
    let extended = gnu_sparse(65536, &[(8192, 4096)]).set(482, &[1]).size(8192);
    let extended = Tarball::new().raw(extended, &[&extension[..], &block, &block].concat()).file("t", b"t");
    let v00: &[(&str, &[u8])] = &[
        ("path", b"s"),
        ("GNU.sparse.size", b"65536"),
        ("GNU.sparse.numblocks", b"2"),
        ("GNU.sparse.offset", b"8192"),
        ("GNU.sparse.numbytes", b"4096"),
        ("GNU.sparse.offset", b"65536"),
        ("GNU.sparse.numbytes", b"0"),
    ];
    let v01 = |map: &'static str| -> Vec<(&str, &[u8])> {
        vec![
            ("GNU.sparse.size", b"65536"),
            ("GNU.sparse.numblocks", b"2"),
            ("GNU.sparse.name", b"s"),
            ("GNU.sparse.map", map.as_bytes()),
        ]
    };
    let v10: &[(&str, &[u8])] = &[
        ("GNU.sparse.major", b"1"),
        ("GNU.sparse.minor", b"0"),
        ("GNU.sparse.name", b"s"),
        ("GNU.sparse.realsize", b"65536"),
    ];
    let mapped = |map: &str| {
        let mut content = map.as_bytes().to_vec();
        content.resize(content.len().next_multiple_of(512), 0);
        [content, block.to_vec()].concat()
    };
    let order = "layer 1: invalid: entry 0 (s): sparse map overlaps or is out of order";
    let beyond = "layer 1: invalid: entry 0 (s): sparse map leads beyond the end of the file";
    vec![
        tree(61, "GNU's", gnu(65536, &[(8192, 4096), (65536, 0)], &block), shown),
        tree(
            61,
            "GNU's, of two headers",
            extended,
            "s=[\\x00*8192,x*4096,\\x00*28672,x*4096,\\x00*20480]~8192 t=t",
        ),
        tree(61, "pax 0.0", pax(v00, &block), shown),
        tree(61, "pax 0.1", pax(&v01("8192,4096,65536,0"), &block), shown),
        tree(61, "pax 1.0", pax(v10, &mapped("2\n8192\n4096\n65536\n0\n")), shown),
        tree(61, "a hole alone", gnu(65536, &[], b""), "s=[\\x00*65536]~0 t=t"),
        names(61, "a hole of 2^43 bytes", hole(), 2).only(&[Written::Ext4]),
        tree(
            61,
            "edges inside of blocks",
            gnu(10_000, &[(100, 50), (8200, 4)], &block[..54]),
            "s=[\\x00*100,x*50,\\x00*8050,x*4,\\x00*1796] t=t",
        )
        .only(&[Written::Ext4]),
        refused(61, "overlapping", gnu(65536, &[(0, 2048), (1024, 2048)], &block), order),
        refused(61, "out of order", gnu(65536, &[(4096, 2048), (0, 2048)], &block), order),
        refused(61, "beyond the end", gnu(4096, &[(1, 4096)], &block), beyond),
        refused(
            61,
            "beyond all numbers",
            pax(&v01("9223372036854775807,9223372036854775807"), &block),
            beyond,
        ),
        refused(
            61,
            "less than the content",
            gnu(65536, &[(0, 100)], &block),
            "layer 1: invalid: entry 0 (s): sparse map names 100 bytes of data where the archive has 4096",
        ),
        refused(
            61,
            "half a pair",
            pax(&v01("1,2,3"), &block),
            "layer 1: corrupt: entry 0 (s): sparse map is not a list of pairs",
        ),
        refused(
            61,
            "a map that is not there",
            pax(v10, b"1\n0\n4096"),
            "layer 1: corrupt: entry 0 (s): sparse map is longer than the content",
        ),
        refused(
            61,
            "a map of 99,999,999 pairs",
            pax(v10, &mapped("99999999\n")),
            "layer 1: limit: entry 0 (s): more runs of data in a sparse file than the limit of 1048576",
        ),
    ]
}

fn hole() -> Tarball {
    let size = 1u64 << 43;
    let tar = Tarball::new().pax(&[
        ("GNU.sparse.major", b"1"),
        ("GNU.sparse.minor", b"0"),
        ("GNU.sparse.realsize", size.to_string().as_bytes()),
    ]);
    let mut map = b"1\n8796093018112\n4096\n".to_vec();
    map.resize(512, 0);
    tar.file("s", &[map, vec![b'x'; 4096]].concat()).file("t", b"")
}
