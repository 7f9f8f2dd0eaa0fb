use std::sync::OnceLock;

use anyhow::Result;
use serde_json::json;
use wharf_testkit::{Auth, Compression, DockerRegistry, Image, Kind, Registry, busybox, busybox_layers, odd};

/// The registry part of the images' names: `images.test/busybox:1`. It resolves only through the daemon's mirrors.
pub const IMAGES: &str = "images.test";

/// Where the images are: Debian's `docker-registry`, or where it cannot be had a registry in this process.
/// It is filled once, and shared by all tests of a process.
///
/// # Errors
///
/// When no image can be made on this machine.
pub fn registry_address() -> Result<String> {
    static SHARED: OnceLock<Result<Shared, String>> = OnceLock::new();
    match SHARED.get_or_init(|| Shared::start().map_err(|e| format!("{e:#}"))) {
        Ok(shared) => Ok(shared.address()),
        Err(error) => anyhow::bail!("no images to test with: {error}"),
    }
}

#[derive(Debug)]
enum Shared {
    Real(DockerRegistry),
    Ours(Registry),
}

impl Shared {
    fn start() -> Result<Self> {
        let shared = match DockerRegistry::start() {
            Ok(real) => Self::Real(real),
            Err(_) => Self::Ours(Registry::start(Auth::Open)?),
        };
        for (name, tag, image) in images()? {
            match &shared {
                Self::Real(registry) => registry.push(name, tag, &image)?,
                Self::Ours(registry) => registry.add(name, tag, &image),
            }
        }
        Ok(shared)
    }

    fn address(&self) -> String {
        match self {
            Self::Real(registry) => registry.address().to_owned(),
            Self::Ours(registry) => registry.address(),
        }
    }
}

fn images() -> Result<Vec<(&'static str, &'static str, Image)>> {
    let layers = busybox_layers([Compression::Gzip; 3])?;
    let with_user =
        |user: &str| Image::new(Kind::Oci, &layers, &json!({ "Cmd": ["sh"], "User": user, "WorkingDir": "/var/www" }));
    let volumes = json!({ "Cmd": ["sh"], "Volumes": { "/etc": {}, "/var/lib/data": {} } });
    Ok(vec![
        ("volumes", "1", Image::new(Kind::Oci, &layers, &volumes)?),
        ("busybox", "1", busybox(Kind::OciIndex)?),
        ("busybox", "oci", busybox(Kind::Oci)?),
        ("busybox", "docker", busybox(Kind::Docker)?),
        ("busybox", "docker-list", busybox(Kind::DockerList)?),
        ("odd", "1", odd(Kind::Docker)?),
        ("user", "www-data", with_user("www-data")?),
        ("user", "numeric", with_user("1234:5678")?),
    ])
}
