//! As whom a configuration is checked, and what that user may not read.

use std::{fs, os::unix::fs::MetadataExt, path::Path};

use nix::{
    errno::Errno,
    unistd::{AccessFlags, Gid, Group, Uid, User, access, geteuid, initgroups, setgid, setuid},
};

/// The user of the service, as the package makes it.
pub(super) const SERVICE_USER: &str = "heartbeat-server";

/// Turns a process of root into one of this user, with its groups, for good. Returns its name; without root, nothing is done.
///
/// # Errors
/// There is no such user.
pub(super) fn become_user(name: &str) -> Result<Option<String>, String> {
    if !geteuid().is_root() {
        return Ok(None);
    }
    let failed = |error: Errno| format!("the user {name}: {error}");
    let Some(user) = User::from_name(name).map_err(failed)? else {
        return Err(format!("there is no user {name}"));
    };
    let c_name = std::ffi::CString::new(user.name.as_str()).map_err(|error| error.to_string())?;
    initgroups(&c_name, user.gid)
        .and_then(|()| setgid(user.gid))
        .and_then(|()| setuid(user.uid))
        .map_err(failed)?;
    Ok(Some(user.name))
}

/// Why this process may not read a file: its own permissions, or those of the first directory on the way to it. What is
/// wrong otherwise, the one that reads it says.
pub(super) fn forbidden(path: &Path) -> Option<String> {
    if access(path, AccessFlags::R_OK) != Err(Errno::EACCES) {
        return None;
    }
    let directories: Vec<_> = path.ancestors().skip(1).collect();
    let closed = directories
        .into_iter()
        .rev()
        .find(|directory| access(*directory, AccessFlags::X_OK) == Err(Errno::EACCES));
    let (what, which) = closed.map_or(("read", path), |directory| ("enter", directory));
    let user = name_of(geteuid());
    let of = fs::metadata(which).map(|file| {
        let group = Gid::from_raw(file.gid());
        let group =
            Group::from_gid(group).ok().flatten().map_or_else(|| group.to_string(), |group| group.name);
        let (owner, mode) = (name_of(Uid::from_raw(file.uid())), file.mode() & 0o7777);
        format!(": owner {owner}, group {group}, mode {mode:o}")
    });
    Some(format!("the user {user} may not {what} {}{}", which.display(), of.unwrap_or_default()))
}

fn name_of(user: Uid) -> String {
    User::from_uid(user).ok().flatten().map_or_else(|| user.to_string(), |user| user.name)
}
