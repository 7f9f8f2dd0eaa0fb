//! As much of D-Bus as it takes to ask systemd for something: method calls and signals of one peer, by the D-Bus
//! Specification 0.42. No bus, no introspection, no file descriptors.

mod connection;
mod message;
mod reader;
mod value;
mod writer;

pub(crate) use self::{
    connection::Connection,
    message::{Call, Kind, Message},
    reader::Reader,
    value::{Properties, Value},
    writer::Writer,
};
