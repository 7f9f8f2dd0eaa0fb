use oci_spec::runtime::{Process, Spec};
use wharf_error::{Error, Kind, Result};

/// Refuses what this crate does not do, by the field's name: nothing that a specification asks for is left out silently.
pub(crate) fn refuse_spec(spec: &Spec) -> Result<()> {
    let asked = |field: &str, asked: bool| if asked { Err(unsupported(field)) } else { Ok(()) };
    asked("solaris", spec.solaris().is_some())?;
    asked("windows", spec.windows().is_some())?;
    asked("vm", spec.vm().is_some())?;
    asked("zos", spec.zos().is_some())?;
    asked("uidMappings", some_of(spec.uid_mappings()))?;
    asked("gidMappings", some_of(spec.gid_mappings()))?;
    if let Some(linux) = spec.linux() {
        asked("linux.intelRdt", linux.intel_rdt().is_some())?;
    }
    spec.process().as_ref().map_or(Ok(()), refuse_process)
}

/// The same for a process.
pub(crate) fn refuse_process(process: &Process) -> Result<()> {
    let asked = |field: &str, asked: bool| if asked { Err(unsupported(field)) } else { Ok(()) };
    asked("process.commandLine", some_text(process.command_line()))
}

fn unsupported(field: &str) -> Error {
    Error::new(Kind::Unsupported, format!("{field} is not supported by this runtime"))
}

fn some_of<T>(list: &Option<Vec<T>>) -> bool {
    list.as_ref().is_some_and(|list| !list.is_empty())
}

fn some_text(text: &Option<String>) -> bool {
    text.as_ref().is_some_and(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(json: serde_json::Value) -> Option<String> {
        let mut whole = serde_json::json!({ "ociVersion": "1.2.0" });
        for (key, value) in json.as_object().unwrap() {
            whole[key] = value.clone();
        }
        let spec: Spec = serde_json::from_value(whole).unwrap();
        refuse_spec(&spec).err().map(|error| {
            assert_eq!(error.kind(), Kind::Unsupported);
            error.to_string()
        })
    }

    #[test]
    fn what_is_not_done_is_refused_by_name() {
        let process = |field: &str, value: serde_json::Value| serde_json::json!({ "process": { "user": { "uid": 0, "gid": 0 }, "cwd": "/", field: value } });
        let mapping = serde_json::json!([{ "hostID": 1000, "containerID": 0, "size": 1 }]);
        for (json, field) in [
            (serde_json::json!({ "uidMappings": mapping }), "uidMappings"),
            (serde_json::json!({ "linux": { "intelRdt": {} } }), "linux.intelRdt"),
            (process("commandLine", "x".into()), "process.commandLine"),
        ] {
            let refused = refusal(json.clone()).unwrap_or_else(|| panic!("{json} is not refused"));
            assert_eq!(refused, format!("{field} is not supported by this runtime"));
        }
    }

    #[test]
    fn what_asks_for_nothing_is_taken() {
        assert_eq!(refusal(serde_json::json!({ "linux": { "uidMappings": [], "mountLabel": "" } })), None);
    }
}
