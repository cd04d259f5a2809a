//! Who runs against whom, in turns, so that what the machine does besides hits both.

use std::io;

use super::contender::Contender;
use super::cost::Cost;

/// Two contenders with the same job.
pub(super) struct Duel {
    pub(super) ours: &'static str,
    pub(super) theirs: &'static str,
    /// What is different beside the speed.
    pub(super) remark: &'static str,
}

/// All of them, in the order of the report.
pub(super) const DUELS: &[Duel] = &[
    Duel { ours: COLD, theirs: "umoci + mke2fs -d", remark: "diff IDs verified by both; root" },
    Duel { ours: COLD, theirs: "umoci + mkext4", remark: "the latter without extended attributes" },
    Duel {
        ours: COLD,
        theirs: "arcbox-ext4",
        remark: "the latter verifies nothing, writes no checksums, no journal",
    },
    Duel { ours: WARM, theirs: "arcbox-ext4", remark: "the latter verifies nothing" },
    Duel { ours: TAR, theirs: "ocirender to tar", remark: "the latter verifies nothing" },
    Duel {
        ours: "unlade build to tar, warm",
        theirs: "ocirender to tar",
        remark: "the latter verifies nothing",
    },
    Duel { ours: DIRECTORY, theirs: "ocirender to directory", remark: "the latter verifies nothing" },
    Duel { ours: DIRECTORY, theirs: "umoci unpack", remark: "diff IDs verified by both" },
    Duel { ours: "unlade build to erofs, cold", theirs: "mkfs.erofs", remark: UNPACKED },
    Duel { ours: "unlade build to erofs, lz4, cold", theirs: "mkfs.erofs, lz4", remark: UNPACKED },
    Duel { ours: "unlade build to erofs, lz4hc, cold", theirs: "mkfs.erofs, lz4hc", remark: UNPACKED },
    Duel { ours: "unlade build to erofs, zstd, cold", theirs: "mkfs.erofs, zstd", remark: UNPACKED },
    Duel {
        ours: "unlade pull from layout",
        theirs: "skopeo copy from layout",
        remark: "blobs verified by both",
    },
    Duel {
        ours: "unlade pull from registry",
        theirs: "skopeo copy from registry",
        remark: "blobs verified by both",
    },
    Duel {
        ours: "unlade composefs pull",
        theirs: "cfsctl oci pull",
        remark: "diff IDs verified by both, objects by software; ours keeps the blobs in its store as well",
    },
    Duel { ours: "unlade build from registry, cold", theirs: COLD, remark: "what the network adds" },
    Duel { ours: WARM, theirs: COLD, remark: "what is saved when the image is in the store" },
];

pub(super) const COLD: &str = "unlade build, cold";
pub(super) const WARM: &str = "unlade build, warm";
const UNPACKED: &str = "the latter from a directory: what umoci takes for that comes on top";
const TAR: &str = "unlade build to tar, cold";
const DIRECTORY: &str = "unlade build to directory, cold";

impl Duel {
    /// Whether one of the names holds one of the texts; with no texts, always.
    pub(super) fn is_wanted(&self, texts: &[String]) -> bool {
        texts.is_empty() || texts.iter().any(|text| self.ours.contains(text) || self.theirs.contains(text))
    }
}

/// How a duel went.
pub(super) struct Bout {
    pub(super) duel: &'static Duel,
    /// What both cost, turn by turn.
    pub(super) runs: Vec<(Cost, Cost)>,
    /// Whether the other could not do the job.
    pub(super) failed: bool,
}

/// Runs both in turns. One run of each goes before and does not count: it brings the input into memory.
pub(super) fn fight(
    duel: &'static Duel,
    ours: &Contender,
    theirs: &Contender,
    runs: usize,
) -> io::Result<Bout> {
    println!("\n== {} against {}", ours.name, theirs.name);
    let mut bout = Bout { duel, runs: Vec::new(), failed: false };
    ours.prepare()?;
    turn(ours)?;
    if let Err(error) = theirs.prepare().and_then(|()| turn(theirs)) {
        println!("{} fails: {error}", theirs.name);
        theirs.clear()?;
        return Ok(Bout { failed: true, ..bout });
    }
    for number in 1..=runs {
        let (our, their) = (turn(ours)?, turn(theirs)?);
        println!("{number}: wall {:.2} {:.2} s, cpu {:.2} {:.2} s", our.wall, their.wall, our.cpu, their.cpu);
        bout.runs.push((our, their));
    }
    Ok(bout)
}

/// One run, and everything removed again.
pub(super) fn turn(contender: &Contender) -> io::Result<Cost> {
    let cost = contender.run()?.into_iter().fold(Cost::default(), Cost::then);
    contender.clear()?;
    Ok(cost)
}
