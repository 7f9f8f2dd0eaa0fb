use wharf_api::cri::KeyValue;
use wharf_error::{Error, Kind, Result};

use super::Input;

const DEFAULT_PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The defaults, then the image's, then the container's own: a later one takes the place of an earlier one.
pub(super) fn build(input: &Input<'_>) -> Result<Vec<String>> {
    let mut env = vec![DEFAULT_PATH.to_owned()];
    if input.config.tty {
        env.push("TERM=xterm".to_owned());
    }
    let hostname = match input.pod_config.hostname.as_str() {
        "" => &input.node.hostname,
        own => own,
    };
    set(&mut env, format!("HOSTNAME={hostname}"));
    for entry in input.image.env().iter().flatten() {
        set(&mut env, entry.clone());
    }
    for variable in &input.config.envs {
        set(&mut env, entry(variable)?);
    }
    Ok(env)
}

fn entry(variable: &KeyValue) -> Result<String> {
    let key = &variable.key;
    if key.is_empty() || key.contains(['=', '\0']) || variable.value.contains(&0) {
        return Err(Error::invalid(format!("envs: {key:?} is no name of a variable, or its value has a NUL")));
    }
    // The specification is JSON, and JSON has no bytes.
    let value = String::from_utf8(variable.value.clone())
        .map_err(|_| Error::new(Kind::Unsupported, format!("envs[{key}]: the value is not UTF-8")))?;
    Ok(format!("{key}={value}"))
}

/// An entry without `=` takes the variable away, as Docker has it.
fn set(env: &mut Vec<String>, entry: String) {
    let key = entry.split('=').next().unwrap_or_default().to_owned();
    let same = |other: &String| other.split('=').next() == Some(key.as_str());
    match (env.iter().position(same), entry.contains('=')) {
        (Some(at), true) => env[at] = entry,
        (Some(at), false) => drop(env.remove(at)),
        (None, true) => env.push(entry),
        (None, false) => {}
    }
}
