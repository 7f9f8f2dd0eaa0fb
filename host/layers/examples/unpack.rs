//! Unpacks the layers of an OCI layout, as many at a time as wished, and says what it took.
//!
//!     cargo run --release -p wharf-layers --example unpack -- LAYOUT TARGET [THREADS]

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use wharf_error::{Error, Result, ResultExt as _};
use wharf_layers::{Compression, Descriptor, UnpackOptions, Unpacked, unpack};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (layout, target, threads) = match arguments.as_slice() {
        [layout, target] => (layout, target, 1),
        [layout, target, threads] => (layout, target, threads.parse().step(|| format!("threads {threads}"))?),
        _ => return Err(Error::invalid("usage: unpack LAYOUT TARGET [THREADS]")),
    };
    let layers = layers(Path::new(layout))?;
    let next = AtomicUsize::new(0);
    let (started, cpu) = (Instant::now(), cpu_time());
    let sum = thread::scope(|scope| {
        let work = || {
            let mut sum = (0, 0, 0);
            while let Some((compression, descriptor)) = layers.get(next.fetch_add(1, Ordering::Relaxed)) {
                let one = one(Path::new(layout), Path::new(target), *compression, descriptor)?;
                sum = (sum.0 + one.size, sum.1 + one.bytes, sum.2 + one.entries);
            }
            Ok(sum)
        };
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers.into_iter().try_fold((0, 0, 0), |sum, worker| {
            let one: (u64, u64, u64) = worker.join().unwrap_or_else(|_| Err(Error::internal("a thread died")))?;
            Ok::<_, Error>((sum.0 + one.0, sum.1 + one.1, sum.2 + one.2))
        })
    })?;
    report("all", sum, started.elapsed());
    println!("{:>9.2} s of CPU", (cpu_time() - cpu).as_secs_f64());
    Ok(())
}

fn one(layout: &Path, target: &Path, compression: Compression, descriptor: &Descriptor) -> Result<Unpacked> {
    let hex = descriptor.digest.trim_start_matches("sha256:");
    let target = target.join(&hex[..12]);
    fs::create_dir_all(&target).step(|| format!("make {}", target.display()))?;
    let blob = File::open(layout.join("blobs/sha256").join(hex)).step(|| format!("open blob {hex}"))?;
    let options = UnpackOptions { compression, expected: Some(descriptor.clone()), ..UnpackOptions::default() };
    let started = Instant::now();
    let unpacked = unpack(blob, &target, &options)?;
    report(&hex[..12], (unpacked.size, unpacked.bytes, unpacked.entries), started.elapsed());
    Ok(unpacked)
}

fn layers(layout: &Path) -> Result<Vec<(Compression, Descriptor)>> {
    let json = |path: PathBuf| -> Result<serde_json::Value> {
        serde_json::from_slice(&fs::read(&path).step(|| format!("read {}", path.display()))?).step(|| "parse".into())
    };
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let index = json(layout.join("index.json"))?;
    let digest = text(&index["manifests"][0]["digest"]);
    let manifest = json(layout.join("blobs/sha256").join(digest.trim_start_matches("sha256:")))?;
    let layers = manifest["layers"].as_array().ok_or_else(|| Error::invalid("the first image is an index"))?;
    let layer = |layer: &serde_json::Value| {
        let size = layer["size"].as_u64().unwrap_or_default();
        let compression = Compression::of_media_type(&text(&layer["mediaType"]))?;
        Ok((compression, Descriptor { digest: text(&layer["digest"]), size }))
    };
    layers.iter().map(layer).collect()
}

fn report(name: &str, (size, bytes, entries): (u64, u64, u64), took: Duration) {
    let rate = |bytes: u64| bytes / 1_000 / u64::try_from(took.as_millis()).unwrap_or(1).max(1);
    println!(
        "{name:>12}  {entries:>6} entries  {:>4} MB ({} MB/s) to {:>4} MB ({} MB/s) in {took:.2?}",
        size / 1_000_000,
        rate(size),
        bytes / 1_000_000,
        rate(bytes),
    );
}

fn cpu_time() -> Duration {
    let clock = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(clock.tv_sec.unsigned_abs(), u32::try_from(clock.tv_nsec).unwrap_or_default())
}
