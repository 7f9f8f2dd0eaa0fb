use std::{collections::BTreeMap, hint::black_box, time::Duration};

use serde::Deserialize;
use wharf_plugin_sdk::{
    Code, Content, Description, Error, Features, Layer, LayerId, Lower, Place, Plan, Problem, Result, Snapshotter,
    Usage,
    layer_dir::{self, Access},
    log,
};

use crate::bindings::wharf_test::powers::thing;

/// The snapshotter.
#[derive(Debug)]
pub struct Hostile {
    config: Config,
}

/// What to do in which function.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    #[serde(default)]
    does: BTreeMap<String, String>,
}

const OPEN: Access = Access { mode: 0o755, uid: 0, gid: 0 };

// === impl Hostile ===

impl Hostile {
    fn act(&self, function: &str) -> Result<()> {
        let says = |text: String| Err(Error::new(Code::Other, text));
        match self.config.does.get(function).map_or("nothing", String::as_str) {
            "spin" => loop {
                black_box(0);
            },
            "eat" => loop {
                std::mem::forget(black_box(vec![1_u8; 1 << 20]));
            },
            "trap" => panic!("there is nothing to be done"),
            "overflow" => says(format!("{}", deeper(0))),
            "sleep" => {
                std::thread::sleep(Duration::from_secs(3600));
                Ok(())
            }
            "exit" => std::process::exit(3),
            "shout" => {
                for _ in 0..100_000 {
                    log::info("louder", &[]);
                    println!("and louder");
                }
                Ok(())
            }
            "flood" => {
                log::info(&"x".repeat(20 << 20), &[]);
                Ok(())
            }
            "garbage" => {
                let text: String = (0..200_000_u32).filter_map(|n| char::from_u32(n % 0x3000)).collect();
                Err(Error::new(Code::Other, text.clone()).hint(&text))
            }
            "copy" => layer_dir::copy_tree(&Place::new(9, "many"), &Place::new(9, "copy")).map(drop),
            "refuse" => Err(Error::unsupported("not on this node\nnor anywhere").hint("try another")),
            "look" => {
                let file = std::fs::read("/etc/passwd").map(|bytes| bytes.len());
                let made = std::fs::write("made", "x");
                let net = std::net::TcpStream::connect("127.0.0.1:1");
                let listening = std::net::TcpListener::bind("127.0.0.1:0");
                let (env, args) = (std::env::vars().count(), std::env::args().count());
                let reached = [file.is_ok(), made.is_ok(), net.is_ok(), listening.is_ok()];
                says(format!("reached {reached:?} env {env} args {args}"))
            }
            "thing" => thing::get().map(drop),
            "thing-handle" => thing::Handle::open().map(drop),
            "thing-plain" => says(thing::plain().to_string()),
            "escape" => {
                let tried = ["../9/fs", "/etc", "a/../../..", "link/x"].map(|path| {
                    layer_dir::make(&Place::new(9, path), OPEN).err().map_or("made", |error| name(error.code))
                });
                says(tried.join(" "))
            }
            _ => Ok(()),
        }
    }

    /// Whether it does what a snapshotter is for, but for what it is told: `{"does": {"work": "yes"}}`.
    fn works(&self) -> bool {
        self.config.does.contains_key("work")
    }

    fn plan(&self, function: &str, layer: &Layer, plan: &Plan) -> Result<()> {
        match self.config.does.get(function).map_or("", String::as_str) {
            "none" => Ok(()),
            "absolute" => plan.bind(&Place::new(layer.id(), "/etc"), true).map(drop),
            "image" => plan.erofs(&Place::new(layer.id(), "fs")).map(drop),
            "million" => (0..1_000_000).try_for_each(|_| plan.bind(&Place::new(layer.id(), "fs"), true).map(drop)),
            "million-regardless" => {
                for _ in 0..1_000_000 {
                    // The host's refusal is what this one does not care for.
                    let _ = plan.bind(&Place::new(layer.id(), "fs"), true);
                }
                Ok(())
            }
            "foreign" => plan.bind(&Place::new(layer.id() + 1000, "fs"), true).map(drop),
            "parent" => plan.bind(&Place::new(layer.parents()[0], "fs"), false).map(drop),
            "above" => plan.bind(&Place::new(layer.id(), "../../../etc"), true).map(drop),
            "upper" => {
                let (parent, own) = (Place::new(layer.parents()[0], "fs"), Place::new(layer.id(), "work"));
                plan.overlay(vec![Lower::Directory(parent.clone())], Some((parent, own))).map(drop)
            }
            _ if self.works() && !layer.parents().is_empty() => {
                let lowers = layer.parents().iter().map(|id| Lower::Directory(Place::new(*id, "fs"))).collect();
                let own = (Place::new(layer.id(), "fs"), Place::new(layer.id(), "work"));
                plan.overlay(lowers, Some(own)).map(drop)
            }
            _ => plan.bind(&Place::new(layer.id(), "fs"), !self.works()).map(drop),
        }
    }
}

impl Snapshotter for Hostile {
    type Config = Config;

    fn describe() -> Description {
        let asks = vec!["read:env".to_owned()];
        Description { asks, config_schema: Some("{}".into()), extra: vec![("test.example/line".into(), "a\nb".into())] }
    }

    fn check_config(config: &Config) -> Vec<Problem> {
        let hostile = Self { config: Config { does: config.does.clone() } };
        match hostile.act("check-config") {
            Ok(()) => Vec::new(),
            Err(error) => vec![Problem { at: "/does".into(), message: error.message }],
        }
    }

    fn new(config: Config) -> Self {
        Self { config }
    }

    fn probe(&self) -> Result<Features> {
        self.act("probe")?;
        let path = if self.config.does.contains_key("lie") { "../../etc" } else { "fs" };
        Ok(Features { content: Content::OverlayDiff(path.into()), extra: vec!["no-such-word".into()] })
    }

    fn prepare(&self, layer: &Layer, plan: &Plan) -> Result<()> {
        if self.works() {
            layer_dir::make(&Place::new(layer.id(), "work"), OPEN)?;
            layer_dir::make(&Place::new(layer.id(), "fs"), OPEN)?;
        }
        self.act("prepare")?;
        self.plan("plan", layer, plan)
    }

    fn mounts(&self, layer: &Layer, plan: &Plan) -> Result<()> {
        self.act("mounts")?;
        self.plan("mounts-plan", layer, plan)
    }

    fn commit(&self, _: &Layer) -> Result<Usage> {
        self.act("commit")?;
        Ok(Usage { bytes: 1, inodes: 1 })
    }

    fn remove(&self, layer: LayerId) -> Result<()> {
        self.act("remove")?;
        if self.works() { layer_dir::remove(&Place::new(layer, "")) } else { Ok(()) }
    }

    fn measure(&self, layer: &Layer) -> Result<Usage> {
        self.act("measure")?;
        layer_dir::measure(&Place::new(layer.id(), ""))
    }

    fn layers(&self) -> Result<Vec<LayerId>> {
        self.act("layers")?;
        if self.works() { layer_dir::layers() } else { Ok(vec![3, 1, 3]) }
    }
}

#[allow(unconditional_recursion, reason = "that is what this guest is for")]
fn deeper(depth: u64) -> u64 {
    let room = black_box([depth; 64]);
    room[3] + deeper(black_box(depth + 1)) + room[5]
}

fn name(code: Code) -> &'static str {
    match code {
        Code::InvalidArgument => "invalid-argument",
        Code::NotGranted => "not-granted",
        _ => "other",
    }
}
