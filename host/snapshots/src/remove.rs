use wharf_error::{Error, Kind as ErrorKind, Result, ResultExt as _};

use crate::{
    book::{self, Book as _},
    core::Core,
    probe::Point,
    row::{Kind, Row, Scope, State},
};

/// So many children are named in a refusal.
const NAMED: usize = 8;

impl Core {
    /// Removes a snapshot of any kind that nothing stands on.
    pub(crate) fn remove(&self, scope: &Scope, key: &str) -> Result<()> {
        let step = || format!("snapshot {key}: remove");
        let row = self.row(scope, key).step(step)?.ok_or_else(|| Error::not_found("snapshot", key))?;
        if row.state == State::Preparing {
            // Nobody was ever given it.
            return self.settle(scope, key, &row).step(step);
        }
        let children = self.store.read(|reader| reader.children(scope, key)).step(step)?;
        if !children.is_empty() {
            return Err(Error::new(ErrorKind::FailedPrecondition, stands_on_it(&children))).step(step);
        }
        self.probe.reached(Point::BeforeIntent);
        self.intend_remove(scope, key, &row).step(step)?;
        self.probe.reached(Point::AfterIntent);
        self.finish_remove(scope, key, &row).step(step)
    }

    /// The plugin's part and the end of the row; also of a removal that was cut off, and of a prepare.
    pub(crate) fn finish_remove(&self, scope: &Scope, key: &str, row: &Row) -> Result<()> {
        self.backend.remove(row.id)?;
        self.probe.reached(Point::AfterCall);
        let (owned, name, id) = (scope.clone(), key.to_owned(), row.id);
        self.store.write_durable(move |writer| match writer.row(&owned, &name)? {
            Some(row) if row.id == id => book::delete(writer, &owned, &name),
            _ => Ok(()),
        })?;
        self.probe.reached(Point::AfterFinal);
        self.forget_intent(scope, key)
    }

    /// A committed layer that is half removed must never be taken for a whole one, also not after a power cut; an
    /// active one is nobody's then, and is removed again.
    fn intend_remove(&self, scope: &Scope, key: &str, row: &Row) -> Result<()> {
        let intent = Row { state: State::Removing, ..row.clone() };
        if row.kind != Kind::Committed && !matches!(row.state, State::Committing(_)) {
            return self.intend(scope, key, &intent);
        }
        let (scope, key) = (scope.clone(), key.to_owned());
        self.store.write_durable(move |writer| book::put(writer, &scope, &key, &intent))
    }
}

fn stands_on_it(children: &[String]) -> String {
    let named = children.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
    match children.len().saturating_sub(NAMED) {
        0 => format!("it is the parent of {named}"),
        more => format!("it is the parent of {named} and {more} more"),
    }
}
