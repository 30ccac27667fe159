//! The skills of a home: every `SKILL.md` that Hermes itself would find.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use walkdir::WalkDir;

use crate::exporter::snapshot::Reason;
use crate::system::files;

/// Folders that Hermes does not look into for skills.
const NO_SKILLS: [&str; 14] = [
    ".git",
    ".github",
    ".hub",
    ".archive",
    ".venv",
    "venv",
    "node_modules",
    "site-packages",
    "__pycache__",
    ".tox",
    ".nox",
    ".pytest_cache",
    ".mypy_cache",
    ".ruff_cache",
];

/// Folders of a skill that hold its material and no further skills.
const MATERIAL: [&str; 4] = ["references", "templates", "assets", "scripts"];

/// Deeper than this nobody keeps a skill; it also bounds a tree of links.
const DEEPEST: usize = 10;

/// The most skills that are counted.
const MOST_SKILLS: usize = 10_000;

/// The names of all skills, or `None` where the home has no folder for them.
pub(super) fn names(folder: &Path) -> Result<Option<Vec<String>>, Reason> {
    let mut with_skill: HashSet<PathBuf> = HashSet::new();
    let mut names = Vec::new();
    let mut walk = WalkDir::new(folder).follow_links(true).max_depth(DEEPEST).sort_by_file_name().into_iter();
    while let Some(entry) = walk.next() {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => match error.io_error().map(std::io::Error::kind) {
                Some(std::io::ErrorKind::NotFound) if error.depth() == 0 => return Ok(None),
                Some(std::io::ErrorKind::PermissionDenied) => return Err(Reason::Permission),
                // A dangling link, a loop of links, or a file that has just gone.
                _ => continue,
            },
        };
        let name = entry.file_name().to_string_lossy();
        if entry.file_type().is_dir() {
            if entry.depth() == 0 {
                continue;
            }
            let is_material = MATERIAL.contains(&&*name)
                && entry.path().parent().is_some_and(|parent| parent.join("SKILL.md").exists());
            if NO_SKILLS.contains(&&*name) || is_material {
                walk.skip_current_dir();
            }
        } else if name == "SKILL.md"
            && let Some(parent) = entry.path().parent()
            && with_skill.insert(parent.to_owned())
        {
            let folder_name = parent.file_name().map(|name| name.to_string_lossy().into_owned());
            names.extend(declared_name(entry.path()).or(folder_name));
            if names.len() >= MOST_SKILLS {
                return Err(Reason::Unsupported);
            }
        }
    }
    Ok(Some(names))
}

/// The `name:` in the front matter, by which the configuration calls the skill.
fn declared_name(path: &Path) -> Option<String> {
    // Not opened by hand: on a FIFO that waits for ever.
    let content = files::read(path).ok()??;
    let head = String::from_utf8_lossy(&content[..content.len().min(4096)]);
    let mut lines = head.trim_start_matches('\u{feff}').lines();
    if lines.next()?.trim_end() != "---" {
        return None;
    }
    let front_matter = lines.take_while(|line| line.trim_end() != "---");
    let name = front_matter.filter_map(|line| line.strip_prefix("name:")).next()?;
    Some(name.trim().trim_matches(['"', '\'']).to_owned()).filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn skill(root: &Path, place: &str, content: &str) {
        let folder = root.join(place);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("SKILL.md"), content).unwrap();
    }

    #[test]
    fn the_skills_that_hermes_finds_are_found() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        skill(root, "devops/deploy", "---\nname: \"deploy-helper\"\ndescription: x\n---\n");
        skill(root, "notes", "no front matter\n");
        skill(root, "references", "a category that is called so\n");
        skill(root, "devops/deploy/references/old", "material\n");
        skill(root, ".archive/gone", "archived\n");
        skill(root, ".hub/copy", "hub\n");
        std::fs::create_dir(root.join("trap")).unwrap();
        let fifo = rustix::fs::FileType::Fifo;
        rustix::fs::mknodat(rustix::fs::CWD, root.join("trap/SKILL.md"), fifo, rustix::fs::Mode::RUSR, 0).unwrap();
        std::os::unix::fs::symlink(root, root.join("notes/loop")).unwrap();
        std::os::unix::fs::symlink(root.join("nowhere"), root.join("dangling")).unwrap();
        assert_eq!(names(root).unwrap().unwrap(), ["deploy-helper", "notes", "references", "trap"]);
        assert_eq!(names(&root.join("missing")).unwrap(), None);
    }
}
