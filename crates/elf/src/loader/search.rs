//! All that a program needs, found as its loader would find it: `ld.so(8)` for glibc, `ldso/dynlink.c` for musl.
//!
//! Variants for newer processors (`glibc-hwcaps`) are not looked for: what is found runs wherever the program does.

use std::collections::VecDeque;

use super::cache::Cache;
use super::expand::{directories, expand, system};
use super::musl;
use crate::file::PATH_MAX;
use crate::{Error, File};

/// Libraries of a program. Office suites have some hundreds.
pub const LIBRARIES_MAX: usize = 1024;

/// Paths that are looked at for one program. Each library is searched in some ten directories.
pub const LOOKUPS_MAX: usize = 1_000_000;

/// Bytes of all directories that a program and its libraries name, with `$ORIGIN` put in.
pub const RUN_PATH_BYTES_MAX: usize = 16 << 20;

/// How many files that cannot be a library are named.
const UNUSABLE: usize = 16;

/// A loader, and what it was told.
#[derive(Debug, Clone, Copy)]
pub enum Loader<'a> {
    /// glibc's.
    Glibc {
        /// The directories of `LD_LIBRARY_PATH`.
        library_path: &'a [Box<[u8]>],
        /// What `/etc/ld.so.cache` says.
        cache: Option<&'a Cache<'a>>,
        /// Directories of `/etc/ld.so.conf`. The loader does not read it, but a cache would name what is there: for
        /// a system whose cache is missing, or made later.
        configured: &'a [Box<[u8]>],
    },
    /// musl's.
    Musl {
        /// The directories of `LD_LIBRARY_PATH`.
        library_path: &'a [Box<[u8]>],
        /// Those of the path file, or [`musl::DEFAULT`].
        directories: &'a [Box<[u8]>],
    },
}

/// What is at a path.
#[derive(Debug)]
pub enum Seen {
    /// Nothing, or no file.
    Absent,
    /// A file that is no ELF file, or a spoilt one.
    Other,
    /// An ELF file.
    Elf(Box<File>),
}

/// A library that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Library {
    /// Where it is, as the loader spells it: with `..` and links in it, as they come.
    pub path: Box<[u8]>,
    /// The file that wanted it first: its place in [`Closure::libraries`], or `None` for the program.
    pub wanted_by: Option<usize>,
    /// What it says of itself.
    pub file: File,
}

/// A library that was not found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// Its name, or the path of an interpreter.
    pub name: Box<[u8]>,
    /// Paths of those that want it, the program's among them.
    pub wanted_by: Vec<Box<[u8]>>,
    /// Some files of this name that cannot be it: for another architecture, or no ELF files.
    pub unusable: Vec<Box<[u8]>>,
}

/// All that a program needs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Closure {
    /// What was found: the interpreter, then libraries in the order in which the loader loads them.
    pub libraries: Vec<Library>,
    /// What was not.
    pub missing: Vec<Missing>,
}

/// Finds all that the program or library at `path` needs; `look` says what is at a path, and follows links.
///
/// # Errors
///
/// Those of `look`; `Limit` if there is no end to it.
pub fn closure<E: From<Error>>(
    path: &[u8],
    program: File,
    loader: &Loader<'_>,
    look: impl FnMut(&[u8]) -> Result<Seen, E>,
) -> Result<Closure, E> {
    let interpreter = program.interpreter.clone();
    let mut search =
        Search { loader, look, lookups: 0, run_path_bytes: 0, loaded: Vec::new(), missing: Vec::new() };
    let program = search.load(path.into(), None, program)?;
    let architecture = search.loaded[program].file.architecture;

    if let Some(interpreter) = interpreter {
        match search.look(&interpreter)? {
            Seen::Elf(file) if file.architecture == architecture => {
                search.load(interpreter, Some(program), *file)?;
            }
            Seen::Absent => search.miss(&interpreter, program, Vec::new()),
            _ => search.miss(&interpreter, program, vec![interpreter.clone()]),
        }
    }
    let mut waiting: VecDeque<usize> = (0..search.loaded.len()).collect();
    while let Some(wanting) = waiting.pop_front() {
        for at in 0..search.loaded[wanting].file.needed.len() {
            let name = search.loaded[wanting].file.needed[at].clone();
            if search.is_loaded(&name) {
                continue;
            }
            let mut unusable = Vec::new();
            match search.find(&name, wanting, &mut unusable)? {
                // Under another name it is the same file.
                Some((path, _)) if search.loaded.iter().any(|loaded| loaded.path == path) => {}
                Some((path, file)) => waiting.push_back(search.load(path, Some(wanting), *file)?),
                None => search.miss(&name, wanting, unusable),
            }
        }
    }
    let libraries = search.loaded.into_iter().skip(1).map(|loaded| Library {
        path: loaded.path,
        wanted_by: loaded.wanted_by.and_then(|number| number.checked_sub(1)),
        file: loaded.file,
    });
    Ok(Closure { libraries: libraries.collect(), missing: search.missing })
}

/// A library and where it is.
type Found = (Box<[u8]>, Box<File>);

struct Search<'a, Look> {
    loader: &'a Loader<'a>,
    look: Look,
    lookups: usize,
    run_path_bytes: usize,
    /// The program, and what it brought in.
    loaded: Vec<Loaded>,
    missing: Vec<Missing>,
}

struct Loaded {
    path: Box<[u8]>,
    wanted_by: Option<usize>,
    file: File,
    /// Those of RUNPATH, or of RPATH where there is no other.
    directories: Vec<Box<[u8]>>,
}

impl<E: From<Error>, Look: FnMut(&[u8]) -> Result<Seen, E>> Search<'_, Look> {
    fn is_musl(&self) -> bool {
        matches!(self.loader, Loader::Musl { .. })
    }

    fn look(&mut self, path: &[u8]) -> Result<Seen, E> {
        self.lookups += 1;
        if self.lookups > LOOKUPS_MAX {
            return Err(
                Error::Limit { what: "libraries are looked for in more places", limit: LOOKUPS_MAX }.into()
            );
        }
        if path.len() < PATH_MAX { (self.look)(path) } else { Ok(Seen::Absent) }
    }

    /// Adds a file, and gives its number.
    fn load(&mut self, path: Box<[u8]>, wanted_by: Option<usize>, file: File) -> Result<usize, E> {
        if self.loaded.len() > LIBRARIES_MAX {
            return Err(
                Error::Limit { what: "the program needs more libraries", limit: LIBRARIES_MAX }.into()
            );
        }
        let list = file.runpath.as_deref().or(file.rpath.as_deref());
        let directories = self.run_path(&path, &file, list.unwrap_or_default())?;
        self.loaded.push(Loaded { path, wanted_by, file, directories });
        Ok(self.loaded.len() - 1)
    }

    /// The directories of a list in a file at `path`.
    fn run_path(&mut self, path: &[u8], file: &File, list: &[u8]) -> Result<Vec<Box<[u8]>>, Error> {
        let mut found = Vec::new();
        for directory in directories(list).filter(|directory| directory.len() < PATH_MAX) {
            for directory in expand(directory, origin(path), file.architecture) {
                self.run_path_bytes += directory.len() + size_of::<Box<[u8]>>();
                if self.run_path_bytes > RUN_PATH_BYTES_MAX {
                    let what = "the directories that libraries name have more bytes";
                    return Err(Error::Limit { what, limit: RUN_PATH_BYTES_MAX });
                }
                found.push(directory);
            }
        }
        Ok(found)
    }

    /// Whether something that is loaded already has this name.
    fn is_loaded(&self, name: &[u8]) -> bool {
        if self.is_musl() && musl::is_loader(name) {
            return true;
        }
        // What was found by a name lies under it, and may have another one for itself.
        self.loaded.iter().skip(1).any(|loaded| {
            let is_found_by = match loaded.path.iter().rposition(|byte| *byte == b'/') {
                Some(slash) if !name.contains(&b'/') => loaded.path[slash + 1..] == *name,
                _ => *loaded.path == *name,
            };
            is_found_by || loaded.file.soname.as_deref() == Some(name)
        })
    }

    fn miss(&mut self, name: &[u8], wanting: usize, unusable: Vec<Box<[u8]>>) {
        let wanted_by = self.loaded[wanting].path.clone();
        match self.missing.iter_mut().find(|missing| *missing.name == *name) {
            Some(missing) => {
                missing.wanted_by.push(wanted_by);
                let new: Vec<_> =
                    unusable.into_iter().filter(|path| !missing.unusable.contains(path)).collect();
                missing.unusable.extend(new);
            }
            None => self.missing.push(Missing { name: name.into(), wanted_by: vec![wanted_by], unusable }),
        }
    }

    /// Looks for a library in all places, in the loader's order.
    fn find(
        &mut self,
        name: &[u8],
        wanting: usize,
        unusable: &mut Vec<Box<[u8]>>,
    ) -> Result<Option<Found>, E> {
        if name.contains(&b'/') {
            let wanting = &self.loaded[wanting];
            for path in expand(name, origin(&wanting.path), wanting.file.architecture) {
                if let Some(found) = self.take(path, unusable)? {
                    return Ok(Some(found));
                }
            }
            return Ok(None);
        }
        match *self.loader {
            Loader::Glibc { library_path, cache, configured } => {
                self.find_glibc(name, wanting, library_path, cache, configured, unusable)
            }
            Loader::Musl { library_path, directories } => {
                self.find_musl(name, wanting, library_path, directories, unusable)
            }
        }
    }

    fn find_glibc(
        &mut self,
        name: &[u8],
        wanting: usize,
        library_path: &[Box<[u8]>],
        cache: Option<&Cache<'_>>,
        configured: &[Box<[u8]>],
        unusable: &mut Vec<Box<[u8]>>,
    ) -> Result<Option<Found>, E> {
        // The directories of RPATH go for all that a file brings in, those of RUNPATH for itself.
        let has_runpath = self.loaded[wanting].file.runpath.is_some();
        if !has_runpath && let Some(found) = self.in_ancestors(wanting, name, unusable)? {
            return Ok(Some(found));
        }
        if let Some(found) = self.in_directories(library_path, name, unusable)? {
            return Ok(Some(found));
        }
        if has_runpath && let Some(found) = self.in_own(wanting, name, unusable)? {
            return Ok(Some(found));
        }
        let wanting = &self.loaded[wanting].file;
        let no_defaults = wanting.no_default_directories;
        let system: Vec<Box<[u8]>> = system(wanting.architecture).collect();
        for path in cache.into_iter().flat_map(|cache| cache.paths(name)) {
            let is_default = system.iter().any(|directory| **directory == *origin(path));
            if !(no_defaults && is_default)
                && let Some(found) = self.take(path.into(), unusable)?
            {
                return Ok(Some(found));
            }
        }
        if !no_defaults && let Some(found) = self.in_directories(&system, name, unusable)? {
            return Ok(Some(found));
        }
        self.in_directories(configured, name, unusable)
    }

    fn find_musl(
        &mut self,
        name: &[u8],
        wanting: usize,
        library_path: &[Box<[u8]>],
        directories: &[Box<[u8]>],
        unusable: &mut Vec<Box<[u8]>>,
    ) -> Result<Option<Found>, E> {
        if let Some(found) = self.in_directories(library_path, name, unusable)? {
            return Ok(Some(found));
        }
        if let Some(found) = self.in_ancestors(wanting, name, unusable)? {
            return Ok(Some(found));
        }
        self.in_directories(directories, name, unusable)
    }

    /// Looks where a file says, then where the one says that wanted it, up to the program.
    fn in_ancestors(
        &mut self,
        wanting: usize,
        name: &[u8],
        unusable: &mut Vec<Box<[u8]>>,
    ) -> Result<Option<Found>, E> {
        let mut ancestor = Some(wanting);
        while let Some(number) = ancestor {
            let is_for_all = self.is_musl() || self.loaded[number].file.runpath.is_none();
            if is_for_all && let Some(found) = self.in_own(number, name, unusable)? {
                return Ok(Some(found));
            }
            ancestor = self.loaded[number].wanted_by;
        }
        Ok(None)
    }

    /// Looks in the directories that a file names.
    fn in_own(
        &mut self,
        number: usize,
        name: &[u8],
        unusable: &mut Vec<Box<[u8]>>,
    ) -> Result<Option<Found>, E> {
        let directories = std::mem::take(&mut self.loaded[number].directories);
        let found = self.in_directories(&directories, name, unusable);
        self.loaded[number].directories = directories;
        found
    }

    fn in_directories(
        &mut self,
        directories: &[Box<[u8]>],
        name: &[u8],
        unusable: &mut Vec<Box<[u8]>>,
    ) -> Result<Option<Found>, E> {
        for directory in directories {
            // musl takes the first file of the name, whatever is in it.
            if self.is_musl() && !unusable.is_empty() {
                break;
            }
            let slash: &[u8] = if directory.ends_with(b"/") { b"" } else { b"/" };
            if let Some(found) = self.take([directory, slash, name].concat().into(), unusable)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// The file at `path` if the program can have it. What is not absolute depends on the working directory.
    fn take(&mut self, path: Box<[u8]>, unusable: &mut Vec<Box<[u8]>>) -> Result<Option<Found>, E> {
        if !path.starts_with(b"/") {
            return Ok(None);
        }
        let architecture = self.loaded[0].file.architecture;
        match self.look(&path)? {
            Seen::Elf(file) if file.architecture == architecture => return Ok(Some((path, file))),
            Seen::Absent => {}
            Seen::Elf(_) | Seen::Other if unusable.len() < UNUSABLE => unusable.push(path),
            Seen::Elf(_) | Seen::Other => {}
        }
        Ok(None)
    }
}

/// The directory in which a path ends.
fn origin(path: &[u8]) -> &[u8] {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(0) => b"/",
        Some(slash) => &path[..slash],
        None => b".",
    }
}
