use std::{path::Path, sync::Arc};

use wharf_error::{Error, Kind, Result};

use crate::{
    boot::{boot_id, uuid},
    database::Database,
    disk::{Disk, FileDisk, Flush},
    error::damaged,
    overlay::Overlay,
    table::{COPIED, PREVIOUS},
    view::View,
};

/// The store's own rows, in each file.
const OWN: &str = "wharf";
/// The sequences of numbers.
pub(crate) const IDS: &str = "wharf.ids";

/// The shape of the files. A row whose shape changes in a way that serde defaults cannot say raises it.
const SCHEMA: u32 = 1;

/// Memory for pages of the durable file. Its rows are some kilobytes an image.
const META_CACHE: usize = 4 << 20;
/// Memory for pages of the file on tmpfs, which is in memory itself.
const STATE_CACHE: usize = 1 << 20;

/// Both files, opened and fit for use.
pub(crate) struct Files {
    pub(crate) meta: Arc<Database>,
    pub(crate) state: Arc<Database>,
    pub(crate) id: String,
    pub(crate) boot: String,
    pub(crate) previous_boot: Option<String>,
}

/// The two disks and which boot it is: injected by tests.
pub(crate) struct Place<D> {
    pub(crate) meta: D,
    pub(crate) state: D,
    pub(crate) boot: String,
}

// === impl Place ===

impl Place<FileDisk> {
    /// Locks both files.
    pub(crate) fn lock(meta: &Path, state: &Path) -> Result<Self> {
        Ok(Self {
            meta: FileDisk::lock(meta, Flush::ToDisk)?,
            state: FileDisk::lock(state, Flush::ToKernel)?,
            boot: boot_id()?,
        })
    }
}

impl<D: Disk + 'static> Place<D> {
    /// Opens both files, and after a reboot sets aside what the copies say was there before it.
    pub(crate) fn open(self) -> Result<Files> {
        let Self { meta, state, boot } = self;
        let meta = Arc::new(Database::open(meta, META_CACHE)?);
        let view = meta.view()?;
        check_schema(&meta, &view)?;
        let last_boot = own(&meta, &view, "boot")?;
        let mut changes = Overlay::default();
        let id = match own(&meta, &view, "id")? {
            Some(id) => id,
            None => uuid()?,
        };
        // What is in the state file of another boot is stale, and may not even be whole.
        if last_boot.as_ref().is_some_and(|last| *last != boot) {
            state.clear()?;
            set_aside(&view, &mut changes)?;
        }
        for (key, value) in [("schema", SCHEMA.to_string()), ("id", id.clone()), ("boot", boot.clone())] {
            if own(&meta, &view, key)?.as_deref() != Some(value.as_str()) {
                changes.set(OWN, key, Some(value.into_bytes()));
            }
        }
        let previous_boot = match last_boot {
            Some(last) if last != boot => {
                changes.set(OWN, "previous-boot", Some(last.clone().into_bytes()));
                Some(last)
            }
            _ => own(&meta, &view, "previous-boot")?,
        };
        drop(view);
        meta.apply(&changes)?;
        let state = open_state(state, &meta, &id, &boot)?;
        Ok(Files { meta, state, id, boot, previous_boot })
    }
}

/// Opens the file of this boot. One that is gone within a boot (somebody emptied /run) is written again from the copy.
fn open_state(disk: impl Disk + 'static, meta: &Arc<Database>, id: &str, boot: &str) -> Result<Arc<Database>> {
    let state = Arc::new(Database::open(disk, STATE_CACHE)?);
    let view = state.view()?;
    check_schema(&state, &view)?;
    let open = || format!("database {}: open", state.path().display());
    match own(&state, &view, "owner")? {
        Some(owner) if owner != id => {
            return Err(Error::new(Kind::FailedPrecondition, open())
                .because(format!("it belongs to another root than {}", meta.path().display()))
                .hint("give each daemon a state directory of its own, or remove the file if its daemon is gone"));
        }
        Some(_) if own(&state, &view, "boot")?.as_deref() != Some(boot) => {
            return Err(Error::new(Kind::FailedPrecondition, open())
                .because("it is of an earlier boot")
                .hint("remove the file"));
        }
        Some(_) => {}
        None => {
            drop(view);
            let mut changes = Overlay::default();
            let copied = meta.view()?;
            for table in copied.tables(COPIED)? {
                for (key, row) in copied.range(&table, "")? {
                    changes.set(&table, &key, Some(row));
                }
            }
            if !changes.is_empty() {
                tracing::warn!(database = %state.path().display(), "was gone: written again from its copy");
            }
            for (key, value) in [("schema", SCHEMA.to_string()), ("owner", id.into()), ("boot", boot.into())] {
                changes.set(OWN, key, Some(value.into_bytes()));
            }
            state.apply(&changes)?;
        }
    }
    Ok(state)
}

/// Moves the copies to the rows of earlier boots, over what is there: whoever has not yet dealt with those still can.
fn set_aside(meta: &View, changes: &mut Overlay) -> Result<()> {
    for table in meta.tables(COPIED)? {
        let previous = table.replacen(COPIED, PREVIOUS, 1);
        for (key, row) in meta.range(&table, "")? {
            changes.set(&table, &key, None);
            changes.set(&previous, &key, Some(row));
        }
    }
    Ok(())
}

fn check_schema(database: &Database, view: &View) -> Result<()> {
    let what = || format!("database {}: open", database.path().display());
    let Some(schema) = own(database, view, "schema")? else {
        // Ours begin with that row: tables without it are somebody else's.
        let tables = view.tables("")?;
        return match tables.first() {
            None => Ok(()),
            Some(table) => Err(damaged(what(), &format!("no schema row, but a table {table}"))),
        };
    };
    match schema.parse::<u32>() {
        Ok(schema) if schema <= SCHEMA => Ok(()),
        Ok(schema) => Err(Error::new(Kind::FailedPrecondition, what())
            .because(format!("schema {schema} is newer than {SCHEMA}, the newest this version knows"))
            .hint("start the version of wharf that wrote it, or a newer one")),
        Err(error) => Err(damaged(what(), &format!("schema row {schema:?}: {error}"))),
    }
}

fn own(database: &Database, view: &View, key: &str) -> Result<Option<String>> {
    let bytes = view.get(OWN, key)?;
    let text = bytes.map(String::from_utf8).transpose();
    text.map_err(|error| damaged(format!("database {}: row {key}", database.path().display()), &error.to_string()))
}
