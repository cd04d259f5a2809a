//! What is needed, and is not there.

use tree::escape;

/// Something that is needed, and is not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// A library's name, or the path of an interpreter.
    pub name: Vec<u8>,
    /// Paths of those that want it.
    pub wanted_by: Vec<Vec<u8>>,
    /// Some files of this name that cannot be it: for another architecture, or no ELF files.
    pub unusable: Vec<Vec<u8>>,
}

impl std::fmt::Display for Missing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}, for {}", escape(&self.name), listed(&self.wanted_by))?;
        match self.unusable.len() {
            0 => Ok(()),
            _ => write!(f, " ({} cannot be it)", listed(&self.unusable)),
        }
    }
}

/// Some paths, and how many more there are.
fn listed(paths: &[Vec<u8>]) -> String {
    const SHOWN: usize = 5;
    let shown: Vec<String> = paths.iter().take(SHOWN).map(|path| escape(path).to_string()).collect();
    let more = paths.len().saturating_sub(SHOWN);
    if more == 0 { shown.join(", ") } else { format!("{} and {more} more", shown.join(", ")) }
}
