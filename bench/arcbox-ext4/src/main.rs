//! `bench-arcbox-ext4 LAYOUT OUTPUT SIZE`: unpacks each layer into an ext4 file, as the crate's README does.
//!
//! The crate's own whiteouts, no digests, one thread. SIZE in bytes; the crate wants whole groups of 128 MiB.

use std::env;
use std::error::Error;
use std::path::Path;

use arcbox_ext4::Formatter;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [layout, output, size] = arguments.as_slice() else {
        return Err("usage: bench-arcbox-ext4 LAYOUT OUTPUT SIZE".into());
    };
    let size = size.parse::<u64>()?.next_multiple_of(128 << 20);
    let mut formatter = Formatter::new(Path::new(output), 4096, size)?;
    for layer in bench_layout::layers(Path::new(layout))? {
        formatter.unpack_tar(bench_layout::open(&layer)?)?;
    }
    formatter.close()?;
    Ok(())
}
