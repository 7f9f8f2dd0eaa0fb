use std::{
    io,
    path::{Path, PathBuf},
};

use wharf_error::{Result, ResultExt as _};

use super::{
    Endpoint,
    file::{HostEntry, HostsFile},
    one_or_many::{OneOrMany, Pairs},
};

/// The hosts of a registry in the order of trying, the registry itself last. Blocking: reads the disk.
///
/// Of the folders `<host>_<port>_`, `<host>:<port>` and `_default` the first that exists counts. A folder without
/// hosts.toml, or with an empty one, may hold `*.crt` (authorities) and pairs of `*.cert` and `*.key`, as Docker has
/// it; a `*.cert` by itself has its key inside.
pub(crate) fn load(certs_d: &Path, registry: &str) -> Result<Vec<Endpoint>> {
    let (path, file) = match folder_of(certs_d, registry)? {
        Some(folder) => {
            let path = folder.join("hosts.toml");
            match std::fs::read_to_string(&path) {
                Ok(text) if text.is_empty() => (path, HostsFile::from_certificates(&folder)?),
                Ok(text) => (path.clone(), HostsFile::parse(&path, &text)?),
                Err(error) if error.kind() == io::ErrorKind::NotFound => (path, HostsFile::from_certificates(&folder)?),
                Err(error) => return Err(error).step(|| format!("{}: read", path.display())),
            }
        }
        None => (certs_d.join("hosts.toml"), HostsFile::default()),
    };
    endpoints(&path, &file, registry)
}

/// The hosts that the text of a file describes.
#[cfg(feature = "fuzzing")]
pub(crate) fn parse(path: &Path, text: &str, registry: &str) -> Result<Vec<Endpoint>> {
    endpoints(path, &HostsFile::parse(path, text)?, registry)
}

fn endpoints(path: &Path, file: &HostsFile, registry: &str) -> Result<Vec<Endpoint>> {
    let mut endpoints = Vec::with_capacity(file.host.0.len() + 1);
    for (url, entry) in &file.host.0 {
        endpoints.push(entry.endpoint(path, url)?);
    }
    let server = file.server.as_deref().filter(|server| !server.is_empty());
    let mut own = file.own.endpoint(path, server.unwrap_or(default_host(registry)))?;
    own.is_registry = true;
    let upstream = HostEntry::default().endpoint(path, default_host(registry))?.origin;
    endpoints.retain(|mirror| mirror.base != own.base || !mirror.headers.is_empty() || mirror.tls.is_configured());
    endpoints.push(own);
    for endpoint in &mut endpoints {
        let same_host = endpoint.origin.host == upstream.host && endpoint.origin.port == upstream.port;
        endpoint.is_registry |= same_host;
        endpoint.ns = (!same_host).then(|| registry.to_owned());
    }
    Ok(endpoints)
}

/// Where a registry lives that is named so.
fn default_host(registry: &str) -> &str {
    if registry == "docker.io" { "registry-1.docker.io" } else { registry }
}

fn folder_of(certs_d: &Path, registry: &str) -> Result<Option<PathBuf>> {
    let mut names = Vec::with_capacity(3);
    if let Some((host, port)) = registry.rsplit_once(':').filter(|(_, port)| !port.contains(']')) {
        names.push(format!("{host}_{port}_"));
    }
    names.extend([registry.to_owned(), "_default".to_owned()]);
    for name in names {
        let folder = certs_d.join(name);
        match std::fs::metadata(&folder) {
            Ok(metadata) if metadata.is_dir() => return Ok(Some(folder)),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).step(|| format!("{}: look for hosts.toml", folder.display())),
        }
    }
    Ok(None)
}

impl HostsFile {
    fn from_certificates(folder: &Path) -> Result<Self> {
        let mut names: Vec<String> = Vec::new();
        for entry in folder.read_dir().step(|| format!("{}: list", folder.display()))? {
            let entry = entry.step(|| format!("{}: list", folder.display()))?;
            names.extend(entry.file_name().into_string());
        }
        names.sort();
        let ca = names.iter().filter(|name| name.ends_with(".crt")).cloned().collect();
        let mut client = Vec::new();
        for certificate in names.iter().filter(|name| name.ends_with(".cert")) {
            let key = format!("{}.key", certificate.trim_end_matches(".cert"));
            client.push((certificate.clone(), names.contains(&key).then_some(key)));
        }
        Ok(Self { own: HostEntry::with_certificates(OneOrMany(ca), Pairs(client)), ..Self::default() })
    }
}

#[cfg(test)]
mod tests {
    use wharf_error::Kind;

    use super::*;

    fn with(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = dir.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        dir
    }

    fn bases(endpoints: &[Endpoint]) -> Vec<&str> {
        endpoints.iter().map(|e| e.base.as_str()).collect()
    }

    #[test]
    fn without_a_file_the_registry_stands_for_itself() {
        let dir = with(&[]);
        let hub = load(dir.path(), "docker.io").unwrap();
        assert_eq!(bases(&hub), ["https://registry-1.docker.io/v2"]);
        assert!(hub[0].is_registry && hub[0].ns.is_none());
        assert_eq!(bases(&load(dir.path(), "127.0.0.1:5000").unwrap()), ["https://127.0.0.1:5000/v2"]);
        let here = load(dir.path(), "127.0.0.1:5000").unwrap().remove(0);
        let clear = here.in_clear().unwrap();
        assert_eq!((clear.base.as_str(), clear.origin.scheme.as_str()), ("http://127.0.0.1:5000/v2", "http"));
        assert!(here.lenient && clear.in_clear().is_none() && hub[0].in_clear().is_none() && !hub[0].lenient);
        assert_eq!(bases(&load(&dir.path().join("absent"), "[::1]:5000").unwrap()), ["https://[::1]:5000/v2"]);
    }

    #[test]
    fn mirrors_come_in_the_order_of_the_file_and_the_server_last() {
        let text = r#"
            server = "https://up.example"
            [host."https://z.example"]
              capabilities = ["pull"]
            [host."https://a.example/v2/proxy"]
              override_path = true
              dial_timeout = "3s"
            [host."http://m.example:8080/base"]
              [host."http://m.example:8080/base".header]
                x-one = "1"
                x-two = ["2", "3"]
        "#;
        let dir = with(&[("docker.io/hosts.toml", text), ("_default/hosts.toml", "server = 'https://d.example'")]);
        let hosts = load(dir.path(), "docker.io").unwrap();
        let expected = [
            "https://z.example/v2",
            "https://a.example/v2/proxy",
            "http://m.example:8080/base/v2",
            "https://up.example/v2",
        ];
        assert_eq!(bases(&hosts), expected);
        assert!(hosts[0].pull && !hosts[0].resolve);
        assert_eq!(hosts[1].dial_timeout, Some(std::time::Duration::from_secs(3)));
        assert_eq!(hosts[2].headers.get_all("x-two").iter().count(), 2);
        assert!(hosts.iter().all(|host| host.ns.as_deref() == Some("docker.io")), "none of them is the registry");
        assert_eq!(hosts.iter().map(|host| host.is_registry).collect::<Vec<_>>(), [false, false, false, true]);
        assert_eq!(bases(&load(dir.path(), "quay.io").unwrap()), ["https://d.example/v2"], "all others: _default");
    }

    #[test]
    fn a_port_may_be_written_both_ways_and_paths_are_relative_to_the_file() {
        let tls = "ca = 'ca.pem'\nclient = [['c.pem', 'k.pem'], '/abs/both.pem']";
        let dir = with(&[("r.example_5000_/hosts.toml", tls), ("s.example:5000/hosts.toml", "skip_verify = true")]);
        let host = load(dir.path(), "r.example:5000").unwrap().remove(0);
        let folder = dir.path().join("r.example_5000_");
        assert_eq!(host.tls.ca, [folder.join("ca.pem")]);
        assert_eq!(host.tls.client[0], (folder.join("c.pem"), Some(folder.join("k.pem"))));
        assert_eq!(host.tls.client[1], ("/abs/both.pem".into(), None));
        assert!(load(dir.path(), "s.example:5000").unwrap()[0].tls.skip_verify);
    }

    #[test]
    fn a_folder_of_certificates_is_docker_s_way() {
        let dir = with(&[("r.example/ca.crt", ""), ("r.example/me.cert", ""), ("r.example/me.key", "")]);
        let host = load(dir.path(), "r.example").unwrap().remove(0);
        assert_eq!((host.tls.ca.len(), host.tls.client.len()), (1, 1));
        let (certificate, key) = &host.tls.client[0];
        assert!(certificate.ends_with("r.example/me.cert") && key.as_ref().unwrap().ends_with("r.example/me.key"));
        // Both in one file; and a hosts.toml without a word is as good as none.
        std::fs::remove_file(dir.path().join("r.example/me.key")).unwrap();
        std::fs::write(dir.path().join("r.example/hosts.toml"), "").unwrap();
        let host = load(dir.path(), "r.example").unwrap().remove(0);
        assert_eq!((host.tls.ca.len(), host.tls.client[0].1.as_ref()), (1, None));
    }

    #[test]
    fn what_is_not_said_is_as_with_containerd() {
        let dir = with(&[
            ("a.example/hosts.toml", "capabilities = []\ndial_timeout = '0s'"),
            ("b.example/hosts.toml", "capabilities = ['Pull']"),
        ]);
        let all = load(dir.path(), "a.example").unwrap().remove(0);
        assert!(all.pull && all.resolve && all.dial_timeout.is_none());
        let pull = load(dir.path(), "b.example").unwrap().remove(0);
        assert!(pull.pull && !pull.resolve);
    }

    #[test]
    fn what_is_wrong_names_the_file_and_what_is_unknown_is_passed_over() {
        let dir = with(&[
            ("bad.example/hosts.toml", "server = 3"),
            ("url.example/hosts.toml", "[host.\"ftp://x\"]"),
            ("cap.example/hosts.toml", "capabilities = ['fly']"),
            ("new.example/hosts.toml", "server = 'https://a.example'\nshiny = true\n[host.'https://b.example']\nx = 1"),
        ]);
        for registry in ["bad.example", "url.example", "cap.example"] {
            let error = load(dir.path(), registry).unwrap_err();
            assert_eq!(error.kind(), Kind::FailedPrecondition, "{error}");
            assert!(error.to_string().contains(&format!("{registry}/hosts.toml")), "{error}");
        }
        assert_eq!(load(dir.path(), "new.example").unwrap().len(), 2);
    }
}
