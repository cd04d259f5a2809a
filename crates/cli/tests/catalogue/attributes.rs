//! Lines 74 to 78: extended attributes.

use testkit::tarball::Tarball;

use crate::case::{Case, Written, refused, tree};

#[test]
fn attributes() {
    crate::check::check_all(cases());
}

fn one(key: &str, value: &[u8]) -> Tarball {
    Tarball::new().pax(&[(key, value)]).file("f", b"")
}

fn directory(key: &str, value: &[u8]) -> Tarball {
    Tarball::new().pax(&[(key, value)]).dir("d")
}

pub(crate) fn cases() -> Vec<Case> {
    // cap_net_bind_service=ep; the second version with the namespace's owner behind it is the third.
    let v2 = b"\x01\0\0\x02\0\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    let v3 = [b"\x01\0\0\x03", &v2[4..], b"\xe8\x03\0\0"].concat();
    let escaped = |bytes: &[u8]| testkit::listing::escape(bytes);
    let key = |length: usize| format!("SCHILY.xattr.user.{}", "n".repeat(length - 5));
    let acl = |tag: u16, bits: u16, id: u32| {
        [&tag.to_le_bytes()[..], &bits.to_le_bytes(), &id.to_le_bytes()].concat()
    };
    let list =
        [vec![2, 0, 0, 0], acl(1, 7, !0), acl(2, 6, 1000), acl(4, 5, !0), acl(16, 7, !0), acl(32, 0, !0)]
            .concat();
    let text = b"user::rwx,user:alice:rw-:1000,group::r-x,mask::rwx,other::---";
    let runs: Vec<String> = list
        .chunk_by(|one, next| one == next)
        .map(|run| format!("{}*{}", escaped(&run[..1]), run.len()))
        .collect();
    let runs = runs.join(",");
    let mut cases = vec![
        tree(74, "a capability", one("SCHILY.xattr.security.capability", v2), &format!("f={{security.capability={}}}", escaped(v2))),
        tree(74, "a capability of a namespace", one("SCHILY.xattr.security.capability", &v3), &format!("f={{security.capability={}}}", escaped(&v3))),
        tree(75, "libarchive's spelling", one("LIBARCHIVE.xattr.user.%25a%3d", b"aGVsbG8"), "f={user.%a==hello}")
        // GNU tar does not know the spelling in which a name with `=` is written.
        .only(&[Written::Ext4]),
        tree(75, "encoded", one("LIBARCHIVE.xattr.user.%25a%20b", b"aGVsbG8"), "f={user.%a\\x20b=hello}"),
        tree(75, "padded", one("LIBARCHIVE.xattr.user.a", b"aGVsbG8="), "f={user.a=hello}"),
        refused(75, "not base 64", one("LIBARCHIVE.xattr.user.a", b"???"), "layer 1: corrupt: entry 0 (f): extended attribute \"user.a\" is not base 64"),
        refused(75, "half a byte", one("LIBARCHIVE.xattr.user.%4", b""), "layer 1: corrupt: entry 0 (f): name of an extended attribute is badly encoded: \"user.%4\""),
        tree(75, "both spellings", Tarball::new().pax(&[("SCHILY.xattr.user.a", b"s"), ("LIBARCHIVE.xattr.user.a", b"bGk")]).file("f", b""), "f={user.a=s}"),
        tree(75, "both the other way", Tarball::new().pax(&[("LIBARCHIVE.xattr.user.a", b"bGk"), ("SCHILY.xattr.user.a", b"s")]).file("f", b""), "f={user.a=s}"),
        tree(76, "trusted", one("SCHILY.xattr.trusted.x", b"1"), "f={trusted.x=1}"),
        tree(76, "a list as bytes", directory("SCHILY.xattr.system.posix_acl_default", &list), &format!("d/{{system.posix_acl_default=[{runs}]}}")),
        tree(76, "a list as text", directory("SCHILY.acl.default", text), &format!("d/{{system.posix_acl_default=[{runs}]}}")),
        refused(76, "no list", one("SCHILY.acl.access", b"user::rwz"), "layer 1: corrupt: entry 0 (f): access control list has a bad entry: \"user::rwz\""),
        refused(76, "half a list", one("SCHILY.acl.access", b"user::rwx"), "layer 1: invalid: entry 0 (f): access control list is not valid"),
        tree(76, "SELinux", one("SCHILY.xattr.security.selinux", b"u:r:t\0"), "f= !XattrDropped"),
        tree(76, "SELinux as Red Hat spells it", one("RHT.security.selinux", b"u:r:t\0"), "f= !XattrDropped"),
        tree(77, "NUL, newline, =", one("SCHILY.xattr.user.a", b"\0\n=\xff"), "f={user.a=\\x00\\x0a=\\xff}"),
        tree(77, "empty", one("SCHILY.xattr.user.a", b""), "f={user.a=}"),
        tree(77, "a name of 255 bytes", one(&key(255), b"v"), &format!("f={{user.{}=v}}", "n".repeat(250))),
        refused(77, "a name of 256 bytes", one(&key(256), b"v"), &format!("layer 1: invalid: entry 0 (f): extended attribute \"user.{}\" has a name of 256 bytes, more than 255", "n".repeat(251))),
        refused(77, "a value of 65,537 bytes", one("SCHILY.xattr.user.a", &[b'v'; 65_537]), "layer 1: invalid: entry 0 (f): extended attribute \"user.a\" has a value of 65537 bytes, more than 65536"),
        tree(77, "a value of 65,536 bytes", one("SCHILY.xattr.user.a", &[b'v'; 65_536]), "f={user.a=[v*65536]}").only(&[Written::Ext4]),
        tree(77, "values of more than a block", many(3, 3000), &shown_many(3, 3000)),
        refused(77, "more than ext4 has room for", many(200, 50), "cannot make an ext4 filesystem: /f: length of the attributes' names is 23200, ext4 holds at most 4060").only(&[Written::Ext4]),
        refused(77, "no name", one("SCHILY.xattr.", b"v"), "layer 1: invalid: entry 0 (f): extended attribute without a name"),
    ];
    for key in ["user.rootlesscontainers", "user.containers.override_stat"] {
        let tar = || one(&format!("SCHILY.xattr.{key}"), b"0:0:0755");
        cases.push(tree(78, key, tar(), "f= !XattrDropped"));
        let kept = tree(78, "kept", tar(), &format!("f={{{key}=0:0:0755}}"));
        cases.push(kept.with(|options| options.layers.read.keep_rootless_xattrs = true));
    }
    cases
}

/// A file with so many attributes of one size.
fn many(count: u8, length: usize) -> Tarball {
    let values: Vec<(String, Vec<u8>)> =
        (0..count).map(|n| (format!("SCHILY.xattr.user.{n:0100}"), vec![b'v'; length])).collect();
    let records: Vec<(&str, &[u8])> =
        values.iter().map(|(key, value)| (key.as_str(), value.as_slice())).collect();
    Tarball::new().pax(&records).file("f", b"")
}

fn shown_many(count: u8, length: usize) -> String {
    let attributes: String = (0..count).map(|n| format!("{{user.{n:0100}=[v*{length}]}}")).collect();
    format!("f={attributes}")
}
