//! Where the blocks of files in chunks lie: their own, and those that other files lend them.

use crate::Error;
use crate::plan::chunks::Stretch;
use crate::plan::survey::{Data, Survey};

/// Blocks of a file in chunks that lie behind one another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Mapped {
    /// The inode's place in [`Survey::inodes`].
    pub(crate) inode: u32,
    /// The first of them in the file.
    pub(crate) first: u64,
    pub(crate) blocks: u64,
    /// The first of them in the filesystem.
    pub(crate) start: u64,
}

/// Blocks of a file in chunks that another file has.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lent {
    /// The inode's place in [`Survey::inodes`].
    pub(crate) inode: u32,
    pub(crate) stretch: Stretch,
    /// The other inode's place, and the first of the blocks in its file.
    pub(crate) of: (u32, u64),
    /// The first of them in the filesystem.
    pub(crate) start: u64,
}

impl Survey {
    /// Gives lent blocks the places that they have in the files which lend them.
    pub(crate) fn settle(&mut self) -> Result<(), Error> {
        if self.lent.is_empty() {
            return Ok(());
        }
        let own = self.own();
        for nth in 0..self.lent.len() {
            let Lent { stretch, of: (inode, first), .. } = self.lent[nth];
            let lender = self.inodes.get(inode as usize);
            let start = match lender.map(|lender| (lender.data, lender.start)) {
                Some((Data::Plain | Data::Inline, start)) if start > 0 => Some(start + first),
                Some((Data::Chunks { .. }, _)) => {
                    let place = own.partition_point(|own| (own.inode, own.first) <= (inode, first));
                    let run = place.checked_sub(1).map(|place| own[place]);
                    run.filter(|run| run.inode == inode && first + stretch.blocks <= run.first + run.blocks)
                        .map(|run| run.start + (first - run.first))
                }
                _ => None,
            };
            let what = "a file is to have blocks of one that has none of its own there";
            self.lent[nth].start = start.ok_or(Error::Option { what })?;
        }
        Ok(())
    }

    /// The blocks of files in chunks, by inode and then by their place in the file. What is missing is a hole.
    pub(crate) fn mapped(&self) -> Vec<Mapped> {
        let mut all = self.own();
        all.extend(self.lent.iter().map(
            |&Lent { inode, stretch: Stretch { first, blocks }, start, .. }| Mapped {
                inode,
                first,
                blocks,
                start,
            },
        ));
        all.sort_unstable();
        // Files that are equal have the same map.
        let mut again = Vec::new();
        for &(inode, twin) in &self.twins {
            let first = all.partition_point(|mapped| mapped.inode < twin);
            let of_twin = all[first..].iter().take_while(|mapped| mapped.inode == twin);
            again.extend(of_twin.map(|mapped| Mapped { inode, ..*mapped }));
        }
        all.extend(again);
        all.sort_unstable();
        all
    }

    fn own(&self) -> Vec<Mapped> {
        let chunked = |inode: u32| matches!(self.inodes[inode as usize].data, Data::Chunks { .. });
        let runs = self.runs.iter().filter(|run| chunked(run.inode));
        let mut own: Vec<_> = runs
            .map(|run| Mapped {
                inode: run.inode,
                first: run.stretch.first,
                blocks: run.stretch.blocks,
                start: run.start,
            })
            .collect();
        own.sort_unstable();
        own
    }
}
