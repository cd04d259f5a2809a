//! Measures: `measure FILE` expands a blob and reads it as a layer, both from memory, and prints the speeds.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, clippy::print_stdout, clippy::unwrap_used)]
#![allow(missing_docs, reason = "an example")]

use std::io::{self, BufReader, Read};
use std::time::Instant;

use unlade_layer::{Expander, ReadOptions, compression, read};

fn main() {
    let blob = std::fs::read(std::env::args().nth(1).unwrap()).unwrap();
    let mut buffer = vec![0; 256 << 10];
    for _ in 0..3 {
        let start = Instant::now();
        let mut expander = Expander::new(&blob[..], compression::Limits::default()).unwrap();
        while expander.read(&mut buffer).unwrap() > 0 {}
        let took = start.elapsed().as_secs_f64();
        let rate = |bytes: u64, took: f64| bytes as f64 / 1e6 / took;
        println!(
            "expand {:?}: {} bytes, {took:.3} s, {:.0} MB/s",
            expander.compression(),
            expander.expanded(),
            rate(expander.expanded(), took)
        );

        let start = Instant::now();
        let expander = Expander::new(&blob[..], compression::Limits::default()).unwrap();
        let expander = BufReader::with_capacity(buffer.len(), expander);
        let layer = read(0, expander, io::sink(), &ReadOptions::default()).unwrap();
        let took = start.elapsed().as_secs_f64();
        println!(
            "read: {} entries, {} bytes, contents {}, {took:.3} s, {:.0} MB/s, {:.0} entries/s",
            layer.entries,
            layer.tarball_length,
            layer.content_length,
            rate(layer.tarball_length, took),
            layer.entries as f64 / took
        );
        for note in layer.notes.kept() {
            println!("{note}");
        }
    }
}
