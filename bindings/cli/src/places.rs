//! Where the store and its companions lie.

use std::{
    env,
    path::{Path, PathBuf},
};

use crate::{
    failure::{Failure, Outcome},
    private_file,
};

/// The store file: the one asked for, or the default in the user's data folder, which is made.
pub(crate) fn store(wanted: Option<&Path>) -> Outcome<PathBuf> {
    if let Some(path) = wanted {
        return std::path::absolute(path).map_err(|error| Failure::file("the store", path, &error));
    }
    let folder = data_folder()
        .ok_or_else(|| Failure::invalid("there is no home folder to keep the store in: give --store FILE"))?
        .join("interocitor");
    private_file::make_folder(&folder)
        .map_err(|error| Failure::file("the folder of the store", &folder, &error))?;
    Ok(folder.join("default.db"))
}

/// A file that belongs to a store: `<store>.<ending>`.
pub(crate) fn beside(store: &Path, ending: &str) -> PathBuf {
    let mut path = store.as_os_str().to_owned();
    path.push(".");
    path.push(ending);
    path.into()
}

/// The user's folder for application data. Relative paths in the environment count for nothing.
fn data_folder() -> Option<PathBuf> {
    let variable = |name: &str| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    if let Some(folder) = variable("XDG_DATA_HOME") {
        return Some(folder);
    }
    if cfg!(windows) {
        return variable("APPDATA");
    }
    let below_home = if cfg!(target_os = "macos") { "Library/Application Support" } else { ".local/share" };
    env::home_dir().filter(|home| home.is_absolute()).map(|home| home.join(below_home))
}
