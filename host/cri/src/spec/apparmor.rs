use wharf_api::cri::{SecurityProfile, security_profile::ProfileType};
use wharf_error::{Error, Kind, Result};

use super::{Input, profile::profile_type};
use crate::apparmor::{self, DEFAULT_PROFILE};

const FIELD: &str = "linux.security_context.apparmor";

enum Asked<'a> {
    Nothing,
    Unconfined,
    Default,
    Profile(&'a str),
}

/// The profile of a container's processes. As with containerd one that asks for nothing gets the default where there is
/// AppArmor; where there is none, only a profile by name is refused. A privileged container is confined by a profile that it
/// names, and by no default.
pub(super) fn build(input: &Input<'_>) -> Result<Option<String>> {
    let security = input.security();
    let asked = match &security.apparmor {
        Some(profile) => new_form(profile)?,
        None => old_form(&security.apparmor_profile)?,
    };
    let enabled = input.node.apparmor;
    match asked {
        Asked::Profile(name) if !enabled => {
            Err(Error::new(Kind::Unsupported, format!("{FIELD}: profile {name:?}: this node has no AppArmor"))
                .hint("its kernel was not started with AppArmor, or the container must not ask for it"))
        }
        _ if !enabled => Ok(None),
        Asked::Nothing | Asked::Default if security.privileged => Ok(None),
        Asked::Unconfined => Ok(Some("unconfined".into())),
        Asked::Profile(name) if apparmor::is_loaded(name)? => Ok(Some(name.to_owned())),
        Asked::Profile(name) => {
            Err(Error::new(Kind::FailedPrecondition, format!("{FIELD}: profile {name:?} is not loaded on this node"))
                .hint("load it by apparmor_parser; /sys/kernel/security/apparmor/profiles lists what is"))
        }
        Asked::Default => {
            apparmor::load_default()?;
            Ok(Some(DEFAULT_PROFILE.to_owned()))
        }
        Asked::Nothing => match apparmor::load_default() {
            Ok(()) => Ok(Some(DEFAULT_PROFILE.to_owned())),
            // Nobody asked: a node without the tool to load profiles runs its containers as it did before.
            Err(error) => {
                tracing::warn!(%error, "a container runs without the default AppArmor profile");
                Ok(None)
            }
        },
    }
}

fn new_form(profile: &SecurityProfile) -> Result<Asked<'_>> {
    match profile_type(FIELD, profile)? {
        ProfileType::Unconfined => Ok(Asked::Unconfined),
        ProfileType::RuntimeDefault => Ok(Asked::Default),
        ProfileType::Localhost => local(&profile.localhost_ref),
    }
}

/// The deprecated field says it by a word.
fn old_form(word: &str) -> Result<Asked<'_>> {
    match word {
        "" => Ok(Asked::Nothing),
        "unconfined" => Ok(Asked::Unconfined),
        "runtime/default" => Ok(Asked::Default),
        word if word.starts_with(LOCAL) => local(word),
        other => Err(Error::invalid(format!("{FIELD}_profile: {other:?} is no profile"))
            .hint("it is one of unconfined, runtime/default and localhost/NAME")),
    }
}

const LOCAL: &str = "localhost/";

fn local(name: &str) -> Result<Asked<'_>> {
    match name.strip_prefix(LOCAL).unwrap_or(name) {
        "" => Err(Error::invalid(format!("{FIELD}: a profile of the node's without a name"))),
        name => Ok(Asked::Profile(name)),
    }
}
