use wharf_api::cri::{SecurityProfile, security_profile::ProfileType};
use wharf_error::{Error, Result};

/// The type of a profile, of AppArmor or seccomp; `field` is where it is asked for.
///
/// # Errors
/// `InvalidArgument` for an unknown type, and for a profile of the node's that is named beside another type: who names one
/// wants it, and the slip would leave the container with less.
pub(super) fn profile_type(field: &str, profile: &SecurityProfile) -> Result<ProfileType> {
    let kind = ProfileType::try_from(profile.profile_type)
        .map_err(|_| Error::invalid(format!("{field}.profile_type: {} is unknown", profile.profile_type)))?;
    if kind != ProfileType::Localhost && !profile.localhost_ref.is_empty() {
        let what =
            format!("{field}.localhost_ref: {:?} is given, and the type is not Localhost", profile.localhost_ref);
        return Err(Error::invalid(what).hint("set profile_type to Localhost, or leave localhost_ref out"));
    }
    Ok(kind)
}
