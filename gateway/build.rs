//! Puts the page's build into the program: each file of `page/dist` with its media type, or one page that says that it was not built.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    let dist = root.join("page/dist");
    // A path that is not there would count as changed each time; the nearest one that is tells when it comes.
    let watched = ["page/dist", "page", "."].into_iter().find(|folder| root.join(folder).is_dir());
    println!("cargo::rerun-if-changed={}", watched.unwrap_or("."));
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=unbuilt.html");
    let mut assets = Vec::new();
    let built = dist.join("index.html").is_file();
    if built {
        collect(&dist, &dist, &mut assets)?;
        assets.sort();
    } else {
        assets.push(("index.html".to_owned(), root.join("unbuilt.html")));
    }
    let mut code =
        format!("pub(super) const BUILT: bool = {built};\npub(super) static ASSETS: &[(&str, &[u8])] = &[\n");
    for (name, path) in assets {
        writeln!(code, "    ({name:?}, include_bytes!({path:?})),").map_err(io::Error::other)?;
    }
    code.push_str("];\n");
    fs::write(PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default()).join("assets.rs"), code)
}

fn collect(dist: &Path, folder: &Path, assets: &mut Vec<(String, PathBuf)>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(dist, &path, assets)?;
        } else if let Ok(name) = path.strip_prefix(dist) {
            assets.push((name.to_string_lossy().into_owned(), path));
        }
    }
    Ok(())
}
