//! What is asked of a whole network: one verb a file, its plugins one after the other.

mod add;
mod check;
mod del;
mod gc;
mod status;
mod version;

#[cfg(test)]
mod tests;

use serde_json::{Map, Value};

/// The key under which a plugin finds what is there already.
fn previous(result: Option<&Value>) -> Map<String, Value> {
    result.into_iter().map(|result| ("prevResult".to_owned(), result.clone())).collect()
}
