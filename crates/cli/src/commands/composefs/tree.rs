//! Trees as images, as text, as lists.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Cursor, Read, Write};
use std::path::Path;

use composefs::{Access, INLINE_MAX, Purpose, Repository, Tag};
use erofs::composefs::{Files, Text, Version, parse_text, plan, read};
use hash::{Algorithm, FileDigest, Verity};
use pipeline::compose;
use serde_json::{Value, json};
use tree::escape;

use super::{algorithm, open};
use crate::args::{ComposefsDump, ComposefsInspect, ComposefsLs, ComputeId, CreateImage, Input};
use crate::commands::Outcome;
use crate::commands::shared::Fallible;
use crate::exit::Usage;
use crate::terminal::{self, unanswered};

/// How an image of composefs begins.
const IMAGE: [u8; 4] = 0xd078_629a_u32.to_le_bytes();

/// Shows an image of a repository.
pub(super) fn inspect(command: &ComposefsInspect) -> Outcome {
    let repository = open(&command.repo, Access::Read)?;
    let manifest = repository.resolve(&command.tag)?;
    let stored = repository.image(&manifest)?;
    let by_name = |references: &[(String, FileDigest)]| {
        references
            .iter()
            .map(|(name, digest)| (name.clone(), digest.hex().into()))
            .collect::<serde_json::Map<_, _>>()
    };
    let document = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).unwrap_or(Value::Null);
    terminal::answer_json(&json!({
        "digest": manifest.digest(),
        "manifest": document(&stored.manifest),
        "config": document(&stored.config),
        "layers": by_name(&stored.layers),
        "images": by_name(&stored.images),
    }))?;
    Ok(())
}

/// Lists the files of an image of a repository.
pub(super) fn ls(command: &ComposefsLs) -> Outcome {
    let repository = open(&command.repo, Access::Read)?;
    let Files { tree, objects } = of_tag(&repository, &command.tag)?;
    let mut out = BufWriter::new(io::stdout().lock());
    let mut walk = tree.walk();
    while let Some(visit) = walk.step() {
        let name = format!("/{}", escape(visit.path));
        let object = match objects.get(visit.node) {
            Some(object) => format!(" {}", object.digest.hex()),
            None => String::new(),
        };
        writeln!(out, "{name}{object}").map_err(unanswered)?;
    }
    out.flush().map_err(unanswered)?;
    Ok(())
}

/// Prints a tree as text.
pub(super) fn dump(command: &ComposefsDump) -> Outcome {
    let files = files(&command.input)?;
    // The text is printable as it is.
    let mut out = BufWriter::new(io::stdout().lock());
    write!(out, "{}", Text(&files)).and_then(|()| out.flush()).map_err(unanswered)?;
    Ok(())
}

/// Prints the digest of a tree's image.
pub(super) fn compute_id(command: &ComputeId) -> Outcome {
    let files = files(&command.input)?;
    let mut out = Digesting { out: io::sink(), verity: Verity::new(hash_of(&command.input, &files)) };
    plan(&files, command.image_version)?.write(&mut out)?;
    terminal::answer(&format!("{}\n", out.verity.finish().hex()))?;
    Ok(())
}

/// Writes a tree's image, and prints its digest.
pub(super) fn create_image(command: &CreateImage) -> Outcome {
    let files = files(&command.input)?;
    let digest =
        write_image(&files, command.image_version, hash_of(&command.input, &files), &command.output)?;
    terminal::answer(&format!("{}\n", digest.hex()))?;
    Ok(())
}

fn write_image(files: &Files, version: Version, algorithm: Algorithm, path: &Path) -> Fallible<FileDigest> {
    let layout = plan(files, version)?;
    let cannot =
        |error: io::Error| io::Error::new(error.kind(), format!("cannot write {}: {error}", path.display()));
    // Beside it first, so that there is never half an image.
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = path.file_name().ok_or_else(|| Usage("the output is not a file".into()))?;
    let beside = directory.join(format!(".{}.{}", name.to_string_lossy(), std::process::id()));
    let file = File::create(&beside).map_err(cannot)?;
    let mut out = Digesting { out: BufWriter::with_capacity(1 << 20, file), verity: Verity::new(algorithm) };
    let written = layout.write(&mut out).and_then(|()| out.out.get_ref().sync_all());
    let done = written.and_then(|()| std::fs::rename(&beside, path));
    if done.is_err() {
        let _ = std::fs::remove_file(&beside);
    }
    done.map_err(cannot)?;
    Ok(out.verity.finish())
}

/// The hash function of an image: that of the objects in it.
fn hash_of(input: &Input, files: &Files) -> Algorithm {
    files.objects.all().next().map_or(algorithm(input.hash), |object| object.digest.algorithm())
}

/// What the input holds.
fn files(input: &Input) -> Fallible<Files> {
    if let Some(repo) = &input.repo {
        let repository = Repository::open(repo, Access::Read)?;
        let tag = input.input.to_str().ok_or_else(|| Usage("not a tag".into()))?;
        let tag = tag.parse().map_err(|error: composefs::TagError| Usage(error.to_string()))?;
        return of_tag(&repository, &tag);
    }
    let algorithm = algorithm(input.hash);
    if input.input.is_dir() {
        return Ok(compose::of_directory(&input.input, algorithm, INLINE_MAX)?);
    }
    let cannot = |error: io::Error| {
        io::Error::new(error.kind(), format!("cannot read {}: {error}", input.input.display()))
    };
    let mut reader: Box<dyn Read> = match input.input.as_os_str() == "-" {
        true => Box::new(io::stdin().lock()),
        false => Box::new(File::open(&input.input).map_err(cannot)?),
    };
    let mut start = Vec::new();
    reader.by_ref().take(IMAGE.len() as u64).read_to_end(&mut start).map_err(cannot)?;
    let (is_image, is_text) = (start == IMAGE, start.starts_with(b"/ "));
    let mut reader = Cursor::new(start).chain(BufReader::with_capacity(1 << 20, reader));
    if !is_image && !is_text {
        return Ok(compose::of_tarball(reader, algorithm, INLINE_MAX)?);
    }
    let mut bytes = Vec::new();
    reader.read_to_end(&mut bytes).map_err(cannot)?;
    if is_image { Ok(read(&bytes)?.files) } else { Ok(parse_text(&bytes)?) }
}

/// The tree of an image in a repository: its own format's, or whichever there is.
fn of_tag(repository: &Repository, tag: &Tag) -> Fallible<Files> {
    let stored = repository.image(&repository.resolve(tag)?)?;
    let missing = || composefs::Error::Missing { what: "image of", name: tag.to_string() };
    let digest = stored.image(Purpose::Run, repository.meta().version).ok_or_else(missing)?;
    Ok(repository.read_image(&digest)?.files)
}

/// Computes the digest of what is written.
struct Digesting<W> {
    out: W,
    verity: Verity,
}

impl<W: Write> Write for Digesting<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.out.write(bytes)?;
        self.verity.update(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
