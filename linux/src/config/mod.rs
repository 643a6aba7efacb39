//! Configuration: built-in defaults, a file, the environment, flags; the later wins.
//!
//! [`Layers`] collects values with their [`Origin`]s, [`Settings::new`] checks them. A value that cannot be used is
//! refused with the place where it was written, before anything is started.
//!
//! # How to add a setting
//!
//! 1. `raw.rs`: a field of `RawSettings` and its default. The field's name is the key, its type is the type and the
//!    range (`types.rs` has seconds, whole numbers and paths). A key that the environment or a flag can set has a line
//!    in [`INPUTS`], in the same file.
//! 2. `settings.rs`: a field of [`Settings`] for the program, and the checks that need more than one key.
//! 3. `packaging/config.toml`: a commented line. A test compares its keys with those of `RawSettings`.
//!
//! The rest follows from the fields: `check-config` and its origins, complaints with file, line and key, suggestions
//! for a mistyped key, the flag in `--help`.
//!
//! A table with free keys is a field of type `BTreeMap<String, String>`. A setting that names a file with a secret is
//! a path; `files::read` returns the metadata of what was read, for a check of its mode.

mod app_version;
mod endpoint;
mod error;
mod file;
mod layers;
mod proof;
mod proxy;
mod raw;
mod settings;
mod suggestion;
mod types;
mod ups;

pub use self::{
    app_version::VersionSource,
    endpoint::Endpoint,
    error::SettingsError,
    file::{ConfigFile, DEFAULT_PATH},
    layers::{Entry, Layers, Origin},
    proof::{ClientCertificate, Proof, Secret, TokenSource},
    proxy::{Credentials, Proxy, ProxyKind},
    raw::{Flag, INPUTS, Input, Method},
    settings::Settings,
    ups::{UpsChip, UpsConfig},
};
pub(crate) use self::{proof::is_header_value, types::is_hardware_id};

#[cfg(test)]
mod tests;
