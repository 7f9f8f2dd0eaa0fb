use std::str::FromStr as _;

use oci_spec::runtime::{Capabilities, Capability, LinuxCapabilities};
use wharf_error::{Error, Result};

use super::Input;

/// What a container has that asks for nothing.
const DEFAULT: [Capability; 14] = [
    Capability::AuditWrite,
    Capability::Chown,
    Capability::DacOverride,
    Capability::Fowner,
    Capability::Fsetid,
    Capability::Kill,
    Capability::Mknod,
    Capability::NetBindService,
    Capability::NetRaw,
    Capability::Setfcap,
    Capability::Setgid,
    Capability::Setpcap,
    Capability::Setuid,
    Capability::SysChroot,
];

/// Bounding, effective and permitted are one set; inheritable and ambient is only what is asked for as ambient, which is
/// in the others, too, as CRI says.
pub(super) fn build(input: &Input<'_>) -> Result<LinuxCapabilities> {
    let mut granted = granted(input)?;
    let asked = input.security().capabilities.as_ref();
    let ambient = parse("add as ambient", asked.map(|a| a.add_ambient_capabilities.as_slice()).unwrap_or_default())?;
    granted.extend(ambient.iter().copied());
    let ambient = Some(Capabilities::from_iter(ambient)).filter(|set| !set.is_empty());
    let mut capabilities = LinuxCapabilities::default();
    capabilities
        .set_bounding(Some(granted.clone()))
        .set_effective(Some(granted.clone()))
        .set_permitted(Some(granted))
        .set_inheritable(ambient.clone())
        .set_ambient(ambient);
    Ok(capabilities)
}

fn granted(input: &Input<'_>) -> Result<Capabilities> {
    let security = input.security();
    if security.privileged {
        return Ok(input.node.capabilities.clone());
    }
    let mut granted = Capabilities::from(DEFAULT);
    let Some(asked) = &security.capabilities else { return Ok(granted) };
    // `ALL` first, so that single ones still count: ALL added and CHOWN dropped is all but CHOWN.
    let all = |names: &[String]| names.iter().any(|name| name.eq_ignore_ascii_case("ALL"));
    if all(&asked.add_capabilities) {
        granted = input.node.capabilities.clone();
    }
    if all(&asked.drop_capabilities) {
        granted.clear();
    }
    granted.extend(parse("add", &asked.add_capabilities)?);
    for dropped in parse("drop", &asked.drop_capabilities)? {
        granted.remove(&dropped);
    }
    Ok(granted)
}

/// Kubernetes writes them without `CAP_`; some people write it.
fn parse(verb: &str, names: &[String]) -> Result<Vec<Capability>> {
    let single = names.iter().filter(|name| !name.eq_ignore_ascii_case("ALL"));
    let parsed = single.map(|name| {
        let upper = name.to_ascii_uppercase();
        Capability::from_str(upper.strip_prefix("CAP_").unwrap_or(&upper))
            .map_err(|_| Error::invalid(format!("unknown capability to {verb}: {name:?}")))
    });
    parsed.collect()
}
