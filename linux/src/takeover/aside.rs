//! Where an older unit is kept, out of systemd's sight.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::{Notice, Notices, Sysroot, UNIT};

/// Gives a unit or a drop-in a name beside it that systemd does not read, and returns it.
pub(super) fn keep(root: &Sysroot, file: &Path, notices: Notices<'_>) -> io::Result<PathBuf> {
    let aside = free_name(root, file);
    let (from, to) = (root.host_path(file), root.host_path(&aside));
    fs::rename(&from, &to)
        .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", file.display())))?;
    notices(Notice::Done(format!("{} is kept as {}", file.display(), aside.display())));
    Ok(aside)
}

/// Gives it its name again.
pub(super) fn put_back(root: &Sysroot, file: &Path, aside: &Path, notices: Notices<'_>) {
    let (file, aside) = (root.host_path(file), root.host_path(aside));
    notices(match fs::rename(&aside, &file) {
        Ok(()) => Notice::Done(format!("{} is put back as {}", aside.display(), file.display())),
        Err(error) => {
            Notice::Attention(format!("{} was {} before: {error}", aside.display(), file.display()))
        }
    });
}

/// Removes the links in `*.wants` and `*.requires` that start the older unit: the new one is enabled anew.
pub(super) fn remove_links(root: &Sysroot) -> io::Result<()> {
    let units = Path::new("/etc/systemd/system");
    for name in root.list(units).unwrap_or_default() {
        let link = root.host_path(&units.join(&name).join(UNIT));
        if (name.ends_with(".wants") || name.ends_with(".requires")) && link.is_symlink() {
            fs::remove_file(link)?;
        }
    }
    Ok(())
}

/// A name beside a file that nothing has, also no link that leads nowhere.
fn free_name(root: &Sysroot, file: &Path) -> PathBuf {
    let names = (1_u32..).map(|number| match number {
        1 => PathBuf::from(format!("{}.replaced", file.display())),
        _ => PathBuf::from(format!("{}.replaced.{number}", file.display())),
    });
    let mut free = names.filter(|name| root.host_path(name).symlink_metadata().is_err());
    free.next().unwrap_or_default()
}
