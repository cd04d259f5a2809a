//! Rewriting for LiteBox: each `syscall` instruction of a file becomes a jump to a *detour*, code in a *trampoline*
//! behind the file, which the runner maps and which leads to the runner instead of the kernel.
//! `docs/formats/litebox.md` has the format.
//!
//! ```text
//! bytes ─▶ sections with code ─▶ instructions, targets ─▶ a place for each call ─▶ Patch
//! ```
//!
//! A file is rewritten in full or not at all: the runner does not look again at what is marked.

mod calls;
mod code;
mod detour;
mod set;
mod targets;
mod trailer;

use std::fmt;

use crate::Error;
use code::Program;
use detour::Trampoline;

/// Calls of one file. Large programs have some thousands.
pub const CALLS_MAX: usize = 1 << 20;

/// Segments of a file that is rewritten. Linkers make some ten.
pub const SEGMENTS_MAX: usize = 1024;

/// Sections of a file that is rewritten. Linkers make some forty.
pub const SECTIONS_MAX: usize = 65_536;

/// How many obstacles are listed; the rest is counted.
const LISTED: usize = 1000;

/// The last bytes of a program that Bun packaged.
const BUN: &[u8; 16] = b"\n---- Bun! ----\n";

/// What became of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// All calls lead into the trampoline.
    Rewritten(Patch),
    /// There is nothing to do.
    Kept(Reason),
    /// Not every call can be changed, so none is.
    Unrewritable {
        /// What is in the way, in the order of addresses; no more than a thousand.
        obstacles: Vec<Obstacle>,
        /// How many there are.
        count: usize,
    },
}

/// Why a file is left as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// It is no ELF file.
    NotElf,
    /// It is for another architecture than x86-64.
    OtherArchitecture,
    /// It is neither program nor library: a compiler's output, a core.
    NotLoaded,
    /// It has no sections with code.
    NoCode,
    /// It has code, and no call in it.
    NoCalls,
    /// It ends in a trailer.
    Already,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Reason::NotElf => "no ELF file",
            Reason::OtherArchitecture => "not for x86-64",
            Reason::NotLoaded => "neither program nor library",
            Reason::NoCode => "no sections with code",
            Reason::NoCalls => "no system calls",
            Reason::Already => "rewritten already",
        })
    }
}

/// Something for which a file cannot be rewritten, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Obstacle {
    /// Address in memory.
    pub address: u64,
    /// Offset in the file.
    pub offset: u64,
    /// What is wrong there.
    pub fault: Fault,
}

/// What is wrong with a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// Around the call there are no five bytes that can be changed.
    NoRoom,
    /// The call is an instruction or not, depending on where one begins to read: there are data between the code.
    Unclear,
    /// Bytes like a call lie in executable memory that no section describes.
    Uncovered,
    /// The section is not where a segment of code says that it is, or overlaps another one.
    Misplaced,
    /// The code is in memory that can be written to, so that it may become another.
    Writable,
    /// The trampoline is too far away for a jump.
    TooFar,
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fault = match self.fault {
            Fault::NoRoom => "no room for a jump at the call",
            Fault::Unclear => "call that may be data",
            Fault::Uncovered => "call outside of all sections",
            Fault::Misplaced => "section out of place",
            Fault::Writable => "code that can be written to",
            Fault::TooFar => "no jump reaches behind the program",
        };
        write!(f, "{fault} at {:#x} (byte {:#x} of the file)", self.address, self.offset)
    }
}

/// What is to be changed in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Patch {
    /// New bytes inside of the file, in its order; no two overlap.
    pub changes: Vec<Change>,
    /// What comes behind the file: zeros up to a page, the trampoline, the trailer.
    pub appended: Vec<u8>,
}

/// Bytes that replace as many others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// Where in the file.
    pub offset: u64,
    /// The bytes, of which `length` count.
    bytes: [u8; detour::REPLACED],
    length: u8,
}

impl Change {
    /// The new bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }
}

impl Patch {
    /// Changes `file`, the bytes of which the patch was made.
    pub fn apply(&self, file: &mut Vec<u8>) {
        for change in &self.changes {
            let place = usize::try_from(change.offset).ok().and_then(|offset| file.get_mut(offset..));
            if let Some(place) = place.and_then(|place| place.get_mut(..change.bytes().len())) {
                place.copy_from_slice(change.bytes());
            }
        }
        file.extend_from_slice(&self.appended);
    }
}

/// Whether Bun packaged this program.
pub fn is_bun(bytes: &[u8]) -> bool {
    bytes.ends_with(BUN)
}

/// Says how a file is to be rewritten.
///
/// # Errors
///
/// `Bun` for what Bun packaged, `Corrupt` if the program headers are no such, `Limit` for more than [`CALLS_MAX`]
/// calls.
pub fn rewrite(bytes: &[u8]) -> Result<Outcome, Error> {
    if is_bun(bytes) {
        return Err(Error::Bun);
    }
    if trailer::is_there(bytes) {
        return Ok(Outcome::Kept(Reason::Already));
    }
    let program = match Program::read(bytes)? {
        Ok(program) => program,
        Err(reason) => return Ok(Outcome::Kept(reason)),
    };
    if !program.sections.iter().any(|section| calls::looks_like_one(section.bytes)) {
        return Ok(Outcome::Kept(Reason::NoCalls));
    }
    let mut obstacles = program.obstacles();
    if !obstacles.is_empty() {
        return Ok(unrewritable(obstacles));
    }
    let decoded = calls::decode(&program)?;
    if decoded.calls.is_empty() && decoded.unclear.is_empty() {
        return Ok(Outcome::Kept(Reason::NoCalls));
    }
    obstacles.extend(decoded.unclear.iter().map(|address| program.obstacle(*address, Fault::Unclear)));
    let mut trampoline = Trampoline::new(&program);
    let mut changes = Vec::with_capacity(decoded.calls.len());
    for &call in &decoded.calls {
        match trampoline.add(&program, &decoded, call) {
            Ok(change) => changes.push(change),
            Err(fault) => obstacles.push(program.obstacle(call, fault)),
        }
    }
    if !obstacles.is_empty() {
        return Ok(unrewritable(obstacles));
    }
    changes.sort_by_key(|change: &Change| change.offset);
    Ok(Outcome::Rewritten(Patch { changes, appended: trailer::append(bytes.len(), &trampoline) }))
}

fn unrewritable(mut obstacles: Vec<Obstacle>) -> Outcome {
    obstacles.sort();
    obstacles.dedup();
    let count = obstacles.len();
    obstacles.truncate(LISTED);
    Outcome::Unrewritable { obstacles, count }
}
