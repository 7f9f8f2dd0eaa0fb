//! Who a process runs as: numbers from the specification, or names looked up in the container's own files.

use oci_spec::runtime::User;
use wharf_error::{Error, Kind, Result};

/// A user and what belongs to it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Identity {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// Supplementary groups.
    pub(crate) groups: Vec<u32>,
    /// The value of `HOME` where the environment has none.
    pub(crate) home: String,
}

/// `/etc/passwd` and `/etc/group` of a container; empty where it has none.
#[derive(Clone, Debug, Default)]
pub(crate) struct Accounts {
    pub(crate) passwd: Vec<u8>,
    pub(crate) group: Vec<u8>,
}

/// A container's account files may be this large.
pub(crate) const LARGEST_ACCOUNTS: u64 = 8 << 20;

struct Account<'a> {
    name: &'a str,
    uid: u32,
    gid: u32,
    home: &'a str,
}

/// Finds out who `user` is. A `username` (`user`, `user:group`, `uid`, `uid:gid`) overrides the numbers; with `merge`
/// the groups that list the user are added to the specification's.
pub(crate) fn identify(user: &User, accounts: &Accounts, merge: bool) -> Result<Identity> {
    let mut groups = user.additional_gids().clone().unwrap_or_default();
    let Some(spec) = user.username().as_deref().filter(|name| !name.is_empty()) else {
        let home = home(find_user(accounts, |account| account.uid == user.uid()));
        return Ok(Identity { uid: user.uid(), gid: user.gid(), groups, home });
    };
    let (who, group) = match spec.split_once(':') {
        Some((who, group)) => (who, Some(group)),
        None => (spec, None),
    };
    if who.is_empty() || group == Some("") || group.is_some_and(|group| group.contains(':')) {
        return Err(Error::invalid(format!("user {spec:?} is not of the form user[:group]")));
    }
    let number = id(who)?;
    // A name that looks like a number is a name first, as everywhere.
    let account = find_user(accounts, |account| account.name == who)
        .or_else(|| number.and_then(|uid| find_user(accounts, |account| account.uid == uid)));
    let uid = match (&account, number) {
        (Some(account), _) => account.uid,
        (None, Some(uid)) => uid,
        (None, None) => return Err(unknown(format!("unable to find user {who}: no matching entries in passwd file"))),
    };
    let gid = match group {
        Some(group) => find_group(accounts, group)?,
        None => account.as_ref().map_or(0, |account| account.gid),
    };
    if merge && let Some(account) = &account {
        groups.extend(groups_of(accounts, account.name));
    }
    // A process outside its own group would escape permissions that deny that group.
    groups.insert(0, gid);
    let mut seen = std::collections::HashSet::new();
    groups.retain(|gid| seen.insert(*gid));
    let home = home(account.filter(|account| account.uid == uid));
    Ok(Identity { uid, gid, groups, home })
}

fn home(account: Option<Account<'_>>) -> String {
    let home = account.map_or("", |account| account.home);
    if home.starts_with('/') && !home.contains(char::is_control) { home.to_owned() } else { "/".to_owned() }
}

/// An id, when the text is one: decimal, 32 bits, and not the kernel's word for "none". What looks like a number and
/// is none is refused, lest it become another number on the way.
fn id(text: &str) -> Result<Option<u32>> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(None);
    }
    match text.parse() {
        Ok(id) if id != u32::MAX && digits.len() == text.len() => Ok(Some(id)),
        _ => Err(Error::invalid(format!("{text:?} is no user or group id: it must be from 0 to {}", u32::MAX - 1))),
    }
}

fn find_user<'a>(accounts: &'a Accounts, matches: impl Fn(&Account<'_>) -> bool) -> Option<Account<'a>> {
    lines(&accounts.passwd).filter_map(account).find(|account| matches(account))
}

fn account(line: &str) -> Option<Account<'_>> {
    let mut fields = line.split(':');
    let (name, _password) = (fields.next()?, fields.next()?);
    let (uid, gid) = (id(fields.next()?).ok()??, id(fields.next()?).ok()??);
    let (_comment, home) = (fields.next(), fields.next().unwrap_or(""));
    (!name.is_empty()).then_some(Account { name, uid, gid, home })
}

fn find_group(accounts: &Accounts, group: &str) -> Result<u32> {
    let number = id(group)?;
    let named = group_lines(accounts).find(|(name, _, _)| *name == group).map(|(_, gid, _)| gid);
    named.or(number).ok_or_else(|| unknown(format!("unable to find group {group}: no matching entries in group file")))
}

fn groups_of<'a>(accounts: &'a Accounts, user: &'a str) -> impl Iterator<Item = u32> {
    group_lines(accounts).filter(move |(_, _, members)| members.split(',').any(|member| member == user)).map(|g| g.1)
}

fn group_lines(accounts: &Accounts) -> impl Iterator<Item = (&str, u32, &str)> {
    lines(&accounts.group).filter_map(|line| {
        let mut fields = line.split(':');
        let (name, _password) = (fields.next()?, fields.next()?);
        Some((name, id(fields.next()?).ok()??, fields.next().unwrap_or("")))
    })
}

/// The lines that are text and no comment.
fn lines(file: &[u8]) -> impl Iterator<Item = &str> {
    let lines = file.split(|byte| *byte == b'\n').filter_map(|line| std::str::from_utf8(line).ok());
    lines.map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'))
}

fn unknown(text: String) -> Error {
    Error::new(Kind::FailedPrecondition, text)
}

#[cfg(test)]
#[path = "user_tests.rs"]
mod tests;
