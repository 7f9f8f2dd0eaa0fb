use std::sync::Arc;

use wasmtime::{
    Engine,
    component::{
        Component, Linker, ResourceType, Val,
        types::{ComponentFunc, ComponentInstance, ComponentItem, Type},
    },
};
use wharf_error::{Error, Kind, Result, ResultExt as _};

use crate::{
    Answer, Ask, Grants,
    contract::VERSION,
    power::{ALWAYS, POWERS},
    state::State,
    wasi,
};

/// What an import of a component is to the host.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Import {
    /// Linked for every plugin.
    Always,
    /// WASI that is linked inert.
    Wasi,
    /// A power, without its version.
    Power(String),
}

/// Every import of a component, in its own order, with its full name.
pub(crate) fn of(component: &Component, engine: &Engine) -> Result<Vec<(String, Import)>> {
    let ty = component.component_type();
    ty.imports(engine).map(|(name, _)| classify(name).map(|import| (name.to_owned(), import))).collect()
}

/// The powers that a component asks for, and what the operator says about each.
pub(crate) fn asks(imports: &[(String, Import)], grants: &Grants) -> Vec<Ask> {
    let powers = imports.iter().filter_map(|(_, import)| match import {
        Import::Power(name) => Some(name),
        _ => None,
    });
    powers.map(|name| Ask { name: name.clone(), answer: answer(name, grants) }).collect()
}

/// What the operator says about a power or a declared ask.
pub(crate) fn answer(name: &str, grants: &Grants) -> Answer {
    let short = name.rsplit_once('/').map_or(name, |(_, short)| short);
    let said = |set: &std::collections::BTreeSet<String>| set.contains(name) || set.contains(short);
    // Refused wins: of two words the careful one.
    if said(&grants.refused) {
        Answer::Refused
    } else if said(&grants.granted) {
        Answer::Granted
    } else {
        Answer::Unmentioned
    }
}

/// Links everything that a component imports: what is granted, and an answer `not-granted` for what is refused.
pub(crate) fn link(
    component: &Component,
    engine: &Engine,
    imports: &[(String, Import)],
    grants: &Grants,
) -> Result<Linker<State>> {
    let mut linker = always(engine)?;
    for (name, import) in imports {
        let Import::Power(power) = import else { continue };
        match answer(power, grants) {
            Answer::Granted => grant(&mut linker, power)?,
            Answer::Refused => refuse(&mut linker, component, name, "refused by the configuration")?,
            Answer::Unmentioned => {
                let short = power.rsplit_once('/').map_or(power.as_str(), |(_, short)| short);
                let what =
                    format!("it asks for the power {power}, and the configuration neither grants nor refuses it");
                let hint = format!("write `grant = [\"{short}\"]` or `refuse = [\"{short}\"]` into its table");
                return Err(Error::new(Kind::PermissionDenied, what).hint(hint));
            }
        }
    }
    Ok(linker)
}

/// Links a component for its pure functions: no power at all.
pub(crate) fn link_pure(component: &Component, engine: &Engine, imports: &[(String, Import)]) -> Result<Linker<State>> {
    let mut linker = always(engine)?;
    for (name, import) in imports {
        if let Import::Power(_) = import {
            refuse(&mut linker, component, name, "not there while a plugin is looked at")?;
        }
    }
    Ok(linker)
}

fn classify(name: &str) -> Result<Import> {
    let (bare, version) = name.split_once('@').unwrap_or((name, ""));
    if bare.starts_with("wasi:") {
        if wasi::PACKAGES.iter().any(|package| bare.starts_with(package)) {
            return Ok(Import::Wasi);
        }
        let what = format!("it imports {name}, which no plugin gets");
        return Err(Error::new(Kind::PermissionDenied, what).hint("ask for a power of ours instead"));
    }
    if bare.starts_with("wharf:") && version != VERSION {
        let what = format!("it is made for version {version} of {bare}, and this host speaks {VERSION}");
        return Err(Error::new(Kind::Unsupported, what).hint("build it against the contract of this wharf"));
    }
    Ok(if ALWAYS.contains(&bare) { Import::Always } else { Import::Power(bare.to_owned()) })
}

fn always(engine: &Engine) -> Result<Linker<State>> {
    let step = || "link the host's interfaces".to_owned();
    let mut linker = Linker::new(engine);
    wasi::link(&mut linker).step(step)?;
    crate::power::link_always(&mut linker).step(step)?;
    Ok(linker)
}

fn grant(linker: &mut Linker<State>, power: &str) -> Result<()> {
    let Some(known) = POWERS.iter().find(|known| known.interface == power) else {
        let what = format!("it asks for {power}, which this wharf does not have");
        return Err(Error::new(Kind::Unsupported, what).hint("refuse it by name if the plugin can do without"));
    };
    (known.link)(linker).step(|| format!("link {power}"))
}

/// Defines every function of an imported interface, whatever it is, as one that does nothing and says why.
fn refuse(linker: &mut Linker<State>, component: &Component, name: &str, why: &'static str) -> Result<()> {
    let step = || format!("refuse {name}");
    let engine = linker.engine().clone();
    let ty = component.component_type();
    let Some(ComponentItem::ComponentInstance(interface)) = ty.get_import(&engine, name).map(|import| import.ty) else {
        return Err(Error::new(Kind::Unsupported, format!("it imports {name}, which is no interface")));
    };
    refuse_all(linker, &engine, &interface, name, why).step(step)
}

fn refuse_all(
    linker: &mut Linker<State>,
    engine: &Engine,
    interface: &ComponentInstance,
    name: &str,
    why: &'static str,
) -> wasmtime::Result<()> {
    struct Nothing;
    let mut instance = linker.instance(name)?;
    let full: Arc<str> = name.into();
    for (item, ty) in interface.exports(engine) {
        match ty.ty {
            ComponentItem::ComponentFunc(_) => {
                let full = full.clone();
                instance.func_new(item, move |_, ty, _, results| not_granted(&full, why, &ty, results))?;
            }
            ComponentItem::Resource(_) => instance.resource(item, ResourceType::host::<Nothing>(), |_, _| Ok(()))?,
            _ => {}
        }
    }
    Ok(())
}

/// The contract's error where a function can say it, a trap where it cannot.
fn not_granted(interface: &str, why: &str, ty: &ComponentFunc, results: &mut [Val]) -> wasmtime::Result<()> {
    let error = match ty.results().next() {
        Some(Type::Result(result)) => result.err(),
        _ => None,
    };
    let (Some(Type::Record(record)), [answer]) = (error, results) else {
        return Err(wasmtime::Error::msg(format!("{interface} is not granted: {why}")));
    };
    let fields = record.fields().map(|field| {
        let value = match field.name {
            "code" => Some(Val::Enum("not-granted".to_owned())),
            "message" => Some(Val::String(format!("{interface}: {why}"))),
            "hint" => Some(Val::Option(None)),
            _ => None,
        };
        value.map(|value| (field.name.to_owned(), value))
    });
    let Some(fields) = fields.collect::<Option<Vec<_>>>() else {
        return Err(wasmtime::Error::msg(format!("{interface} is not granted: {why}")));
    };
    *answer = Val::Result(Err(Some(Box::new(Val::Record(fields)))));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_import_is_known_by_its_name_and_version() {
        assert_eq!(classify("wasi:cli/stderr@0.2.6").unwrap(), Import::Wasi);
        assert_eq!(classify("wharf:host/log@0.1.0-draft").unwrap(), Import::Always);
        assert_eq!(
            classify("wharf:snapshotter/zfs@0.1.0-draft").unwrap(),
            Import::Power("wharf:snapshotter/zfs".into())
        );
        assert_eq!(classify("vendor:thing/x@1.0.0").unwrap(), Import::Power("vendor:thing/x".into()));
        for (name, kind) in [
            ("wasi:http/outgoing-handler@0.2.0", Kind::PermissionDenied),
            ("wharf:host/log@0.2.0", Kind::Unsupported),
            ("wharf:host/log", Kind::Unsupported),
        ] {
            assert_eq!(classify(name).unwrap_err().kind(), kind, "{name}");
        }
    }

    #[test]
    fn a_power_is_named_short_or_in_full_and_refused_wins() {
        let name = "wharf:snapshotter/layer-dir";
        let mut grants = Grants::default();
        assert_eq!(answer(name, &grants), Answer::Unmentioned);
        grants.granted.insert("layer-dir".into());
        assert_eq!(answer(name, &grants), Answer::Granted);
        grants.refused.insert(name.into());
        assert_eq!(answer(name, &grants), Answer::Refused);
    }
}
