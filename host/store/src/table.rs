use serde::{Serialize, de::DeserializeOwned};

/// How long a table's rows live, and so in which file they are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Lifetime {
    /// Outlives a reboot and a power cut: a write is flushed to the disk before it is answered.
    Durable,
    /// Outlives the daemon, also `kill -9`, and ends with the machine's uptime: tmpfs, microseconds.
    Crash,
}

/// One kind of row. Implement it for an empty type:
///
/// ```
/// use wharf_store::{Lifetime, Table};
///
/// #[derive(serde::Serialize, serde::Deserialize)]
/// struct Pod {
///     name: String,
///     #[serde(default)] // a field that older rows lack
///     attempt: u32,
/// }
///
/// enum Pods {}
/// impl Table for Pods {
///     const NAME: &'static str = "pods";
///     const LIFETIME: Lifetime = Lifetime::Crash;
///     const BOOT_COPY: bool = true;
///     type Row = Pod;
/// }
/// ```
pub trait Table: 'static {
    /// The table's name in the file; never reused for rows of another shape.
    const NAME: &'static str;
    /// Which file it is in.
    const LIFETIME: Lifetime;
    /// For [`Lifetime::Crash`] only: rows are copied to the durable file within a second and are
    /// given back by [`Store::previous_boot`](crate::Store::previous_boot) after a reboot.
    const BOOT_COPY: bool = false;
    /// What a row is. Stored as JSON: unknown fields are ignored when read, so fields may be added with `serde(default)`.
    type Row: Serialize + DeserializeOwned + Send + 'static;
}

/// The table's name in its file. It says whether the table is copied, so that no list of copied tables can be out of date.
pub(crate) fn stored_name<T: Table>() -> String {
    match (T::LIFETIME, T::BOOT_COPY) {
        (Lifetime::Crash, true) => format!("{COPIED}{}", T::NAME),
        _ => format!("{PLAIN}{}", T::NAME),
    }
}

/// A table of [`Lifetime::Durable`], or of [`Lifetime::Crash`] without a copy.
pub(crate) const PLAIN: &str = "t.";
/// In `state.redb`: a table with a copy. In `meta.redb`: that copy.
pub(crate) const COPIED: &str = "copied.";
/// In `meta.redb`: rows of an earlier boot.
pub(crate) const PREVIOUS: &str = "previous.";
