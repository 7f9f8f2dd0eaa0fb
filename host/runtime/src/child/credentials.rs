use super::Credentials;
use crate::sys::{self, Sys};

/// Becomes the user. The order matters: the bounding set while everything is still allowed, the capabilities after
/// the user, for changing it empties them.
pub(super) fn apply(credentials: &Credentials) -> Sys<()> {
    for capability in &credentials.drop {
        sys::drop_bounding(*capability)?;
    }
    sys::keep_capabilities(true)?;
    sys::set_groups(&credentials.groups)?;
    sys::set_group(credentials.gid)?;
    sys::set_user(credentials.uid)?;
    sys::keep_capabilities(false)?;
    let (sets, lent) = (&credentials.sets, credentials.lent);
    sys::set_capabilities(sets.effective | lent, sets.permitted | lent, sets.inheritable)?;
    sys::clear_ambient()?;
    for capability in &credentials.ambient {
        sys::raise_ambient(*capability)?;
    }
    Ok(())
}
