//! What is to be said of an instance's furniture: memory that is nearly full, an update.

use super::wording::counted;
use super::{Code, Finding, Severity};
use crate::exporter::snapshot::inventory::MemoryFile;
use crate::exporter::snapshot::{Label, Reading, Snapshot, Threshold};
use crate::system::time::Timestamp;

pub(super) fn findings(snapshot: &Snapshot, _: Timestamp) -> Vec<Finding> {
    let Reading::Known(inventory) = &snapshot.inventory else {
        return Vec::new();
    };
    let limit = snapshot.thresholds.get(Threshold::MemoryUsed);
    let of_file = |(name, file): (&Label, &Reading<MemoryFile>)| nearly_full(name, file.known()?, limit?);
    let mut found: Vec<_> = inventory.memory.iter().filter_map(of_file).collect();
    if let Reading::Known(update) = &inventory.update
        && update.available == Reading::Known(true)
    {
        let sentence = match update.behind_commits {
            Reading::Known(behind @ 1..) => {
                format!("There is an update of Hermes: this one is behind by {}", counted(behind, "commit"))
            }
            _ => "There is an update of Hermes".to_owned(),
        };
        found.push(Finding::new(Code::UpdateAvailable, Severity::Info, sentence));
    }
    found
}

fn nearly_full(name: &Label, file: &MemoryFile, limit: f64) -> Option<Finding> {
    let used = file.chars as f64 / file.limit_chars as f64;
    let sentence = format!(
        "The memory file \"{name}\" has {} of the {} characters that it may have",
        file.chars, file.limit_chars
    );
    let finding = Finding::new(Code::MemoryNearLimit, Severity::Info, sentence).about(name);
    (file.limit_chars > 0 && used > limit).then_some(finding)
}
