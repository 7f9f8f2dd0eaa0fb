//! A snapshotter that does in each function what its configuration says: `{"does": {"prepare": "spin"}}`.
//!
//! It imports a power that no host has, `wharf-test:powers/thing`, so that tests can grant it, refuse it and forget it.
#![deny(unsafe_code)]

#[allow(missing_docs, unsafe_code, unused, clippy::all, clippy::pedantic, clippy::restriction)]
mod bindings {
    wit_bindgen::generate!({
        path: ["../../../wit/host"],
        inline: "
            package wharf-test:powers;
            interface thing {
                use wharf:host/types@0.1.0-draft.{error};
                resource handle { open: static func() -> result<handle, error>; }
                get: func() -> result<string, error>;
                plain: func() -> u32;
            }
            world asks { import thing; }
        ",
        world: "wharf-test:powers/asks",
        with: { "wharf:host/types@0.1.0-draft": wharf_plugin_sdk::bindings::wharf::host::types },
    });
}

mod hostile;

pub use self::hostile::Hostile;

wharf_plugin_sdk::export_snapshotter!(Hostile);
