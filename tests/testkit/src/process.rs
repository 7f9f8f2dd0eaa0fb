use std::{fs, path::PathBuf};

/// A process of this machine as /proc tells it.
#[derive(Clone, Debug)]
pub struct Process {
    /// Its id.
    pub pid: i32,
    /// Its parent's id.
    pub parent: i32,
    /// Its arguments, joined by spaces; its name in brackets for one that has none.
    pub command: String,
    /// What it runs, where that may be read.
    pub exe: Option<PathBuf>,
    /// Its working folder, where that may be read.
    pub cwd: Option<PathBuf>,
    /// Lines of its cgroup file.
    pub cgroups: String,
    /// Whether it has ended and waits for its parent.
    pub zombie: bool,
}

/// Every process that is there while /proc is walked.
pub fn processes() -> Vec<Process> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter_map(read).collect()
}

fn read(pid: i32) -> Option<Process> {
    let dir = PathBuf::from(format!("/proc/{pid}"));
    let stat = fs::read_to_string(dir.join("stat")).ok()?;
    // The name stands in parentheses and may hold any byte.
    let (name, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace();
    let zombie = fields.next()? == "Z";
    let parent = fields.next()?.parse().ok()?;
    let arguments = fs::read(dir.join("cmdline")).unwrap_or_default();
    let command = if arguments.is_empty() {
        format!("[{}]", name.split_once('(').map_or(name, |(_, n)| n))
    } else {
        String::from_utf8_lossy(&arguments).trim_end_matches('\0').replace('\0', " ")
    };
    Some(Process {
        pid,
        parent,
        command,
        exe: fs::read_link(dir.join("exe")).ok(),
        cwd: fs::read_link(dir.join("cwd")).ok(),
        cgroups: fs::read_to_string(dir.join("cgroup")).unwrap_or_default(),
        zombie,
    })
}
