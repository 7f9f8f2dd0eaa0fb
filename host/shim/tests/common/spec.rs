use serde_json::{Value, json};

/// A container of a test: a script under busybox's shell.
pub struct Container {
    pub id: String,
    pub args: Vec<String>,
    pub terminal: bool,
    /// The PID namespace: its own, or the host's.
    pub own_pids: bool,
    pub resources: Value,
    pub user: Value,
    pub hooks: Value,
}

impl Container {
    pub fn sh(id: &str, script: &str) -> Self {
        Self::args(id, &["sh", "-c", script])
    }

    pub fn args(id: &str, args: &[&str]) -> Self {
        Self {
            id: id.into(),
            args: args.iter().map(|&arg| arg.into()).collect(),
            terminal: false,
            own_pids: true,
            resources: json!({}),
            user: json!({ "uid": 0, "gid": 0 }),
            hooks: json!({}),
        }
    }

    pub fn process(&self) -> Value {
        let capabilities = ["CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_KILL", "CAP_SETGID", "CAP_SETUID"];
        json!({
            "terminal": self.terminal,
            "user": self.user,
            "args": self.args,
            "env": ["PATH=/bin", "HOME=/"],
            "cwd": "/",
            "capabilities": {
                "bounding": capabilities, "effective": capabilities, "permitted": capabilities,
            },
            "noNewPrivileges": true,
        })
    }

    pub fn spec(&self, pod: &str) -> Value {
        let mut namespaces = vec![
            json!({ "type": "mount" }),
            json!({ "type": "ipc" }),
            json!({ "type": "uts" }),
            json!({ "type": "cgroup" }),
        ];
        if self.own_pids {
            namespaces.push(json!({ "type": "pid" }));
        }
        json!({
            "ociVersion": "1.2.0",
            "process": self.process(),
            "hooks": self.hooks,
            "root": { "path": "rootfs" },
            "mounts": [
                { "destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid", "noexec", "nodev"] },
                { "destination": "/dev", "type": "tmpfs", "source": "tmpfs",
                  "options": ["nosuid", "strictatime", "mode=755", "size=65536k"] },
                { "destination": "/dev/pts", "type": "devpts", "source": "devpts",
                  "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"] },
                { "destination": "/sys", "type": "bind", "source": "/sys", "options": ["rbind", "nosuid", "noexec", "nodev", "ro"] },
            ],
            "linux": {
                "cgroupsPath": format!("/{pod}/{}", self.id),
                "namespaces": namespaces,
                "resources": self.resources,
            },
        })
    }
}
