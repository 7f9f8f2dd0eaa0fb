use std::fs;

use wharf_error::{Error, Result, ResultExt as _};
use wharf_shim_api::{IdRange, UserMappings};

use super::User;
use crate::Pod;

/// Who the process of a container is that waits for its start: names are the image's, and what they mean was found out in
/// there. Later the program may have become somebody else. Reads one file of procfs.
pub(super) fn user_of(pid: u32, pod: &Pod) -> Result<User> {
    let path = format!("/proc/{pid}/status");
    let status = fs::read_to_string(&path).step(|| format!("read {path}"))?;
    let user = parse(&status).ok_or_else(|| Error::internal(format!("{path}: no user and groups")))?;
    Ok(inside(user, pod.sandbox.user_namespace.as_ref()))
}

/// `Uid:` and `Gid:` with the real id first, `Groups:` with all of them.
fn parse(status: &str) -> Option<User> {
    let numbers = |key: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(key))?;
        Some(line.split_ascii_whitespace().filter_map(|number| number.parse().ok()).collect::<Vec<u32>>())
    };
    let (uid, gid) = (*numbers("Uid:")?.first()?, *numbers("Gid:")?.first()?);
    Some(User { uid, gid, groups: numbers("Groups:")? })
}

/// From the node's ids to those of the pod.
fn inside(user: User, mappings: Option<&UserMappings>) -> User {
    let Some(mappings) = mappings else { return user };
    let groups = user.groups.iter().map(|gid| mapped(*gid, &mappings.gids)).collect();
    User { uid: mapped(user.uid, &mappings.uids), gid: mapped(user.gid, &mappings.gids), groups }
}

/// What is not mapped stays: it cannot be there.
fn mapped(id: u32, ranges: &[IdRange]) -> u32 {
    let range = ranges.iter().find(|range| id >= range.host && id - range.host < range.size);
    range.and_then(|range| range.container.checked_add(id - range.host)).unwrap_or(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_word_is_read_and_mapped_back() {
        let status =
            "Name:\tsh\nUid:\t100005\t100005\t100005\t100005\nGid:\t100006\t6\t6\t6\nGroups:\t100006 100007 \n";
        let user = parse(status).unwrap();
        assert_eq!(user, User { uid: 100_005, gid: 100_006, groups: vec![100_006, 100_007] });
        let range = vec![IdRange { container: 0, host: 100_000, size: 65_536 }];
        let mappings = UserMappings { uids: range.clone(), gids: range };
        assert_eq!(inside(user.clone(), Some(&mappings)), User { uid: 5, gid: 6, groups: vec![6, 7] });
        assert_eq!(inside(user.clone(), None), user);
        assert_eq!(parse("Name:\tsh\n"), None);
    }
}
