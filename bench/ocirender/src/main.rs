//! `bench-ocirender tar|dir LAYOUT OUTPUT`: the crate's batch conversion.

use std::env;
use std::error::Error;
use std::path::Path;

use tokio::runtime::Builder;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [format, layout, output] = arguments.as_slice() else {
        return Err("usage: bench-ocirender tar|dir LAYOUT OUTPUT".into());
    };
    let (layout, output) = (Path::new(layout), Path::new(output));
    let runtime = Builder::new_current_thread().build()?;
    match format.as_str() {
        "tar" => runtime.block_on(ocirender::convert_tar(layout, output))?,
        "dir" => runtime.block_on(ocirender::convert_dir(layout, output))?,
        _ => return Err("the format is tar or dir".into()),
    }
    Ok(())
}
