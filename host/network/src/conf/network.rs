use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use wharf_error::{Error, Kind, Result, ResultExt as _};

use crate::version::Version;

/// One network: plugins that run one after the other.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct Network {
    pub(crate) name: String,
    pub(crate) version: Version,
    #[serde(default)]
    pub(crate) disable_check: bool,
    #[serde(default)]
    pub(crate) disable_gc: bool,
    /// As they stand in the file; each has a `type`.
    pub(crate) plugins: Vec<Map<String, Value>>,
    /// The file it is from, for people.
    pub(crate) file: PathBuf,
}

// === impl Network ===

impl Network {
    /// A `.conflist`, or a file of one plugin, which is a list of one.
    pub(crate) fn parse(file: &Path, text: &[u8]) -> Result<Self> {
        Self::from_json(file, text)
            .step_as(Kind::FailedPrecondition, || format!("network configuration {}", file.display()))
    }

    fn from_json(file: &Path, text: &[u8]) -> Result<Self> {
        let mut all: Map<String, Value> = serde_json::from_slice(text).step(|| "read it as a JSON object".into())?;
        let name = string(&all, "name")?.unwrap_or_default().to_owned();
        if !is_name(&name) {
            return Err(wrong(format!(
                "name {name:?}: letters, digits, `_`, `.` and `-`, the first a letter or digit"
            )));
        }
        let version = version(&all)?;
        let flag = |key: &str| match all.get(key) {
            None | Some(Value::Null) => Ok(false),
            Some(Value::Bool(set)) => Ok(*set),
            // libcni takes these words as well.
            Some(Value::String(text)) if text == "true" || text == "false" => Ok(text == "true"),
            Some(other) => Err(wrong(format!("{key}: {other} is neither true nor false"))),
        };
        let (disable_check, disable_gc) = (flag("disableCheck")?, flag("disableGC")?);
        let plugins = match all.remove("plugins") {
            Some(Value::Array(plugins)) if plugins.is_empty() => {
                return Err(wrong("plugins: the list is empty".into()));
            }
            Some(Value::Array(plugins)) => plugins.into_iter().map(plugin).collect::<Result<_>>()?,
            Some(other) => return Err(wrong(format!("plugins: {other} is no list"))),
            None if file.extension().is_some_and(|extension| extension == "conflist") => {
                return Err(wrong("it has no list of plugins".into()));
            }
            None => vec![plugin(Value::Object(all))?],
        };
        Ok(Self { name, version, disable_check, disable_gc, plugins, file: file.to_owned() })
    }

    /// The names of its plugins, in order.
    pub(crate) fn types(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.plugins.iter().map(plugin_type)
    }
}

/// The name of a plugin's program. Never empty in a [`Network`].
pub(crate) fn plugin_type(plugin: &Map<String, Value>) -> &str {
    plugin.get("type").and_then(Value::as_str).unwrap_or_default()
}

/// The newest version that the file offers and we speak; a file that says nothing is of CNI's first version.
fn version(all: &Map<String, Value>) -> Result<Version> {
    let mut offered = Vec::new();
    offered.extend(string(all, "cniVersion")?.filter(|version| !version.is_empty()).map(str::to_owned));
    match all.get("cniVersions") {
        None | Some(Value::Null) => {}
        Some(Value::Array(versions)) => {
            for version in versions {
                let text = version.as_str().ok_or_else(|| wrong(format!("cniVersions: {version} is no version")))?;
                offered.push(text.to_owned());
            }
        }
        Some(other) => return Err(wrong(format!("cniVersions: {other} is no list"))),
    }
    if offered.is_empty() {
        return Ok(Version::V0_1_0);
    }
    offered.iter().filter_map(|text| Version::parse(text)).max().ok_or_else(|| {
        wrong(format!("cniVersion {}: this is not spoken here", offered.join(", ")))
            .hint(format!("wharf speaks CNI {}", Version::spoken()))
    })
}

/// A plugin's program is looked for by its type, so that must be the plain name of a file.
fn plugin(plugin: Value) -> Result<Map<String, Value>> {
    let Value::Object(plugin) = plugin else { return Err(wrong(format!("plugins: {plugin} is no object"))) };
    let name = string(&plugin, "type")?.unwrap_or_default();
    if name.is_empty() || name == "." || name == ".." || name.contains(['/', '\0']) {
        return Err(wrong(format!("plugin type {name:?}: the name of a program is needed")));
    }
    Ok(plugin)
}

fn string<'a>(all: &'a Map<String, Value>, key: &str) -> Result<Option<&'a str>> {
    match all.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(other) => Err(wrong(format!("{key}: {other} is no text"))),
    }
}

fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
}

fn wrong(what: String) -> Error {
    Error::new(Kind::FailedPrecondition, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(file: &str, text: &str) -> Result<Network> {
        Network::parse(Path::new(file), text.as_bytes())
    }

    #[test]
    fn a_list_keeps_its_plugins_as_they_are() {
        let text = r#"{"cniVersion":"1.0.0","name":"pods","disableCheck":true,
            "plugins":[{"type":"bridge","isGateway":true},{"type":"portmap","capabilities":{"portMappings":true}}]}"#;
        let network = parse("10-pods.conflist", text).unwrap();
        assert_eq!((network.name.as_str(), network.version), ("pods", Version::V1_0_0));
        assert!(network.disable_check && !network.disable_gc);
        assert_eq!(network.types().collect::<Vec<_>>(), ["bridge", "portmap"]);
        assert_eq!(network.plugins[0]["isGateway"], true);
    }

    #[test]
    fn one_plugin_is_a_list_of_one() {
        let network = parse("x.conf", r#"{"cniVersion":"0.3.1","name":"one","type":"ptp","mtu":1400}"#).unwrap();
        assert_eq!(network.types().collect::<Vec<_>>(), ["ptp"]);
        assert_eq!(network.plugins[0]["mtu"], 1400);
        assert_eq!(parse("x.conf", r#"{"name":"one","type":"ptp"}"#).unwrap().version, Version::V0_1_0);
    }

    #[test]
    fn the_newest_common_version_is_spoken() {
        let with =
            |versions: &str| parse("x.conflist", &format!(r#"{{"name":"n",{versions},"plugins":[{{"type":"t"}}]}}"#));
        let chosen = with(r#""cniVersion":"0.4.0","cniVersions":["1.0.0","1.1.0","9.0.0"]"#).unwrap();
        assert_eq!(chosen.version, Version::V1_1_0);
        let refused = with(r#""cniVersion":"9.0.0""#).unwrap_err().to_string();
        assert!(refused.contains("9.0.0") && refused.contains("1.1.0"), "{refused}");
    }

    #[test]
    fn what_is_wrong_with_a_file_is_said_with_its_name() {
        for (text, word) in [
            ("{", "JSON"),
            (r#"{"plugins":[{"type":"t"}]}"#, "name"),
            (r#"{"name":"a/b","plugins":[{"type":"t"}]}"#, "a/b"),
            (r#"{"name":"n","plugins":[]}"#, "empty"),
            (r#"{"name":"n"}"#, "no list"),
            (r#"{"name":"n","plugins":[{"type":"../evil"}]}"#, "../evil"),
            (r#"{"name":"n","plugins":[{}]}"#, "type"),
            (r#"{"name":"n","disableGC":3,"plugins":[{"type":"t"}]}"#, "disableGC"),
        ] {
            let error = parse("/etc/cni/net.d/10-x.conflist", text).unwrap_err();
            assert_eq!(error.kind(), Kind::FailedPrecondition);
            let error = error.to_string();
            assert!(error.contains("10-x.conflist") && error.contains(word), "{text}: {error}");
        }
    }
}
