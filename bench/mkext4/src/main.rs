//! `bench-mkext4 DIRECTORY OUTPUT SIZE`: declares a tree, then fills its files.
//!
//! Extended attributes are left out; that spares it a system call or two a file.

use std::collections::HashMap;
use std::env;
use std::error::Error;
use std::fs::{self, File, Metadata};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use mkext4::sink::FileSink;
use mkext4::{FsBuilder, InodeHandle, Meta, Options, ROOT, SpecialKind};
use rustix::fs::{major, minor};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// What was declared so far.
struct Declared {
    builder: FsBuilder,
    /// Regular files with more than one name, by the inode that they are in the directory.
    linked: HashMap<u64, InodeHandle>,
    /// What is to be filled, in the order of the declarations.
    contents: Vec<(InodeHandle, PathBuf)>,
}

fn main() -> Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [directory, output, size] = arguments.as_slice() else {
        return Err("usage: bench-mkext4 DIRECTORY OUTPUT SIZE".into());
    };
    let builder = FsBuilder::new(Options::new(size.parse()?, *b"unlade benchmark", 0))?;
    let mut declared = Declared { builder, linked: HashMap::new(), contents: Vec::new() };
    declared.directory(ROOT, Path::new(directory))?;

    let Declared { builder, contents, .. } = declared;
    let layout = builder.seal()?;
    let mut sink = FileSink::create(Path::new(output), layout.image_len())?;
    let mut writer = layout.writer(&mut sink)?;
    for (file, path) in contents {
        writer.fill(file, &mut File::open(path)?)?;
    }
    writer.finish()?;
    Ok(())
}

impl Declared {
    fn directory(&mut self, parent: InodeHandle, path: &Path) -> Result<()> {
        let mut entries = fs::read_dir(path)?.collect::<std::result::Result<Vec<_>, _>>()?;
        entries.sort_by_key(|entry| entry.file_name());
        for entry in entries {
            let name = entry.file_name();
            let name = name.to_str().ok_or("mkext4 takes names in UTF-8 only")?;
            self.entry(parent, name, entry.path(), &entry.metadata()?)?;
        }
        Ok(())
    }

    fn entry(&mut self, parent: InodeHandle, name: &str, path: PathBuf, found: &Metadata) -> Result<()> {
        let builder = &mut self.builder;
        let meta = meta(found);
        let device = || (major(found.rdev()), minor(found.rdev()));
        let kind = found.file_type();
        if kind.is_dir() {
            let directory = builder.mkdir(parent, name, meta)?;
            return self.directory(directory, &path);
        }
        if kind.is_file() {
            return self.file(parent, name, path, found, meta);
        }
        if kind.is_symlink() {
            let target = fs::read_link(&path)?;
            builder.symlink(parent, name, target.to_str().ok_or("a target that is not UTF-8")?, meta)?;
        } else if kind.is_char_device() {
            let (major, minor) = device();
            builder.mknod(parent, name, meta, SpecialKind::Char { major, minor })?;
        } else if kind.is_block_device() {
            let (major, minor) = device();
            builder.mknod(parent, name, meta, SpecialKind::Block { major, minor })?;
        } else if kind.is_fifo() {
            builder.mknod(parent, name, meta, SpecialKind::Fifo)?;
        } else {
            builder.mknod(parent, name, meta, SpecialKind::Socket)?;
        }
        Ok(())
    }

    fn file(
        &mut self,
        parent: InodeHandle,
        name: &str,
        path: PathBuf,
        found: &Metadata,
        meta: Meta,
    ) -> Result<()> {
        if let Some(&first) = self.linked.get(&found.ino()) {
            self.builder.hardlink(parent, name, first)?;
            return Ok(());
        }
        let file = self.builder.file(parent, name, meta, found.len())?;
        if found.nlink() > 1 {
            self.linked.insert(found.ino(), file);
        }
        if found.len() > 0 {
            self.contents.push((file, path));
        }
        Ok(())
    }
}

fn meta(found: &Metadata) -> Meta {
    let mode = (found.mode() & 0o7777) as u16;
    Meta::new(mode, found.uid(), found.gid(), (found.mtime(), found.mtime_nsec() as u32))
}
