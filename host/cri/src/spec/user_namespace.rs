use oci_spec::runtime::{LinuxIdMapping, LinuxIdMappingBuilder};
use wharf_api::cri::{IdMapping, NamespaceMode, UserNamespace};
use wharf_error::{Error, Result, ResultExt as _};
use wharf_shim_api::{IdRange, UserMappings};

use super::Input;

/// CRI's mappings as the shim's.
pub(crate) fn user_mappings(asked: &UserNamespace) -> UserMappings {
    UserMappings { uids: ranges(&asked.uids), gids: ranges(&asked.gids) }
}

/// CRI's mappings as ranges.
pub(super) fn ranges(list: &[IdMapping]) -> Vec<IdRange> {
    let one = |map: &IdMapping| IdRange { container: map.container_id, host: map.host_id, size: map.length };
    list.iter().map(one).collect()
}

/// The pod's mappings of uids and gids, where it has a user namespace. A container that says something of users says what
/// its pod said.
pub(super) fn build<'a>(input: &Input<'a>) -> Result<Option<&'a UserMappings>> {
    let field = "linux.security_context.namespace_options.userns_options";
    let pods = input.sandbox.user_namespace.as_ref();
    let options = input.security().namespace_options.as_ref();
    let Some(asked) = options.and_then(|options| options.userns_options.as_ref()) else { return Ok(pods) };
    let same = match NamespaceMode::try_from(asked.mode) {
        Ok(NamespaceMode::Pod) => pods == Some(&user_mappings(asked)),
        Ok(NamespaceMode::Node) => pods.is_none(),
        _ => false,
    };
    if same { Ok(pods) } else { Err(Error::invalid(format!("{field}: not the same as the pod sandbox's"))) }
}

/// As the specification has them.
pub(super) fn mappings(ranges: &[IdRange]) -> Result<Vec<LinuxIdMapping>> {
    let one = |range: &IdRange| {
        let map = LinuxIdMappingBuilder::default();
        map.container_id(range.container).host_id(range.host).size(range.size).build()
    };
    ranges.iter().map(one).collect::<std::result::Result<_, _>>().step(|| "user namespace's mappings".into())
}
