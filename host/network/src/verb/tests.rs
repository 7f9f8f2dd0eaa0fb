use std::{fs, path::Path, time::Duration};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    conf::Network,
    plugin::{Plugins, script},
    request::Target,
};

/// Two plugins that write down what they are asked, and a network of them.
struct Chain {
    dir: TempDir,
    plugins: Plugins,
    network: Network,
    target: Target,
}

fn chain(version: &str, first: &str, second: &str) -> Chain {
    let dir = tempfile::tempdir().unwrap();
    for (name, answer) in [("first", first), ("second", second)] {
        let log = dir.path().join("log");
        let text = format!(
            "printf '{{\"plugin\":\"{name}\",\"verb\":\"%s\",\"conf\":%s}}\\n' \"$CNI_COMMAND\" \"$(cat)\" >> {}\n{answer}",
            log.display()
        );
        script(dir.path(), name, &text);
    }
    let conf =
        format!(r#"{{"cniVersion":"{version}","name":"net","plugins":[{{"type":"first"}},{{"type":"second"}}]}}"#);
    let network = Network::parse(Path::new("net.conflist"), conf.as_bytes()).unwrap();
    let plugins = Plugins::new(vec![dir.path().to_owned()], Duration::from_secs(60), "unit");
    let target =
        Target { pod: "p".into(), netns: "/run/netns/x".into(), args: String::new(), capabilities: Default::default() };
    Chain { dir, plugins, network, target }
}

impl Chain {
    /// Who was asked what, and with which earlier result.
    fn seen(&self) -> Vec<(String, String, Value)> {
        let text = fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
        let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let word = |value: &Value| value.as_str().unwrap().to_owned();
        lines.map(|line| (word(&line["plugin"]), word(&line["verb"]), line["conf"]["prevResult"].clone())).collect()
    }
}

const FIRST: &str = r#"[ $CNI_COMMAND = ADD ] && echo '{"cniVersion":"0.4.0","ips":[{"version":"4","address":"10.0.0.5/24"}]}'; exit 0"#;
const SECOND: &str = r#"[ $CNI_COMMAND = ADD ] && echo '{"ips":[{"address":"10.0.0.6/24"}]}'; exit 0"#;

#[tokio::test]
async fn each_plugin_is_told_what_is_there_in_the_networks_version() {
    let chain = chain("1.0.0", FIRST, SECOND);
    let made = chain.plugins.add(&chain.network, &chain.target, "eth0").await.unwrap();
    assert_eq!(made, json!({ "cniVersion": "1.0.0", "ips": [{ "address": "10.0.0.6/24" }] }));
    chain.plugins.check(&chain.network, &chain.target, "eth0", &made).await.unwrap();
    chain.plugins.del(&chain.network, &chain.target, "eth0", Some(&made)).await.unwrap();
    let first = json!({ "cniVersion": "1.0.0", "ips": [{ "address": "10.0.0.5/24" }] });
    let seen: Vec<_> = chain.seen();
    let expected = [
        ("first", "ADD", &Value::Null),
        ("second", "ADD", &first),
        ("first", "CHECK", &made),
        ("second", "CHECK", &made),
        ("second", "DEL", &made),
        ("first", "DEL", &made),
    ];
    assert_eq!(seen, expected.map(|(plugin, verb, result)| (plugin.to_owned(), verb.to_owned(), result.clone())));
}

#[tokio::test]
async fn older_versions_know_no_check_and_no_result_in_a_del() {
    let chain = chain("0.3.1", FIRST, SECOND);
    let made = chain.plugins.add(&chain.network, &chain.target, "eth0").await.unwrap();
    chain.plugins.check(&chain.network, &chain.target, "eth0", &made).await.unwrap();
    chain.plugins.del(&chain.network, &chain.target, "eth0", Some(&made)).await.unwrap();
    chain.plugins.gc(&chain.network, &[]).await.unwrap();
    chain.plugins.status(&chain.network).await.unwrap();
    let verbs: Vec<_> =
        chain.seen().into_iter().map(|(plugin, verb, result)| (plugin, verb, result.is_null())).collect();
    let expected = [("first", "ADD", true), ("second", "ADD", false), ("second", "DEL", true), ("first", "DEL", true)];
    assert_eq!(verbs, expected.map(|(plugin, verb, null)| (plugin.to_owned(), verb.to_owned(), null)));
}

#[tokio::test]
async fn the_first_failure_ends_an_add_and_is_told() {
    let chain = chain("1.0.0", r#"echo '{"code":100,"msg":"no room"}'; exit 1"#, SECOND);
    let error = chain.plugins.add(&chain.network, &chain.target, "eth0").await.unwrap_err();
    assert_eq!(error.to_string(), "network net: plugin first: ADD: no room (CNI error 100)");
    assert_eq!(chain.seen().len(), 1);
}

#[tokio::test]
async fn a_result_that_is_none_is_an_error() {
    for (answer, word) in
        [("true", "no result"), ("echo hello", "result that it printed"), ("echo '[]'", "no JSON object")]
    {
        let chain = chain("1.0.0", answer, SECOND);
        let error = chain.plugins.add(&chain.network, &chain.target, "eth0").await.unwrap_err().to_string();
        assert!(error.contains("plugin first: ADD") && error.contains(word), "{answer}: {error}");
    }
}

#[tokio::test]
async fn collection_and_status_are_asked_of_every_plugin_of_a_new_network() {
    let chain = chain(
        "1.1.0",
        "exit 0",
        r#"[ $CNI_COMMAND = STATUS ] && { echo '{"code":50,"msg":"not yet"}'; exit 1; }; exit 0"#,
    );
    chain.plugins.gc(&chain.network, &[("p".into(), "eth0".into())]).await.unwrap();
    let error = chain.plugins.status(&chain.network).await.unwrap_err().to_string();
    assert_eq!(error, "network net: plugin second: STATUS: not yet (CNI error 50)");
    let log = fs::read_to_string(chain.dir.path().join("log")).unwrap();
    assert_eq!(log.matches(r#""cni.dev/valid-attachments":[{"containerID":"p","ifname":"eth0"}]"#).count(), 2, "{log}");
    assert_eq!(log.matches("STATUS").count(), 2);
}

#[tokio::test]
async fn a_plugin_that_does_not_speak_the_version_is_found_before_it_is_needed() {
    let speaks = |versions: &str| format!(r#"echo '{{"cniVersion":"1.0.0","supportedVersions":[{versions}]}}'"#);
    let old = chain("1.1.0", &speaks(r#""1.0.0","1.1.0""#), &speaks(r#""0.4.0","1.0.0""#));
    let error = old.plugins.verify(&old.network).await.unwrap_err().to_string();
    assert!(error.contains("plugin second does not speak CNI 1.1.0") && error.contains("0.4.0, 1.0.0"), "{error}");
    let silent = chain("1.0.0", "exit 1", "echo '{}'");
    silent.plugins.verify(&silent.network).await.unwrap();
    fs::remove_file(silent.dir.path().join("second")).unwrap();
    let error = silent.plugins.verify(&silent.network).await.unwrap_err().to_string();
    assert!(error.contains("no program \"second\""), "{error}");
}
