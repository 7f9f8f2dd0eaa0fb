use std::path::Path;

use oci_spec::runtime::User;
use wharf_error::{Error, Result};

use crate::{
    Root,
    user::{Accounts, LARGEST_ACCOUNTS, identify},
};

/// A user as an OCI runtime takes it: numbers alone. A `username` is looked up in the root's own files, as
/// [`create()`](crate::create()) does it.
pub fn resolve_user(root: &Root, user: &User, merge_image_groups: bool) -> Result<User> {
    let read = |path: &str| Ok::<_, Error>(root.read(Path::new(path), LARGEST_ACCOUNTS)?.unwrap_or_default());
    numbers(user, &Accounts { passwd: read("etc/passwd")?, group: read("etc/group")? }, merge_image_groups)
}

pub(crate) fn numbers(user: &User, accounts: &Accounts, merge_image_groups: bool) -> Result<User> {
    let identity = identify(user, accounts, merge_image_groups)?;
    let mut numbers = user.clone();
    numbers.set_username(None);
    numbers.set_uid(identity.uid);
    numbers.set_gid(identity.gid);
    numbers.set_additional_gids(Some(identity.groups));
    Ok(numbers)
}
