//! The images that critest names, each in another of the forms that registries hold.

mod programs;

use anyhow::Result;
use serde_json::{Value, json};
use wharf_testkit::{Compression, Image, Kind, Layer, Tree, architecture, unpacked_package, userland};

/// The registries in the images' names.
pub const REGISTRIES: &[&str] = &["registry.k8s.io", "gcr.io", "k8s.gcr.io"];

const E2E: &str = "registry.k8s.io/e2e-test-images";
const CRI: &str = "gcr.io/k8s-staging-cri-tools";
const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

const PASSWD: &str = "\
root:x:0:0:root:/root:/bin/sh
daemon:x:1:1:daemon:/usr/sbin:/bin/false
www-data:x:33:33:www-data:/var/www:/bin/false
nobody:x:65534:65534:nobody:/home:/bin/false
";
const GROUP: &str = "root:x:0:\ndaemon:x:1:\nwww-data:x:33:\nusers:x:100:\nnogroup:x:65534:\n";

/// busybox has neither of these two, and critest calls both.
const PGREP: &str = r#"#!/bin/sh
found=1
for dir in /proc/[0-9]*; do
  pid=${dir#/proc/}
  [ "$pid" = $$ ] && continue
  read -r name 2>/dev/null <"$dir/comm" || continue
  case $name in *"$1"*) echo "$pid"; found=0 ;; esac
done
exit $found
"#;
const IPCS: &str = r#"#!/bin/sh
echo "------ Shared Memory Segments --------"
echo "key shmid perms bytes nattch"
while read -r key id perms size creator last attached rest; do
  [ "$key" = key ] || echo "$key $id $perms $size $attached"
done </proc/sysvipc/shm
"#;

/// An image under one of its names.
pub struct Named {
    /// Registry and repository.
    pub repository: String,
    /// Tag.
    pub tag: &'static str,
    /// The image.
    pub image: Image,
}

/// Every image that critest 1.36 names, but the one whose digest is a constant.
///
/// # Errors
///
/// When a package cannot be had, or there is no C compiler.
pub fn all() -> Result<Vec<Named>> {
    let base = base()?;
    let shell = json!({ "Cmd": ["sh"], "Env": [PATH] });
    let mut all = vec![named(E2E, "busybox", "1.29-2", Image::new(Kind::OciIndex, &base, &shell)?)];
    web(&base, &mut all)?;
    let euid = one_file("setuid program", "euid", &programs::euid()?, 0o4755)?;
    let run = json!({ "Entrypoint": ["/euid"], "Env": [PATH] });
    all.push(named(E2E, "nonewprivs", "1.3", Image::new(Kind::Oci, &[euid], &run)?));
    for name in ["test-image-1", "test-image-2", "test-image-3", "test-image-latest"] {
        all.push(named(CRI, name, "latest", Image::new(Kind::OciIndex, &marked(&base, name)?, &shell)?));
    }
    for tag in ["test", "all"] {
        let layers = marked(&base, &format!("test-image-tag-{tag}"))?;
        all.push(named(CRI, "test-image-tag", tag, Image::new(Kind::DockerList, &layers, &shell)?));
    }
    let tags = Image::new(Kind::Docker, &marked(&base, "test-image-tags")?, &shell)?;
    all.extend(["1", "2", "3"].map(|tag| named(CRI, "test-image-tags", tag, tags.clone())));
    for (name, user) in
        [("uid", "1002"), ("username", "www-data"), ("uid-group", "1003:1004"), ("username-group", "www-data:1004")]
    {
        let config = json!({ "Cmd": ["sh"], "Env": [PATH], "User": user });
        all.push(named(CRI, &format!("test-image-user-{name}"), "latest", Image::new(Kind::Oci, &base, &config)?));
    }
    all.push(named(CRI, "test-image-predefined-group", "latest", predefined_group(&base)?));
    let pause = one_file("a process that waits", "pause", &programs::pause()?, 0o755)?;
    let wait = json!({ "Entrypoint": ["/pause"], "User": "65535:65535", "Env": [PATH], "WorkingDir": "/" });
    let pause = Image::new(Kind::DockerList, &[pause], &wait)?;
    all.push(named("registry.k8s.io", "pause", "3.9", pause.clone()));
    all.push(named("k8s.gcr.io", "pause", "3.9", pause));
    Ok(all)
}

fn named(registry: &str, name: &str, tag: &'static str, image: Image) -> Named {
    Named { repository: format!("{registry}/{name}"), tag, image }
}

fn base() -> Result<Vec<Layer>> {
    let parts = userland()?;
    let mut more = Tree::new();
    more.file("bin/pgrep", PGREP).mode(0o755);
    more.file("bin/ipcs", IPCS).mode(0o755);
    more.file("etc/passwd", PASSWD);
    more.file("etc/group", GROUP);
    more.symlink("var/run", "/run");
    [
        ("C library", &parts.libraries),
        ("shell and tools", &parts.programs),
        ("folders", &parts.skeleton),
        ("users and scripts", &more),
    ]
    .into_iter()
    .map(|(note, tree)| Layer::new(note, tree, Compression::Gzip))
    .collect()
}

fn marked(base: &[Layer], mark: &str) -> Result<Vec<Layer>> {
    let layer = one_file(&format!("marker file /{mark}"), mark, format!("{mark}\n").as_bytes(), 0o644)?;
    Ok(base.iter().cloned().chain([layer]).collect())
}

fn one_file(note: &str, path: &str, data: &[u8], mode: u32) -> Result<Layer> {
    let mut tree = Tree::new();
    tree.file(path, data).mode(mode);
    Layer::new(note, &tree, Compression::Gzip)
}

fn predefined_group(base: &[Layer]) -> Result<Image> {
    let mut tree = Tree::new();
    tree.file("etc/passwd", format!("{PASSWD}default-user:x:1000:1000::/home/default-user:/bin/sh\n"));
    tree.file("etc/group", format!("{GROUP}default-user:x:1000:\ngroup-defined-in-image:x:50000:default-user\n"));
    tree.dir("home/default-user").owner(1000, 1000);
    let layer = Layer::new("default-user and its group", &tree, Compression::Gzip)?;
    let layers: Vec<_> = base.iter().cloned().chain([layer]).collect();
    Image::new(Kind::OciIndex, &layers, &json!({ "Cmd": ["sh"], "Env": [PATH], "User": "1000" }))
}

fn web(base: &[Layer], all: &mut Vec<Named>) -> Result<()> {
    let mut libraries = Tree::new();
    let wanted: [(&str, &[&str]); 4] = [
        ("libcrypt1", &["libcrypt"]),
        ("libpcre2-8-0", &["libpcre2"]),
        ("libssl3", &["libssl.so", "libcrypto.so"]),
        ("zlib1g", &["libz"]),
    ];
    for (package, starts) in wanted {
        libraries.take(&unpacked_package(package)?, &|path| {
            let name = path.rsplit('/').next().unwrap_or(path);
            (name.contains(".so") && starts.iter().any(|start| name.starts_with(start))).then(|| path.to_owned())
        })?;
    }
    let mut server = Tree::new();
    server
        .take(&unpacked_package("nginx")?, &|path| path.ends_with("sbin/nginx").then(|| "usr/sbin/nginx".to_owned()))?;
    server.dir("var/log/nginx");
    server.dir("var/lib/nginx");
    server.file("usr/share/nginx/html/index.html", "<h1>It works</h1>\n");
    let libraries = Layer::new("libraries that nginx links", &libraries, Compression::Gzip)?;
    let server = Layer::new("nginx", &server, Compression::Gzip)?;
    let host = format!("hostnet-nginx-{}", architecture());
    for (registry, name, tag, port, kind) in
        [(E2E, "nginx", "1.14-2", 80, Kind::DockerList), (CRI, host.as_str(), "latest", 12003, Kind::Docker)]
    {
        let config = one_file("nginx.conf", "etc/nginx/nginx.conf", nginx_conf(port).as_bytes(), 0o644)?;
        let layers: Vec<_> = base.iter().cloned().chain([libraries.clone(), server.clone(), config]).collect();
        all.push(named(registry, name, tag, Image::new(kind, &layers, &serves(port))?));
    }
    let page = one_file("one page", "www/index.html", b"<h1>It works</h1>\n", 0o644)?;
    let layers: Vec<_> = base.iter().cloned().chain([page]).collect();
    let start = "echo 'httpd: serving port 80'; exec httpd -f -v -p 80 -h /www";
    let config = json!({ "Entrypoint": ["sh", "-c", start], "Env": [PATH], "ExposedPorts": { "80/tcp": {} } });
    all.push(named(E2E, "httpd", "2.4.39-4", Image::new(Kind::OciIndex, &layers, &config)?));
    Ok(())
}

fn serves(port: u16) -> Value {
    json!({
        "Entrypoint": ["/usr/sbin/nginx", "-g", "daemon off;"], "Env": [PATH], "StopSignal": "SIGQUIT",
        "ExposedPorts": { format!("{port}/tcp"): {} },
    })
}

fn nginx_conf(port: u16) -> String {
    format!(
        "user www-data;
worker_processes 1;
pid /var/run/nginx.pid;
error_log /dev/stderr notice;
events {{ worker_connections 256; }}
http {{
  types {{ text/html html; text/plain txt; }}
  access_log /dev/stdout;
  server {{ listen {port}; root /usr/share/nginx/html; }}
}}
"
    )
}
