use std::fmt::Write as _;

use anyhow::Result;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use serde_json::json;
use wharf_testkit::{Auth, Compression, Image, Kind, Layer, Registry, Tree, digest_of, userland};

/// The registry part of all names; it resolves only through the daemon's mirrors.
pub const HOST: &str = "crash.test";
/// What a container of these images says that has found every file of its image as it was made.
pub const WHOLE: &str = "cd / && sha256sum -c /data/SUMS >/dev/null && echo line 1";

/// A registry with images to run and to pull.
pub struct Samples {
    registry: Registry,
    /// Names of images that come and go, and their ids. They share layers.
    pub passing: Vec<(String, String)>,
}

/// Bytes that do not compress, enough for a pull to be met in the middle.
const LARGE: usize = 3 << 20;
const FILES: usize = 60;
/// The pod's own are mounted over these.
const MOUNTED: [&str; 3] = ["etc/hosts", "etc/hostname", "etc/resolv.conf"];

// === impl Samples ===

impl Samples {
    /// Makes them on the spot; `count` of those that come and go. The same each time.
    ///
    /// # Errors
    ///
    /// When no userland can be had on this machine.
    pub fn make(count: usize) -> Result<Self> {
        let registry = Registry::start(Auth::Open)?;
        let parts = userland()?;
        let base = [
            (parts.libraries, Compression::Gzip),
            (parts.programs, Compression::Zstd),
            (parts.skeleton, Compression::None),
        ];
        let base = base.map(|(tree, compression)| part("userland", &tree, compression));
        let base = base.into_iter().collect::<Result<Vec<_>>>()?;
        let add = |name: &str, kind, parts: &[(Layer, String)]| {
            let mut sums = Tree::new();
            sums.file("data/SUMS", parts.iter().map(|(_, sums)| sums.as_str()).collect::<String>());
            let mut layers: Vec<_> = parts.iter().map(|(layer, _)| layer.clone()).collect();
            layers.push(Layer::new("sums", &sums, Compression::None)?);
            let image = Image::new(kind, &layers, &json!({ "Cmd": ["sh"] }))?;
            registry.add(name, "1", &image);
            anyhow::Ok(image.id)
        };
        add("base", Kind::OciIndex, &base)?;
        let shared = part("shared", &random(0), Compression::Gzip)?;
        let mut passing = Vec::new();
        for n in 1..=count {
            let own = part("own", &random(n), Compression::Zstd)?;
            let name = format!("passing-{n}");
            let id = add(&name, Kind::Oci, &[base.clone(), vec![shared.clone(), own]].concat())?;
            passing.push((format!("{HOST}/{name}:1"), id));
        }
        Ok(Self { registry, passing })
    }

    /// The image that pods run.
    pub fn base() -> String {
        format!("{HOST}/base:1")
    }

    /// What [`wharf_testkit::DaemonOptions`] takes.
    pub fn mirrors(&self) -> Vec<(String, String)> {
        vec![(HOST.to_owned(), self.registry.address())]
    }
}

/// A layer, and its lines for `sha256sum -c` in `/`.
fn part(note: &str, tree: &Tree, compression: Compression) -> Result<(Layer, String)> {
    let mut sums = String::new();
    for (path, bytes) in tree.files().filter(|(path, _)| !MOUNTED.contains(path)) {
        writeln!(sums, "{}  {path}", digest_of(bytes).trim_start_matches("sha256:"))?;
    }
    Ok((Layer::new(note, tree, compression)?, sums))
}

/// Files of bytes that nobody else has.
fn random(seed: usize) -> Tree {
    let mut random = StdRng::seed_from_u64(seed as u64);
    let mut tree = Tree::new();
    for n in 0..FILES {
        let size = if n == 0 { LARGE } else { random.random_range(0..20_000) };
        let mut bytes = vec![0; size];
        random.fill(bytes.as_mut_slice());
        tree.file(&format!("data/{seed}/{}/{n}", n % 7), bytes);
    }
    tree
}
