use crate::{apparmor::AppArmor, arguments::Arguments};

/// What this machine cannot run, and what critest itself leaves out: the only reasons to skip a spec.
#[derive(Debug)]
pub struct Expected {
    apparmor: bool,
}

/// The digest that this spec pulls is a constant of critest, and nobody but its authors can make an image of it. The same is
/// tested with an image of ours by `images::every_kind_of_image_is_pulled_over_a_mirror_and_runs` in tests/e2e.
pub const PUBLIC_DIGEST: &str = "public image with digest should be pulled and removed";

/// A reason that needs no mention.
pub const NOT_ASKED: &str = "not asked for";

impl Expected {
    /// Looks at the kernel.
    pub fn of_this_machine() -> Self {
        Self { apparmor: AppArmor::is_enabled() }
    }

    /// Why `name` may be skipped, if it may; `why` is what critest said.
    pub fn reason(&self, name: &str, why: &str, arguments: &Arguments) -> Option<&'static str> {
        // What a filter leaves out says nothing.
        let filtered = why.is_empty();
        if filtered && name.contains(PUBLIC_DIGEST) {
            return Some("the digest is a constant that only critest's authors have an image for");
        }
        if filtered && name.contains("benchmark") {
            return Some("a benchmark, not a check");
        }
        if filtered && arguments.focus.is_some() {
            return Some(NOT_ASKED);
        }
        if name.contains("AppArmor") && !self.apparmor {
            return Some("this kernel has no AppArmor");
        }
        if name.contains("NRI") {
            return Some("NRI is not served yet");
        }
        None
    }
}
