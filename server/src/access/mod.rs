//! Who may do what.
//!
//! - [`secret`][]: random secrets, and how they are kept
//! - [`tokens`][]: devices and programs
//! - [`password`][]: people
//! - [`throttle`][]: how often a login may be tried
//! - [`forms`][]: requests that another site has a browser make

pub(crate) mod forms;
pub(crate) mod network;
pub(crate) mod password;
pub(crate) mod secret;
pub(crate) mod throttle;
pub(crate) mod tokens;
