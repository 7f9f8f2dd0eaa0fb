use std::path::PathBuf;

use wharf_error::Result;

use super::strings::inside;
use crate::child::{Op, Program};

/// Adds the steps that make folders of the root where they are missing.
pub(crate) fn plan_folders(folders: &[PathBuf], program: &mut Program) -> Result<()> {
    for path in folders {
        let at = inside("folder", path)?;
        program.step(format!("make folder {}", path.display()), Op::MakeDirectory { at });
    }
    Ok(())
}
