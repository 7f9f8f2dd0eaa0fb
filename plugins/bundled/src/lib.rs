//! The plugins that ship, carried inside the binary as components and loaded like any other.
#![forbid(unsafe_code)]

/// A plugin that ships.
#[derive(Clone, Copy, Debug)]
pub struct Bundled {
    /// The name under which it is loaded unless the operator says otherwise.
    pub name: &'static str,
    /// Its kind, as the configuration spells it.
    pub kind: &'static str,
    /// The powers that it needs, so that a default configuration can grant them in writing.
    pub powers: &'static [&'static str],
    /// The component.
    pub wasm: &'static [u8],
}

static PLUGINS: [Bundled; 1] = [Bundled {
    name: "overlayfs",
    kind: "snapshotter",
    powers: &["layer-dir"],
    wasm: include_bytes!(concat!(env!("OUT_DIR"), "/overlayfs.wasm")),
}];

/// Every plugin that ships.
pub fn plugins() -> &'static [Bundled] {
    &PLUGINS
}

/// The one of this name.
pub fn plugin(name: &str) -> Option<&'static Bundled> {
    PLUGINS.iter().find(|plugin| plugin.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_carried_is_a_component() {
        for plugin in plugins() {
            assert_eq!(plugin.wasm[..8], *b"\0asm\x0d\0\x01\0", "{}", plugin.name);
        }
        assert!(plugin("overlayfs").is_some_and(|plugin| plugin.wasm.len() < 400_000), "a small one");
    }
}
