//! The list of an archive's images: a line of JSON each, bounded, and with no way out of the archive's folder.

use std::collections::HashSet;
use std::path::{Component, Path, PathBuf};

use cloister_imaging::View;
use serde::Deserialize;

use crate::failure::Failure;
use crate::files;

/// A line names one file; the longest path of Linux has 4096 bytes.
const MAX_LINE_BYTES: usize = 8 * 1024;

/// An id becomes the name of a file, to which `.cbor` and a temporary ending are added; a name has at most 255 bytes.
const MAX_ID_BYTES: usize = 128;

/// One image of the archive.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Image {
    /// What it is called in the results. Nothing in it says who the patient is, unless the list's author put it there.
    pub id: String,
    /// Where it is, below the archive's folder.
    pub path: PathBuf,
    /// The view that it shows.
    pub view: View,
}

/// The images whose line's number, from 0, leaves `index` when divided by `of`. All lines are checked, so that every process of an
/// archive takes the list, or none.
pub fn read(path: &Path, index: u32, of: u32) -> Result<Vec<Image>, Failure> {
    parse(&files::read_text(path)?, index, of).map_err(|error| Failure::input(format!("{}: {error}", path.display())))
}

fn parse(text: &str, index: u32, of: u32) -> Result<Vec<Image>, String> {
    let mut ids = HashSet::new();
    let mut share = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let image = image(line).map_err(|error| format!("line {}: {error}", number + 1))?;
        if !ids.insert(image.id.clone()) {
            return Err(format!("line {}: the id {:?} is there twice", number + 1, image.id));
        }
        if number % of as usize == index as usize {
            share.push(image);
        }
    }
    Ok(share)
}

fn image(line: &str) -> Result<Image, String> {
    if line.len() > MAX_LINE_BYTES {
        return Err(format!("it is longer than {MAX_LINE_BYTES} bytes"));
    }
    let image: Image =
        serde_json::from_str(line).map_err(|error| format!("not {{\"id\": …, \"path\": …, \"view\": …}}: {error}"))?;
    let known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if !(1..=MAX_ID_BYTES).contains(&image.id.len()) || !image.id.chars().all(known) || image.id.starts_with('.') {
        return Err(format!(
            "an id is 1 to {MAX_ID_BYTES} ASCII letters, digits, dots, hyphens and underscores, and begins with no dot"
        ));
    }
    let down = |component: Component<'_>| matches!(component, Component::Normal(_));
    if image.path.as_os_str().is_empty() || !image.path.components().all(down) {
        return Err(format!("{:?} is no path below the archive's folder", image.path));
    }
    Ok(image)
}

/// Where the image is. A link that leads out of the folder is as good as a path that does.
pub fn locate(root: &Path, image: &Image) -> Result<PathBuf, Failure> {
    let shown = image.path.display();
    let path = root.join(&image.path).canonicalize();
    let path = path.map_err(|error| Failure::input(format!("cannot read {shown}: {error}")))?;
    if !path.starts_with(root) {
        return Err(Failure::input(format!("{shown} leads out of the archive")));
    }
    // A pipe that nobody writes to would be waited for without end.
    if path.is_file() { Ok(path) } else { Err(Failure::input(format!("{shown} is no file"))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(id: &str, path: &str) -> String {
        serde_json::json!({"id": id, "path": path, "view": "L-CC"}).to_string()
    }

    #[test]
    fn the_shares_are_the_whole_list_and_no_image_is_in_two() {
        let text: String = (0..10).map(|n| line(&format!("i{n}"), &format!("{n}.png")) + "\n").collect();
        let mut all = Vec::new();
        for index in 0..3 {
            let share = parse(&text, index, 3).unwrap();
            assert_eq!(share[0].id, format!("i{index}"));
            all.extend(share.into_iter().map(|image| image.id));
        }
        all.sort();
        assert_eq!(all, (0..10).map(|n| format!("i{n}")).collect::<Vec<_>>());
        assert!(parse("", 0, 3).unwrap().is_empty());
    }

    #[test]
    fn a_line_that_is_wrong_refuses_the_list_whoevers_share_it_is() {
        for (wrong, words) in [
            (String::new(), "line 2"),
            ("{}".to_owned(), "missing field `id`"),
            (line("b", "b.png").replace("L-CC", "LCC"), "unknown variant"),
            (line("b", "b.png").replace('}', ", \"patient\": \"x\"}"), "unknown field `patient`"),
            (line("a", "b.png"), "there twice"),
            (line("", "b.png"), "an id is"),
            (line("../b", "b.png"), "an id is"),
            (line(".b", "b.png"), "begins with no dot"),
            (line(&"b".repeat(MAX_ID_BYTES + 1), "b.png"), "an id is"),
            (line("b", ""), "no path below"),
            (line("b", "/b.png"), "no path below"),
            (line("b", "../b.png"), "no path below"),
            (line("b", "x/../../b.png"), "no path below"),
            (line("b", &"b".repeat(MAX_LINE_BYTES)), "longer than"),
        ] {
            let refused = parse(&format!("{}\n{wrong}\n", line("a", "a.png")), 0, 2).unwrap_err();
            assert!(refused.starts_with("line 2: ") && refused.contains(words), "{refused}");
        }
    }

    #[test]
    fn a_link_leads_nowhere_but_into_the_archive() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("archive");
        std::fs::create_dir(&root).unwrap();
        let root = root.canonicalize().unwrap();
        std::fs::write(root.join("in.png"), b"").unwrap();
        std::fs::write(folder.path().join("out.png"), b"").unwrap();
        std::os::unix::fs::symlink("in.png", root.join("good.png")).unwrap();
        std::os::unix::fs::symlink("../out.png", root.join("bad.png")).unwrap();
        let locate = |path: &str| locate(&root, &image(&line("a", path)).unwrap());
        assert_eq!(locate("good.png").unwrap(), root.join("in.png"));
        assert!(locate("bad.png").unwrap_err().to_string().contains("leads out"));
        assert_eq!(locate("none.png").unwrap_err().code(), 65);
    }
}
