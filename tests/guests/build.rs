//! Builds each guest here as a component; `src/lib.rs` includes them.

#[path = "../../plugins/bundled/guest.rs"]
mod guest;

fn main() {
    guest::build(&["hostile"].map(|name| guest::Guest {
        package: format!("wharf-guest-{name}"),
        folder: format!("tests/guests/{name}"),
        file: format!("{name}.wasm"),
    }));
}
