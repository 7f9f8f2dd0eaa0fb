//! Builds each plugin that ships as a component; `src/lib.rs` includes them.

mod guest;

fn main() {
    guest::build(&["overlayfs"].map(|name| guest::Guest {
        package: format!("wharf-plugin-{name}"),
        folder: format!("plugins/{name}"),
        file: format!("{name}.wasm"),
    }));
}
