use std::fmt::Write as _;

use oci_spec::runtime::LinuxIdMapping;
use wharf_error::{Error, Result};

/// The kernel takes no more lines.
const MOST: usize = 340;

/// A range of ids: who is `container` inside is `host` outside, and so on for `size` ids.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct IdMapping {
    /// The first id inside.
    pub container: u32,
    /// The first id outside.
    pub host: u32,
    /// How many; never 0.
    pub size: u32,
}

/// Who users and groups of a user namespace are outside of it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct IdMappings {
    uids: Vec<IdMapping>,
    gids: Vec<IdMapping>,
}

// === impl IdMappings ===

impl IdMappings {
    /// Checks the mappings: there are some, of both kinds, root is mapped by both, no range is empty, overlaps another or leaves the
    /// 32 bits.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` with the range.
    pub fn new(uids: Vec<IdMapping>, gids: Vec<IdMapping>) -> Result<Self> {
        for (kind, list) in [("uid", &uids), ("gid", &gids)] {
            check(kind, list)?;
            if inside_out(list, 0).is_none() {
                return Err(Error::invalid(format!("{kind} mappings do not map 0, the root of the user namespace")));
            }
        }
        Ok(Self { uids, gids })
    }

    /// The specification's mappings, for a mount: root need not be mapped.
    pub(crate) fn of_mount(uids: &[LinuxIdMapping], gids: &[LinuxIdMapping]) -> Result<Self> {
        let (uids, gids) = (convert(uids), convert(gids));
        check("uid", &uids)?;
        check("gid", &gids)?;
        Ok(Self { uids, gids })
    }

    /// The specification's mappings, for a user namespace.
    pub(crate) fn of_spec(uids: &[LinuxIdMapping], gids: &[LinuxIdMapping]) -> Result<Self> {
        Self::new(convert(uids), convert(gids))
    }

    /// What the kernel says in `uid_map` and `gid_map`.
    pub(super) fn parse(uids: &str, gids: &str) -> Option<Self> {
        Some(Self { uids: parse(uids)?, gids: parse(gids)? })
    }

    /// Who a user of the container is outside.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` where nobody is.
    pub fn host_uid(&self, uid: u32) -> Result<u32> {
        inside_out(&self.uids, uid).ok_or_else(|| unmapped("uid", uid))
    }

    /// Who a group of the container is outside.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` where none is.
    pub fn host_gid(&self, gid: u32) -> Result<u32> {
        inside_out(&self.gids, gid).ok_or_else(|| unmapped("gid", gid))
    }

    /// The ranges of users.
    pub fn uids(&self) -> &[IdMapping] {
        &self.uids
    }

    /// The ranges of groups.
    pub fn gids(&self) -> &[IdMapping] {
        &self.gids
    }

    /// As `uid_map` and `gid_map` want it.
    pub(super) fn texts(&self) -> (String, String) {
        let text = |list: &[IdMapping]| {
            list.iter().fold(String::new(), |mut text, map| {
                let _ = writeln!(text, "{} {} {}", map.container, map.host, map.size);
                text
            })
        };
        (text(&self.uids), text(&self.gids))
    }

    /// The same ranges, in whatever order.
    pub(crate) fn same(&self, other: &Self) -> bool {
        let sorted = |list: &[IdMapping]| {
            let mut list = list.to_vec();
            list.sort_unstable();
            list
        };
        sorted(&self.uids) == sorted(&other.uids) && sorted(&self.gids) == sorted(&other.gids)
    }
}

fn convert(list: &[LinuxIdMapping]) -> Vec<IdMapping> {
    let one = |map: &LinuxIdMapping| IdMapping { container: map.container_id(), host: map.host_id(), size: map.size() };
    list.iter().map(one).collect()
}

fn check(kind: &str, list: &[IdMapping]) -> Result<()> {
    if list.is_empty() {
        return Err(Error::invalid(format!("{kind} mappings are missing: both uids and gids must be mapped")));
    }
    if list.len() > MOST {
        return Err(Error::invalid(format!("{} {kind} mappings: the kernel takes {MOST}", list.len())));
    }
    let text = |map: &IdMapping| format!("{kind} mapping {}:{}:{}", map.container, map.host, map.size);
    for (number, map) in list.iter().enumerate() {
        // The last id is the kernel's word for none.
        if map.size == 0 || map.container.max(map.host).checked_add(map.size).is_none() {
            return Err(Error::invalid(format!("{}: it is empty or leaves the 32 bits", text(map))));
        }
        let overlaps = |a: u32, b: u32, other: &IdMapping| a < b + other.size && b < a + map.size;
        for other in &list[..number] {
            if overlaps(map.container, other.container, other) || overlaps(map.host, other.host, other) {
                return Err(Error::invalid(format!("{}: it overlaps {}", text(map), text(other))));
            }
        }
    }
    Ok(())
}

fn inside_out(list: &[IdMapping], id: u32) -> Option<u32> {
    let map = list.iter().find(|map| id >= map.container && id - map.container < map.size)?;
    Some(map.host + (id - map.container))
}

fn parse(text: &str) -> Option<Vec<IdMapping>> {
    let line = |line: &str| {
        let mut numbers = line.split_ascii_whitespace().map(str::parse);
        let (container, host, size) = (numbers.next()?.ok()?, numbers.next()?.ok()?, numbers.next()?.ok()?);
        Some(IdMapping { container, host, size })
    };
    text.lines().map(line).collect()
}

fn unmapped(kind: &str, id: u32) -> Error {
    Error::invalid(format!("{kind} {id} is not mapped in the user namespace"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(container: u32, host: u32, size: u32) -> IdMapping {
        IdMapping { container, host, size }
    }

    fn both(list: &[IdMapping]) -> Result<IdMappings> {
        IdMappings::new(list.to_vec(), list.to_vec())
    }

    #[test]
    fn ids_are_mapped_by_the_range_they_are_in() {
        let maps = both(&[map(0, 100_000, 1000), map(1000, 5, 1), map(70_000, 300_000, 10)]).unwrap();
        assert_eq!(maps.host_uid(0).unwrap(), 100_000);
        assert_eq!(maps.host_uid(999).unwrap(), 100_999);
        assert_eq!(maps.host_gid(1000).unwrap(), 5);
        assert_eq!(maps.host_gid(70_009).unwrap(), 300_009);
        assert!(maps.host_uid(1001).unwrap_err().to_string().contains("uid 1001 is not mapped"));
    }

    #[test]
    fn what_the_kernel_would_refuse_is_refused_with_its_range() {
        for (list, why) in [
            (vec![], "missing"),
            (vec![map(1, 100_000, 10)], "do not map 0"),
            (vec![map(0, 100_000, 0)], "empty"),
            (vec![map(0, u32::MAX - 5, 10)], "32 bits"),
            (vec![map(0, 100, 10), map(5, 500, 10)], "overlaps"),
            (vec![map(0, 100, 10), map(20, 109, 1)], "overlaps"),
            ((0..341).map(|i| map(i, 1000 + i, 1)).collect(), "takes 340"),
        ] {
            let error = both(&list).unwrap_err().to_string();
            assert!(error.contains(why), "{error:?} does not say {why:?}");
        }
    }

    #[test]
    fn the_kernel_s_own_text_is_read() {
        let maps = IdMappings::parse("         0     100000      65536\n", "0 7 1\n 1 9 2\n").unwrap();
        assert_eq!(maps.uids(), [map(0, 100_000, 65_536)]);
        assert_eq!(maps.gids(), [map(0, 7, 1), map(1, 9, 2)]);
        let texts = maps.texts();
        assert!(IdMappings::parse(&texts.0, &texts.1).unwrap().same(&maps));
        assert!(IdMappings::parse("x", "").is_none());
    }
}
