use oci_spec::runtime::User;
use wharf_api::cri::{ContainerConfig, Int64Value, SupplementalGroupsPolicy};
use wharf_error::{Error, Result};

use super::Input;

/// Who the process is. Names are the image's own, so the shim resolves them, by `username`; unless the policy is `Strict`
/// ([`strict_groups`]) it also adds the groups that the image's `/etc/group` gives the user.
pub(super) fn build(input: &Input<'_>) -> Result<User> {
    let security = input.security();
    let group = security.run_as_group.as_ref().map(|group| id("run_as_group", group.value)).transpose()?;
    let asked = match (&security.run_as_user, security.run_as_username.as_str()) {
        (Some(Int64Value { value }), "") => Some(id("run_as_user", *value)?.to_string()),
        (_, "") => None,
        (_, name) => Some(name.to_owned()),
    };
    let who = match (asked, group) {
        (Some(user), Some(group)) => format!("{user}:{group}"),
        (Some(user), None) => user,
        (None, Some(group)) => {
            return Err(Error::invalid(format!(
                "linux.security_context: user group {group} is specified without user"
            )));
        }
        (None, None) => input.image.user().clone().filter(|user| !user.is_empty()).unwrap_or_else(|| "0".to_owned()),
    };
    if who.contains(['\0', '\n']) || who.matches(':').count() > 1 {
        return Err(Error::invalid(format!("user {who:?}: not a user or user:group")));
    }

    let mut groups = Vec::new();
    for group in &security.supplemental_groups {
        groups.push(id("supplemental_groups", *group)?);
    }
    let mut user = User::default();
    let numbers = numeric(&who);
    if let Some((uid, gid)) = numbers {
        user.set_uid(uid).set_gid(gid.unwrap_or_default());
        groups.extend(gid);
    }
    user.set_username(Some(who));
    groups.sort_unstable();
    groups.dedup();
    user.set_additional_gids(Some(groups).filter(|groups| !groups.is_empty()));
    Ok(user)
}

/// Whether the process has the groups that are asked for, and none that the image gives its user.
///
/// # Errors
///
/// `InvalidArgument` for a policy that is none of CRI's.
pub(crate) fn strict_groups(config: &ContainerConfig) -> Result<bool> {
    let security = config.linux.as_ref().and_then(|linux| linux.security_context.as_ref());
    let policy = security.map(|security| security.supplemental_groups_policy).unwrap_or_default();
    match SupplementalGroupsPolicy::try_from(policy) {
        Ok(policy) => Ok(policy == SupplementalGroupsPolicy::Strict),
        Err(_) => Err(Error::invalid(format!(
            "linux.security_context.supplemental_groups_policy: unsupported policy {policy}, Merge or Strict"
        ))),
    }
}

/// `uid` or `uid:gid`, where both are numbers.
fn numeric(who: &str) -> Option<(u32, Option<u32>)> {
    match who.split_once(':') {
        None => Some((who.parse().ok()?, None)),
        Some((user, group)) => Some((user.parse().ok()?, Some(group.parse().ok()?))),
    }
}

fn id(field: &str, value: i64) -> Result<u32> {
    // The highest number means "no such id" to the kernel.
    u32::try_from(value).ok().filter(|id| *id != u32::MAX).ok_or_else(|| {
        Error::invalid(format!("linux.security_context.{field}: {value} is no id: 0 to {}", u32::MAX - 1))
    })
}
