//! What a build script needs to build guests of this workspace. Shared with `tests/guests`.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, exit},
};

const TARGET: &str = "wasm32-wasip2";

/// A guest's own stack, in its memory. The default of 1 MiB would be most of what an instance has to reset.
const STACK: usize = 128 << 10;

/// What the inner cargo may see of our environment. All else (`RUSTFLAGS`, `CARGO_PROFILE_…`, a wrapper that clippy put
/// there) is meant for the host and would change the guests.
const KEPT: [&str; 16] = [
    "PATH",
    "HOME",
    "TMPDIR",
    "LANG",
    "RUSTC",
    "RUSTUP_HOME",
    "RUSTUP_TOOLCHAIN",
    "CARGO_HOME",
    "CARGO_MAKEFLAGS",
    "MAKEFLAGS",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "HTTPS_PROXY",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
];
const KEPT_PREFIXES: [&str; 4] = ["CARGO_NET_", "CARGO_HTTP_", "CARGO_REGISTR", "CARGO_SOURCE_"];

/// A crate of the workspace that is built as a component.
pub struct Guest {
    /// The crate's name.
    pub package: String,
    /// Its folder in the workspace.
    pub folder: String,
    /// What the component is called in `OUT_DIR`.
    pub file: String,
}

/// Builds them into `OUT_DIR`, again when a source, the SDK, the contract or the lock file changes.
pub fn build(guests: &[Guest]) {
    let root = Path::new(&var("CARGO_MANIFEST_DIR")).join("../..");
    let out = PathBuf::from(var("OUT_DIR"));
    let shared = ["plugin-sdk", "wit", "Cargo.toml", "Cargo.lock", "plugins/bundled/guest.rs"];
    for path in guests.iter().map(|guest| guest.folder.as_str()).chain(shared) {
        println!("cargo::rerun-if-changed={}", root.join(path).display());
    }
    println!("cargo::rerun-if-changed=build.rs");
    require_target();

    let target_dir = out.join("guests");
    let mut cargo = Command::new(var("CARGO"));
    cargo.args(["build", "--locked", "--profile", "guest", "--target", TARGET]).current_dir(&root);
    cargo.arg("--target-dir").arg(&target_dir);
    for guest in guests {
        cargo.args(["--package", &guest.package]);
    }
    cargo.env_clear().envs(env::vars().filter(|(name, _)| kept(name)));
    cargo.env("CARGO_TARGET_WASM32_WASIP2_RUSTFLAGS", format!("-Clink-arg=-zstack-size={STACK}"));
    match cargo.status() {
        Ok(status) if status.success() => {}
        Ok(status) => fail(&format!("building the guests failed: {status}")),
        Err(error) => fail(&format!("cannot run {:?}: {error}", cargo.get_program())),
    }
    for guest in guests {
        let made = target_dir.join(TARGET).join("guest").join(guest.package.replace('-', "_") + ".wasm");
        if let Err(error) = fs::copy(&made, out.join(&guest.file)) {
            fail(&format!("copy {}: {error}", made.display()));
        }
    }
}

/// rustc names the folder of a target that is not installed too, so it is looked for.
fn require_target() {
    let asked = Command::new(var("RUSTC")).args(["--print", "target-libdir", "--target", TARGET]).output();
    let installed = asked.is_ok_and(|said| Path::new(String::from_utf8_lossy(&said.stdout).trim()).is_dir());
    if !installed {
        fail(&format!(
            "the plugins are WebAssembly and this toolchain cannot build it: run `rustup target add {TARGET}`"
        ));
    }
}

fn kept(name: &str) -> bool {
    KEPT.contains(&name) || KEPT_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

fn var(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| fail(&format!("cargo did not set {name}")))
}

fn fail(why: &str) -> ! {
    println!("cargo::error={why}");
    exit(1)
}
