//! What a target starts from, made by code: sound inputs where the format is somebody's, bytes at random where the
//! target makes its own of them.

use std::fs;
use std::io;
use std::path::Path;

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use testkit::image::Layer;
use testkit::{dumps, stack};

const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

const NAMES: [&str; 8] = [
    "alpine",
    "docker://user/app:3.20",
    "localhost:5000/a/b-c__d.e:latest",
    "[::1]:5000/a@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    DIGEST,
    "linux/arm64/v8",
    "linux/x86_64",
    "application/vnd.oci.image.layer.v1.tar+gzip; charset=utf-8",
];

const ANSWERS: [&str; 8] = [
    "Bearer realm=\"https://a.example/token\",service=\"a\",scope=\"repository:x/y:pull\"\nBasic realm=\"b\"",
    "https://a.example:5000/b/../c?d=e#f",
    "//other.example/../a?b",
    "http://localhost:5000/v2/",
    "Sun, 06 Nov 1994 08:49:37 GMT\nSunday, 06-Nov-94 08:49:07 GMT",
    "bytes 5-9/10",
    "{\"token\":\"abc\",\"access_token\":null,\"expires_in\":300}",
    "{\"errors\":[{\"code\":\"DENIED\",\"message\":\"no\"}],\"details\":\"x\"}",
];

/// Writes the seeds of `target` into `directory`, in place of what is there.
pub(super) fn write(target: &str, directory: &Path) -> io::Result<()> {
    let seeds = match target {
        "reference" => texts(&NAMES),
        "documents" => documents(),
        "challenge" => texts(&ANSWERS),
        "layer" => layers()?,
        "composefs" => composefs(),
        _ => noise(),
    };
    // What an older version made may not be a seed any more.
    if directory.exists() {
        fs::remove_dir_all(directory)?;
    }
    fs::create_dir_all(directory)?;
    for (number, seed) in seeds.iter().enumerate() {
        fs::write(directory.join(format!("{number:02}")), seed)?;
    }
    Ok(())
}

fn texts(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

fn documents() -> Vec<Vec<u8>> {
    let described = |kind: &str| {
        format!(
            r#"{{"mediaType":"application/vnd.oci.image.{kind}","digest":"{DIGEST}","size":7,"annotations":{{"a":"b"}},"urls":["x"],"platform":{{"os":"linux","architecture":"arm","variant":"v7","os.features":["y"]}}}}"#
        )
    };
    let (manifest, config) = (described("manifest.v1+json"), described("config.v1+json"));
    let layer = described("layer.v1.tar+gzip");
    texts(&[
        &format!(r#"{{"schemaVersion":2,"manifests":[{manifest},{manifest}],"annotations":{{}}}}"#),
        &format!(r#"{{"schemaVersion":2,"config":{config},"layers":[{layer},{layer}]}}"#),
        &format!(
            r#"{{"os":"linux","architecture":"amd64","rootfs":{{"type":"layers","diff_ids":["{DIGEST}"]}},"config":{{"Env":["A=B"],"Cmd":null,"Labels":{{"x":"y"}}}},"history":[{{"empty_layer":true}}]}}"#
        ),
    ])
}

/// Tarballs, with every third of them compressed.
fn layers() -> io::Result<Vec<Vec<u8>>> {
    const STACKS: usize = 12;
    let mut runner = TestRunner::deterministic();
    let mut seeds = Vec::new();
    for _ in 0..STACKS {
        let stack =
            stack::stacks().new_tree(&mut runner).map_err(|reason| io::Error::other(reason.to_string()))?;
        seeds.extend(stack.current().iter().map(|layer| stack::tarball(layer)));
    }
    for (number, seed) in seeds.iter_mut().enumerate() {
        match number % 6 {
            2 => *seed = Layer::gzip(seed).blob,
            5 => *seed = zstd::encode_all(&seed[..], 0)?,
            _ => {}
        }
    }
    Ok(seeds)
}

/// Texts of trees, and numbers of trees whose images are to be changed.
fn composefs() -> Vec<Vec<u8>> {
    let text = |seed| [&[0], dumps::random(seed).as_bytes()].concat();
    let short = (0..200).map(text).filter(|text| text.len() < 16 << 10).take(24);
    let changed = noise().into_iter().map(|bytes| [&[2], &bytes[..]].concat());
    short.chain(changed).collect()
}

/// Bytes at random, the same each time.
fn noise() -> Vec<Vec<u8>> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut byte = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    [32, 64, 128, 256, 512, 1024, 2048, 4096].map(|length| (0..length).map(|_| byte()).collect()).into()
}
