//! Generated from `wit/`. The world imports every power that a snapshotter can have: those whose functions a plugin
//! does not call are left out when its component is made, so that it asks for what it uses and nothing else.

wit_bindgen::generate!({
    path: ["../wit/host", "../wit/snapshotter"],
    inline: "
        package wharf:sdk;
        world every-power {
            include wharf:snapshotter/snapshotter-plugin@0.1.0-draft;
            import wharf:snapshotter/layer-dir@0.1.0-draft;
        }
    ",
    world: "wharf:sdk/every-power",
    generate_all,
    pub_export_macro: true,
    default_bindings_module: "wharf_plugin_sdk::bindings",
    additional_derives: [PartialEq],
});
