use std::{collections::HashSet, ffi::CStr, io, os::fd::BorrowedFd};

use rustix::fs::{FileType, OFlags, Stat};

use super::{
    LayerDir,
    walk::{Visitor, walk},
};
use crate::{Place, Usage, contract::Fault, state::Until};

// === impl LayerDir ===

impl LayerDir {
    pub(super) fn measure(&self, at: &Place, until: &Until) -> Result<Usage, Fault> {
        let found = self.find(at)?;
        let mut sum = Sum::default();
        sum.add(&found.stat);
        if FileType::from_raw_mode(found.stat.st_mode) == FileType::Directory {
            let root = self.open_at(at, OFlags::DIRECTORY | OFlags::RDONLY);
            let root = root.map_err(|error| super::io_fault(&at.to_string(), &error))?;
            walk(&root, until, &mut sum)?;
        }
        Ok(sum.usage)
    }
}

/// Counts a file with several names once.
#[derive(Default)]
pub(super) struct Sum {
    pub(super) usage: Usage,
    seen: HashSet<u64>,
}

// === impl Sum ===

impl Sum {
    pub(super) fn add(&mut self, stat: &Stat) {
        let several = stat.st_nlink > 1 && FileType::from_raw_mode(stat.st_mode) != FileType::Directory;
        if several && !self.seen.insert(stat.st_ino) {
            return;
        }
        self.usage.inodes += 1;
        self.usage.bytes += u64::try_from(stat.st_blocks).unwrap_or(0).saturating_mul(512);
    }
}

impl Visitor for Sum {
    fn visit(&mut self, _: BorrowedFd<'_>, _: &CStr, stat: &Stat) -> io::Result<()> {
        self.add(stat);
        Ok(())
    }
}
