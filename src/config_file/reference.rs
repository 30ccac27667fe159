//! What the documents of all configurations have in common: the table of keys.

/// One key.
#[derive(Debug)]
pub struct Key {
    /// Where it stands.
    pub path: &'static str,
    /// What it takes.
    pub takes: &'static str,
    /// What is in force without it.
    pub default: &'static str,
    /// What it does.
    pub does: &'static str,
}

/// Writes the table of these keys, with its heading, in Markdown.
pub(crate) fn push_keys(text: &mut String, keys: &[Key]) {
    text.push_str("\n## Keys\n\n| key | takes | default | what it does |\n|---|---|---|---|\n");
    for key in keys {
        text.push_str(&format!("| `{}` | {} | {} | {} |\n", key.path, key.takes, key.default, key.does));
    }
}
