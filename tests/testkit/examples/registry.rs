//! A registry on loopback with the tests' images, for crictl by hand: prints where it is, ends when its input ends.
//!
//! `cargo run --release -p wharf-testkit --example registry`

use std::io::Read as _;

use anyhow::Result;
use serde_json::json;
use wharf_testkit::{Auth, Compression, Image, Kind, Registry, busybox, busybox_layers, many_layers, odd};

fn main() -> Result<()> {
    let registry = Registry::start(Auth::Open)?;
    let layers = busybox_layers([Compression::Gzip; 3])?;
    registry.add("busybox", "latest", &busybox(Kind::OciIndex)?);
    registry.add("busybox", "docker", &busybox(Kind::DockerList)?);
    registry.add("odd", "latest", &odd(Kind::Docker)?);
    registry.add("many", "latest", &many_layers(127)?);
    // For runtimes that want an image to hold a pod.
    registry.add("pause", "latest", &Image::new(Kind::Docker, &layers, &json!({ "Cmd": ["/bin/sleep", "1000000"] }))?);
    for name in ["busybox:latest", "busybox:docker", "odd:latest", "many:latest", "pause:latest"] {
        println!("{}/{name}", registry.address());
    }
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}
