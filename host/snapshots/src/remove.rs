use wharf_error::{Error, Kind as ErrorKind, Result, ResultExt as _};

use crate::{
    book::{self, Book as _},
    core::Core,
    probe::Point,
    row::{Row, Scope, State},
};

/// So many children are named in a refusal.
const NAMED: usize = 8;

impl Core {
    /// Removes a snapshot of any kind that nothing stands on.
    pub(crate) fn remove(&self, scope: &Scope, key: &str) -> Result<()> {
        let step = || format!("snapshot {key}: remove");
        self.probe.reached(Point::BeforeIntent);
        let row = self.intend_remove(scope, key).step(step)?;
        self.probe.reached(Point::AfterIntent);
        self.finish_remove(scope, key, row.id).step(step)
    }

    /// The plugin's part and the end of the row; also of a removal that was cut off, and of a prepare.
    pub(crate) fn finish_remove(&self, scope: &Scope, key: &str, id: u64) -> Result<()> {
        self.backend.remove(id)?;
        self.probe.reached(Point::AfterCall);
        let (scope, key) = (scope.clone(), key.to_owned());
        self.store.write_durable(move |writer| match writer.row(&scope, &key)? {
            Some(row) if row.id == id => book::delete(writer, &scope, &key),
            _ => Ok(()),
        })?;
        self.probe.reached(Point::AfterFinal);
        Ok(())
    }

    fn intend_remove(&self, scope: &Scope, key: &str) -> Result<Row> {
        let (scope, key) = (scope.clone(), key.to_owned());
        self.store.write_durable(move |writer| {
            let row = writer.row(&scope, &key)?.ok_or_else(|| Error::not_found("snapshot", &key))?;
            let children = writer.children(&scope, &key)?;
            if !children.is_empty() {
                return Err(Error::new(ErrorKind::FailedPrecondition, stands_on_it(&children)));
            }
            let row = Row { state: State::Removing, ..row };
            book::put(writer, &scope, &key, &row)?;
            Ok(row)
        })
    }
}

fn stands_on_it(children: &[String]) -> String {
    let named = children.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
    match children.len().saturating_sub(NAMED) {
        0 => format!("it is the parent of {named}"),
        more => format!("it is the parent of {named} and {more} more"),
    }
}
