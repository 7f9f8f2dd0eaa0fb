//! What a plugin answers is checked here, whatever its engine checked before: only places of this layer and what it
//! stands on, written only where it may be, standing only on steps that came before.

use std::path::Path;

use wharf_error::{Error, Kind as ErrorKind, Result};
use wharf_plugins::{LayerFacts, LayerKind, Lower, Place, Plan, Step, Upper};

use crate::{
    core::Core,
    info::{Mount, Mounts},
};

/// Which call brought the plan.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Call {
    Prepare,
    Mounts,
}

/// The kernel's overlay takes 500 lower directories.
const MOST_LOWERS: usize = 500;
/// A mount for each of them, and one over all.
const MOST_STEPS: usize = MOST_LOWERS + 1;

impl Core {
    /// Checks a plan and says it as containerd's mounts.
    ///
    /// # Errors
    /// `Internal` naming plugin, call and step for a plan that breaks a rule: a fault of the plugin's. `Unsupported`
    /// for a plan that containerd's plain mounts cannot say.
    pub(crate) fn translate(&self, call: Call, facts: &LayerFacts, plan: &Plan) -> Result<Mounts> {
        let plugin = self.backend.name();
        let at = || {
            let call = match call {
                Call::Prepare => "prepare",
                Call::Mounts => "mounts",
            };
            format!("plugin {plugin}: {call}: plan of layer {}", facts.id)
        };
        check(facts, plan).map_err(|fault| Error::internal(at()).because(fault))?;
        let root = self.backend.root();
        let mount = mount(root, plan).map_err(|reason| Error::new(ErrorKind::Unsupported, at()).because(reason))?;
        Ok(Mounts { root: root.to_owned(), mounts: vec![mount] })
    }
}

/// The first rule that the plan breaks.
fn check(facts: &LayerFacts, plan: &Plan) -> Result<(), String> {
    if plan.steps.is_empty() {
        return Err("it has no steps".into());
    }
    if plan.steps.len() > MOST_STEPS {
        return Err(format!("it has {} steps, more than {MOST_STEPS}", plan.steps.len()));
    }
    for (number, step) in plan.steps.iter().enumerate() {
        check_step(facts, number, step).map_err(|fault| format!("step {number}: {fault}"))?;
    }
    let writable =
        matches!(plan.steps.last(), Some(Step::Bind { read_only: false, .. } | Step::Overlay { upper: Some(_), .. }));
    match facts.kind == LayerKind::Active && !writable {
        true => Err("the layer is active, but its root cannot be written".into()),
        false => Ok(()),
    }
}

fn check_step(facts: &LayerFacts, number: usize, step: &Step) -> Result<(), String> {
    match step {
        Step::Bind { at, read_only: true } => readable(facts, at),
        Step::Bind { at, read_only: false } => writable(facts, at),
        Step::Erofs { image } => readable(facts, image),
        Step::Overlay { lowers, upper } => {
            if lowers.is_empty() || lowers.len() > MOST_LOWERS {
                return Err(format!("{} lowers, not 1 to {MOST_LOWERS}", lowers.len()));
            }
            for lower in lowers {
                match lower {
                    Lower::Directory(place) => readable(facts, place)?,
                    Lower::Mounted(step) if *step < number => {}
                    Lower::Mounted(step) => return Err(format!("it stands on step {step}, which is not before it")),
                }
            }
            match upper {
                Some(Upper { upper, work }) => {
                    writable(facts, upper)?;
                    writable(facts, work)?;
                    let (upper, work) = (upper.relative(), work.relative());
                    match upper.starts_with(&work) || work.starts_with(&upper) {
                        true => Err("upper and work lie in each other".into()),
                        false => Ok(()),
                    }
                }
                None => Ok(()),
            }
        }
    }
}

fn readable(facts: &LayerFacts, place: &Place) -> Result<(), String> {
    match place.layer() == facts.id || facts.parents.contains(&place.layer()) {
        true => clean(place),
        false => Err(format!("{place} is neither in this layer nor in what it stands on")),
    }
}

fn writable(facts: &LayerFacts, place: &Place) -> Result<(), String> {
    match place.layer() == facts.id && facts.kind == LayerKind::Active {
        true => clean(place),
        false => Err(format!("{place} may not be written: only an active layer's own places may")),
    }
}

/// What a `Place` promises by its making; said once more where the path enters option strings.
fn clean(place: &Place) -> Result<(), String> {
    let path = place.path();
    let fine = |name: &str| !matches!(name, "" | "." | "..");
    match path.is_empty() || path.split('/').all(fine) && !path.contains(['\0', ':', ',', '\\', '\n']) {
        true => Ok(()),
        false => Err(format!("{place} is not a clean path")),
    }
}

/// The plan's root as one mount, which is all that containerd's mounts can say of a checked plan.
fn mount(root: &Path, plan: &Plan) -> Result<Mount, String> {
    match plan.steps.last() {
        Some(Step::Bind { at, read_only }) => Ok(bind(&absolute(root, at)?, *read_only)),
        Some(Step::Overlay { lowers, upper }) => {
            let lowers = lowers.iter().map(|lower| directory(root, plan, lower)).collect::<Result<Vec<_>, _>>()?;
            match (upper, &lowers[..]) {
                // Overlay refuses a single layer.
                (None, [only]) => Ok(bind(only, true)),
                (None, _) => Ok(overlay(vec![format!("lowerdir={}", lowers.join(":"))])),
                (Some(Upper { upper, work }), _) => Ok(overlay(vec![
                    format!("lowerdir={}", lowers.join(":")),
                    format!("upperdir={}", absolute(root, upper)?),
                    format!("workdir={}", absolute(root, work)?),
                ])),
            }
        }
        Some(Step::Erofs { .. }) => Err("an EROFS image as the root".into()),
        None => Err("no steps".into()),
    }
}

fn directory(root: &Path, plan: &Plan, lower: &Lower) -> Result<String, String> {
    match lower {
        Lower::Directory(place) => absolute(root, place),
        Lower::Mounted(step) => match plan.steps.get(*step) {
            // What is bound there and read through an overlay is the directory itself.
            Some(Step::Bind { at, .. }) => absolute(root, at),
            _ => Err(format!("an overlay over step {step}, which is no directory")),
        },
    }
}

fn absolute(root: &Path, place: &Place) -> Result<String, String> {
    let path = root.join(place.relative());
    path.into_os_string().into_string().map_err(|path| format!("{} is not UTF-8", path.display()))
}

fn bind(source: &str, read_only: bool) -> Mount {
    let access = if read_only { "ro" } else { "rw" };
    Mount { type_: "bind".into(), source: source.into(), options: vec![access.into(), "rbind".into()] }
}

fn overlay(options: Vec<String>) -> Mount {
    Mount { type_: "overlay".into(), source: "overlay".into(), options }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(kind: LayerKind) -> LayerFacts {
        LayerFacts { id: 3, kind, parents: vec![2, 1], ..LayerFacts::default() }
    }

    fn place(layer: u64, path: &str) -> Place {
        Place::new(layer, path).unwrap()
    }

    fn lower(layer: u64) -> Lower {
        Lower::Directory(place(layer, "fs"))
    }

    fn upper(layer: u64) -> Option<Upper> {
        Some(Upper { upper: place(layer, "fs"), work: place(layer, "work") })
    }

    fn over(lowers: Vec<Lower>, upper: Option<Upper>) -> Step {
        Step::Overlay { lowers, upper }
    }

    fn bound(layer: u64, read_only: bool) -> Step {
        Step::Bind { at: place(layer, "fs"), read_only }
    }

    fn fault(kind: LayerKind, steps: Vec<Step>) -> String {
        check(&facts(kind), &Plan { steps }).expect_err("it was taken")
    }

    #[test]
    fn what_a_plugin_may_not_plan() {
        use LayerKind::{Active, View};
        let nested = Some(Upper { upper: place(3, "fs"), work: place(3, "fs/work") });
        for (kind, steps, why) in [
            (Active, vec![], "no steps"),
            (Active, vec![bound(3, true); MOST_STEPS + 1], "more than"),
            (Active, vec![bound(4, false)], "4/fs may not be written"),
            (Active, vec![bound(2, false)], "2/fs may not be written"),
            (View, vec![bound(3, false)], "3/fs may not be written"),
            (View, vec![bound(9, true)], "9/fs is neither"),
            (View, vec![Step::Erofs { image: place(9, "a") }], "9/a is neither"),
            (Active, vec![bound(3, true)], "cannot be written"),
            (Active, vec![over(vec![lower(2), lower(1)], None)], "cannot be written"),
            (Active, vec![over(vec![lower(2), lower(7)], upper(3))], "7/fs is neither"),
            (Active, vec![over(vec![lower(2)], upper(2))], "2/fs may not be written"),
            (View, vec![over(vec![lower(2)], upper(3))], "3/fs may not be written"),
            (Active, vec![over(vec![], upper(3))], "0 lowers"),
            (Active, vec![over(vec![lower(2); MOST_LOWERS + 1], upper(3))], "501 lowers"),
            (Active, vec![over(vec![lower(2)], nested)], "lie in each other"),
            (Active, vec![over(vec![Lower::Mounted(0)], upper(3))], "stands on step 0, which is not before it"),
            (Active, vec![bound(2, true), over(vec![Lower::Mounted(5)], upper(3))], "step 1: it stands on step 5"),
        ] {
            let fault = fault(kind, steps);
            assert!(fault.contains(why), "{fault:?} does not say {why:?}");
        }
    }

    #[test]
    fn plans_become_containerds_mounts() {
        let root = Path::new("/r/overlayfs");
        let say = |kind, steps: Vec<Step>| {
            let plan = Plan { steps };
            check(&facts(kind), &plan).unwrap();
            let Mount { type_, source, options } = mount(root, &plan).unwrap();
            format!("{type_} {source} {}", options.join(","))
        };
        assert_eq!(say(LayerKind::Active, vec![bound(3, false)]), "bind /r/overlayfs/3/fs rw,rbind");
        assert_eq!(say(LayerKind::View, vec![over(vec![lower(2)], None)]), "bind /r/overlayfs/2/fs ro,rbind");
        assert_eq!(
            say(LayerKind::View, vec![over(vec![lower(2), lower(1)], None)]),
            "overlay overlay lowerdir=/r/overlayfs/2/fs:/r/overlayfs/1/fs"
        );
        assert_eq!(
            say(LayerKind::Active, vec![bound(2, true), over(vec![Lower::Mounted(0), lower(1)], upper(3))]),
            "overlay overlay lowerdir=/r/overlayfs/2/fs:/r/overlayfs/1/fs,upperdir=/r/overlayfs/3/fs,workdir=/r/overlayfs/3/work"
        );
        let image = Step::Erofs { image: place(2, "layer.erofs") };
        let plan = Plan { steps: vec![image, over(vec![Lower::Mounted(0)], upper(3))] };
        check(&facts(LayerKind::Active), &plan).unwrap();
        assert!(mount(root, &plan).unwrap_err().contains("over step 0"));
    }
}
