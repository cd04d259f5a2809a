//! Types of partitions that are a root, by architecture (Discoverable Partitions Specification, "Defined Partition
//! Types").

use oci::Platform;

/// What marks a root partition of one architecture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RootType {
    /// The architecture as images have it, Go's word.
    architecture: &'static str,
    /// The architecture as systemd has it.
    word: &'static str,
    root: u128,
    verity: u128,
}

const fn of(architecture: &'static str, word: &'static str, root: u128, verity: u128) -> RootType {
    RootType { architecture, word, root, verity }
}

#[rustfmt::skip]
const ROOT_TYPES: [RootType; 11] = [
    of("386",      "x86",         0x44479540_f297_41b2_9af7_d131d5f0458a, 0xd13c5d3b_b5d1_422a_b29f_9454fdc89d76),
    of("amd64",    "x86-64",      0x4f68bce3_e8cd_4db1_96e7_fbcaf984b709, 0x2c7357ed_ebd2_46d9_aec1_23d437ec2bf5),
    of("arm",      "arm",         0x69dad710_2ce4_4e3c_b16c_21a1d49abed3, 0x7386cdf2_203c_47a9_a498_f2ecce45a2d6),
    of("arm64",    "arm64",       0xb921b045_1df0_41c3_af44_4c6f280d3fae, 0xdf3300ce_d69f_4c92_978c_9bfb0f38d820),
    of("loong64",  "loongarch64", 0x77055800_792c_4f94_b39a_98c91b762bb6, 0xf3393b22_e9af_4613_a948_9d3bfbd0c535),
    of("mips64le", "mips64-le",   0x700bda43_7a34_4507_b179_eeb93d7a7ca3, 0x16b417f8_3e06_4f57_8dd2_9b5232f41aa6),
    of("mipsle",   "mips-le",     0x37c58c8a_d913_4156_a25f_48b1b64e07f0, 0xd7d150d2_2a04_4a33_8f12_16651205ff7b),
    of("ppc64",    "ppc64",       0x912ade1d_a839_4913_8964_a10eee08fbd2, 0x9225a9a3_3c19_4d89_b4f6_eeff88f17631),
    of("ppc64le",  "ppc64-le",    0xc31c45e6_3f39_412e_80fb_4809c4980599, 0x906bd944_4589_4aae_a4e4_dd983917446a),
    of("riscv64",  "riscv64",     0x72ec70a6_cf74_40e6_bd49_4bda08e8f224, 0xb6ed5582_440b_4209_b8da_5ff7c419ea3d),
    of("s390x",    "s390x",       0x5eead9a9_fe09_4a1e_a1d7_520d00531306, 0xb325bfbe_c7be_4ab8_8357_139e652d2f6b),
];

impl RootType {
    /// That of an image's platform, if it is Linux on an architecture that has one.
    pub fn of(platform: &Platform) -> Option<RootType> {
        let is = |kind: &RootType| platform.os == "linux" && kind.architecture == platform.architecture;
        RootType::all().find(is)
    }

    pub(super) fn all() -> impl Iterator<Item = RootType> {
        ROOT_TYPES.into_iter()
    }

    /// The type of the partition that has the filesystem.
    pub fn root(&self) -> [u8; 16] {
        self.root.to_be_bytes()
    }

    /// The type of the partition that has its hash tree.
    pub fn verity(&self) -> [u8; 16] {
        self.verity.to_be_bytes()
    }

    /// What systemd-repart calls the first, if nothing else is said.
    pub fn root_label(&self) -> String {
        format!("root-{}", self.word)
    }

    /// Likewise the second.
    pub fn verity_label(&self) -> String {
        format!("root-{}-verity", self.word)
    }
}

// The judge is on Linux.
#[cfg(all(test, unix))]
mod tests {
    use super::*;

    /// As `sfdisk` knows them.
    #[test]
    fn as_others_have_them() {
        let known =
            testkit::tools::run(testkit::tools::command("sfdisk").args(["-X", "gpt", "--list-types"]));
        let known = String::from_utf8(known.unwrap()).unwrap().to_lowercase();
        let names = [
            ("386", "x86"),
            ("amd64", "x86-64"),
            ("arm", "arm"),
            ("arm64", "arm-64"),
            ("loong64", "loongarch-64"),
            ("mips64le", "mips-64 le"),
            ("mipsle", "mips-32 le"),
            ("ppc64", "ppc64"),
            ("ppc64le", "ppc64le"),
            ("riscv64", "risc-v-64"),
            ("s390x", "s390x"),
        ];
        assert_eq!(names.len(), ROOT_TYPES.len());
        for (architecture, name) in names {
            let platform: Platform = format!("linux/{architecture}").parse().unwrap();
            let kind = RootType::of(&platform).unwrap();
            for (uuid, line) in [(kind.root, "linux root"), (kind.verity, "linux root verity")] {
                let digits = format!("{uuid:032x}");
                let groups = [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]];
                let line = format!("{}  {line} ({name})\n", groups.join("-"));
                assert!(known.contains(&line), "{line}");
            }
            let elsewhere = Platform { os: "windows".into(), ..platform };
            assert_eq!(RootType::of(&elsewhere), None);
        }
    }
}
