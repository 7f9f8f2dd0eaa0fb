//! Streams over TLS, with certificates of the server and, where asked, of clients.

use std::{fs, path::Path};

use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use wharf_e2e::Node;
use wharf_testkit::DaemonOptions;

/// Writes `ca.crt`, and for the server and a client each a certificate of it with its key.
fn certificates(dir: &Path) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    fs::write(dir.join("ca.crt"), params.self_signed(&key).unwrap().pem()).unwrap();
    let ca = Issuer::new(params, key);
    for (name, usage) in
        [("server", ExtendedKeyUsagePurpose::ServerAuth), ("client", ExtendedKeyUsagePurpose::ClientAuth)]
    {
        // crictl calls every address of its own machine localhost.
        let mut params = CertificateParams::new(vec!["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
        params.extended_key_usages = vec![usage];
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &ca).unwrap();
        fs::write(dir.join(format!("{name}.crt")), certificate.pem()).unwrap();
        fs::write(dir.join(format!("{name}.key")), key.serialize_pem()).unwrap();
    }
}

#[test]
fn streams_are_encrypted_and_clients_show_who_they_are() {
    let dir = tempfile::tempdir().unwrap();
    certificates(dir.path());
    let file = |name: &str| dir.path().join(name).display().to_string();
    let config = format!(
        "[streaming]\ntls_certificate = {:?}\ntls_key = {:?}\ntls_client_ca = {:?}\n",
        file("server.crt"),
        file("server.key"),
        file("ca.crt")
    );
    let Some(node) = Node::with(DaemonOptions { config, ..DaemonOptions::default() }) else { return };
    node.ok(&["pull", &Node::image()]);
    let pod = node.pod("tls");
    let id = node.run(&pod, "main", "sleep 1000");
    let (ca, certificate, key) = (file("ca.crt"), file("client.crt"), file("client.key"));
    for transport in ["spdy", "websocket"] {
        let script = [id.as_str(), "sh", "-c", "head -c 3000000 /dev/zero | wc -c; echo through"];
        let mut arguments = vec!["exec", "--transport", transport];
        let said = node.fails(&[&arguments[..], &script].concat());
        assert!(said.contains("certificate"), "{transport}: a client without one: {said}");
        arguments.extend(["--tls-ca", &ca, "--tls-cert", &certificate, "--tls-key", &key]);
        assert_eq!(node.ok(&[&arguments[..], &script].concat()), "3000000\nthrough", "{transport}");
    }
    node.finish();
}

#[test]
fn wharf_exec_trusts_the_certificate_of_its_daemon_or_what_it_is_told_to() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    certificates(dir.path());
    certificates(other.path());
    let file = |name: &str| dir.path().join(name).display().to_string();
    let server =
        format!("[streaming]\ntls_certificate = {:?}\ntls_key = {:?}\n", file("server.crt"), file("server.key"));
    for client_ca in [None, Some(file("ca.crt"))] {
        let with_ca = client_ca.as_ref().map(|ca| format!("tls_client_ca = {ca:?}\n")).unwrap_or_default();
        let config = server.clone() + &with_ca;
        let Some(node) = Node::with(DaemonOptions { config, ..DaemonOptions::default() }) else { return };
        node.ok(&["pull", &Node::image()]);
        let id = node.run(&node.pod("tls"), "main", "sleep 1000");
        let exec = |flags: &[&str]| {
            let command = [id.as_str(), "sh", "-c", "head -c 3000000 /dev/zero | wc -c; exit 7"];
            let out = node.daemon.wharf(&[&["exec"][..], flags, &command].concat()).output().unwrap();
            let said = String::from_utf8_lossy(&out.stderr).into_owned();
            (out.status.code(), String::from_utf8_lossy(&out.stdout).into_owned(), said)
        };
        let through = |flags: &[&str]| {
            let (code, out, said) = exec(flags);
            assert_eq!((code, out.trim()), (Some(7), "3000000"), "{flags:?}: {said}");
        };
        let shown = ["--tls-cert", &file("client.crt"), "--tls-key", &file("client.key")];
        through(&shown);
        through(&[&shown[..], &["--tls-ca", &file("ca.crt")]].concat());
        let wrong = other.path().join("ca.crt").display().to_string();
        let (code, _, said) = exec(&[&shown[..], &["--tls-ca", &wrong]].concat());
        assert!(code == Some(125) && said.contains("certificate"), "an authority that is not the daemon's: {said}");
        let (code, _, said) = exec(&[]);
        match client_ca {
            None => assert_eq!(code, Some(7), "{said}"),
            Some(_) => assert!(code == Some(125) && said.contains("--tls-cert"), "without a certificate: {said}"),
        }
        node.finish();
    }
}

#[test]
fn a_key_that_cannot_be_read_is_named_at_the_start() {
    let dir = tempfile::tempdir().unwrap();
    certificates(dir.path());
    fs::write(dir.path().join("server.key"), "no key").unwrap();
    let config = dir.path().join("config.toml");
    let text = format!(
        "root = {:?}\nstate = {:?}\n[streaming]\ntls_certificate = {:?}\ntls_key = {:?}\n",
        dir.path().join("root"),
        dir.path().join("state"),
        dir.path().join("server.crt"),
        dir.path().join("server.key"),
    );
    fs::write(&config, text).unwrap();
    let wharf = wharf_testkit::Daemon::bin_dir().unwrap().join("wharf");
    let ran = std::process::Command::new(wharf).args(["daemon", "--config"]).arg(&config).output().unwrap();
    assert!(!ran.status.success());
    let said = String::from_utf8_lossy(&ran.stderr).into_owned() + &String::from_utf8_lossy(&ran.stdout);
    assert!(said.contains("read the key") && said.contains("server.key"), "{said}");
}
