//! Running a plugin's program, which is somebody else's.

mod call;
mod find;
mod group;
mod output;
mod said;
mod stray;

#[cfg(test)]
mod tests;

#[cfg(test)]
pub(crate) use self::tests::script;
pub(crate) use self::{
    call::{Call, Plugins, Verb},
    stray::{Stray, find_strays},
};
